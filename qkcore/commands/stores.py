"""`runs`, `migrate`, `bundle`, `export` and `report`: what is done with a store."""

from argparse import Namespace
from pathlib import Path

from qkcore.commands.options import Added, licence_option, run_option


def add_runs(added: Added) -> None:
    """Options of `runs`."""
    parser = added.add_parser("runs", help="list the runs of a store by their ids")
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.set_defaults(run=runs)


def runs(options: Namespace) -> None:
    """A line a run, newest first: id, model, puzzle set, puzzles."""
    from qkcore.results.store import ResultStore

    with ResultStore.open(options.store) as store:
        found = store.runs()
    for run in found.itertuples(index=False):
        print(f"{run.run_id}: {run.model} on {run.puzzle_set}, {run.n_puzzles:,} puzzles")
    if found.empty:
        print(f"{options.store} holds no runs; add one with `qkscope precompute`")


def add_migrate(added: Added) -> None:
    """Options of `migrate`."""
    parser = added.add_parser(
        "migrate", help="count an older store's scores again, as this version does"
    )
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.set_defaults(run=migrate)


def migrate(options: Namespace) -> None:
    """Bring a store of the schema before this one up to date."""
    from qkcore.results.migrate import migrate as bring_up_to_date

    run_ids = bring_up_to_date(options.store)
    print(
        f"{options.store}: {len(run_ids):,} {'run' if len(run_ids) == 1 else 'runs'} counted anew"
    )


def add_bundle(added: Added) -> None:
    """Options of `bundle`."""
    parser = added.add_parser("bundle", help="put chosen runs into one file or folder to share")
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        dest="run_ids",
        metavar="RUN",
        help="default: all runs",
    )
    parser.add_argument("--without-texts", action="store_true", help="leave the puzzles' texts out")
    licence_option(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.zip", help="or a folder to make"
    )
    parser.set_defaults(run=bundle)


def bundle(options: Namespace) -> None:
    """Make a bundle of runs, and say what is in it."""
    from qkcore.sharing.bundle import said_of, write_bundle

    licences = dict(options.licence)
    manifest = write_bundle(
        options.store, options.out, options.run_ids, not options.without_texts, licences
    )
    n_runs = len(manifest["runs"])
    print(f"{options.out}: {n_runs:,} {'run' if n_runs == 1 else 'runs'}")
    for line in said_of(manifest):
        print(line)
    print(f"fingerprint: {manifest['fingerprint']}")


def add_export(added: Added) -> None:
    """Options of `export`."""
    parser = added.add_parser("export", help="write a run's tables as CSV or Parquet files")
    run_option(parser)
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="made if it does not exist"
    )
    parser.set_defaults(run=export)


def export(options: Namespace) -> None:
    """Write a run's tables as files."""
    from qkcore.results.export import export as export_run
    from qkcore.results.store import ResultStore

    with ResultStore.open(options.store) as store:
        for path in export_run(store, options.run_id, options.format, options.out):
            print(path)


def add_report(added: Added) -> None:
    """Options of `report`."""
    parser = added.add_parser("report", help="write a run's report: one HTML file, or a PDF")
    run_option(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="or FILE.pdf")
    parser.add_argument(
        "--figures-only", action="store_true", help="its figures alone, for a paper's appendix"
    )
    parser.set_defaults(run=report)


def report(options: Namespace) -> None:
    """Write a run's report."""
    from qkcore.reports.write import write_report
    from qkcore.results.store import ResultStore

    with ResultStore.open(options.store) as store:
        path = write_report(
            store, options.run_id, options.out, options.store.name, options.figures_only
        )
        print(path)
