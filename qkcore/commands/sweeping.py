"""`sweep`: a list of models, puzzle sets and readings, scored as one job."""

from argparse import Namespace
from pathlib import Path

from qkcore import InputError
from qkcore.commands.options import Added


def add_sweep(added: Added) -> None:
    """Options of `sweep`."""
    parser = added.add_parser(
        "sweep", help="score a list of models on a list of puzzle files into a result store"
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE.toml", help="what to score; see docs/scaling.md"
    )
    parser.add_argument(
        "--store", type=Path, required=True, metavar="FILE.duckdb", help="made if it does not exist"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list all runs and what they may take, score nothing"
    )
    parser.add_argument(
        "--status", action="store_true", help="say which runs are done and left, score nothing"
    )
    parser.add_argument(
        "--without-texts",
        action="store_true",
        help="keep ids and scores only, not the puzzles' texts",
    )
    parser.add_argument(
        "--log-file",
        type=Path,
        dest="log",
        metavar="FILE",
        help="write a line of JSON for what happens",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, only the table")
    parser.set_defaults(run=sweep)


def sweep(options: Namespace) -> None:
    """Score what a file lists, and say in the end what came of each run."""
    from qkcore.scoring.sweep_file import read_sweep
    from qkcore.scoring.sweep_plan import how_far, listed, planned, with_twins

    file, without = with_twins(read_sweep(options.file))
    runs = planned(file, options.store)
    lines: list[str] = []
    if options.dry_run:
        lines = listed(runs, options.store)
    elif options.status:
        lines = how_far(runs, options.store)
    for line in [*without, *lines]:
        print(line, flush=True)
    if lines:
        return
    from qkcore.scoring.sweep import FAILED, Sweep, table_of

    outcomes = Sweep(
        file, runs, options.store, not options.quiet, not options.without_texts, options.log
    ).carried_out()
    for line in table_of(outcomes):
        print(line)
    if n_failed := sum(one.what == FAILED for one in outcomes):
        raise InputError(
            f"{n_failed:,} of {len(outcomes):,} runs failed, for the reasons above; the same "
            "command tries them again, and them only"
        )
