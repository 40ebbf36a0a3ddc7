"""`permute` and `permutations`: options in several orders, and how often all are right."""

from argparse import Namespace
from pathlib import Path

from qkcore.commands.options import Added
from qkcore.puzzles.puzzle import PuzzleError, load_puzzles, save_puzzles
from qkcore.wording import percent, tenths


def add_permute(added: Added) -> None:
    """Options of `permute`."""
    parser = added.add_parser("permute", help="put the options of each puzzle into several orders")
    parser.add_argument("--puzzles", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--orders",
        type=int,
        metavar="N",
        help="cyclic orders of each, those in which each place is right as often as another "
        "(default: as many as it has options)",
    )
    parser.add_argument(
        "--never-right",
        action="store_true",
        help='add the options "I don\'t know." and "None of the above.", which stay last',
    )
    parser.set_defaults(run=permute)


def permute(options: Namespace) -> None:
    """Make a puzzle file with every puzzle in several orders of its options."""
    from qkcore.puzzles.multiple_choice import in_orders, with_never_right

    if options.out.resolve() == options.puzzles.resolve():
        raise PuzzleError(f"{options.out}: --out would replace the puzzles; name another file")
    puzzles = load_puzzles(options.puzzles)
    try:
        asked = with_never_right(puzzles) if options.never_right else puzzles
        found = in_orders(asked, options.orders)
    except PuzzleError as error:
        raise PuzzleError(f"{options.puzzles}: {error}") from None
    save_puzzles(found, options.out)
    print(f"{options.out}: {len(puzzles):,} questions, {len(found):,} puzzles")


def add_permutations(added: Added) -> None:
    """Options of `permutations`."""
    parser = added.add_parser(
        "permutations", help="say how often a run is right in every order of the options"
    )
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument("--run", required=True, metavar="RUN", dest="run_id")
    parser.set_defaults(run=permutations)


def permutations(options: Namespace) -> None:
    """Permutation accuracy of a run's chosen head and of the model, beside guessing."""
    from qkcore.results.orders import permutation_accuracy
    from qkcore.results.store import ResultStore
    from qkcore.statistics.clusters import FEW_GROUPS

    with ResultStore.open(options.store) as store:
        found = permutation_accuracy(store, options.run_id)
    first = found.iloc[0]
    n_orders, chance = int(first["n_orders"]), 1 / int(first["n_options"])
    print(
        f"{first['n_questions']:,} test questions, each in {n_orders} orders of its options; the "
        "head was chosen on validation puzzles"
    )
    if first["n_groups"] < FEW_GROUPS:
        print(
            f"Too few puzzles to say: {first['n_questions']:,} questions in {first['n_groups']} "
            f"groups, and intervals need {FEW_GROUPS} groups."
        )
    for row in found.to_dict("records"):
        mean = _with_interval(row["accuracy"], row["low"], row["high"])
        every = _with_interval(row["every"], row["every_low"], row["every_high"])
        print(f"{row['who']}: {mean}; in every order {every}")
    print(
        f"guessing among the options that are ever right: {percent(chance)}; in every order "
        f"{percent(chance)} by an option's text, {percent(chance**n_orders)} anew each time, and "
        f"{percent(0)} by its letter"
    )


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{percent(value)} ({tenths(low)} to {tenths(high)})"
