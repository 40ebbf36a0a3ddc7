"""`generate`, `import` and `balance`: puzzle files made."""

import argparse
from argparse import Namespace
from pathlib import Path

from qkcore.commands.options import Added
from qkcore.puzzles.public_sets import NAMES
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, load_puzzles, save_puzzles
from qkcore.puzzles.worlds import WORLDS


def add_generate(added: Added) -> None:
    """Options of `generate`."""
    parser = added.add_parser("generate", help="make new puzzles that no surface rule solves")
    parser.add_argument(
        "--steps",
        type=_whole_range,
        default=(1, 1),
        metavar="N[-M]",
        help="rule applications (0 to 6)",
    )
    parser.add_argument(
        "--distractors", type=_whole_range, default=(0, 0), metavar="N[-M]", help="0 to 5"
    )
    parser.add_argument(
        "--n", type=int, default=100, help="puzzles for each pair of steps and distractors"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--options",
        type=int,
        metavar="K",
        help="multiple choice: K options (2 to 8), one of which follows (default: true or false)",
    )
    parser.add_argument("--style", choices=("made-up", "everyday"), default="made-up")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.set_defaults(run=generate)


def _whole_range(text: str) -> tuple[int, int]:
    """(first, last) of "3" or "1-6"."""
    first, _, last = text.partition("-")
    try:
        pair = int(first), int(last or first)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a whole number nor a range such as 1-6"
        ) from None
    if pair[0] > pair[1]:
        raise argparse.ArgumentTypeError(f"{text!r} runs backwards")
    return pair


def generate(options: Namespace) -> None:
    """Make new puzzles and save them."""
    from qkcore.puzzles.generate import generate_puzzles
    from qkcore.puzzles.multiple_choice import generate_options

    steps, distractors = (
        range(first, last + 1) for first, last in (options.steps, options.distractors)
    )
    if options.options is None:
        puzzles = generate_puzzles(steps, distractors, options.n, options.seed, options.style)
    else:
        drawn = {"seed": options.seed, "style": options.style}
        puzzles = generate_options(steps, distractors, options.n, options=options.options, **drawn)
    _save(puzzles, options.out)


def add_import(added: Added) -> None:
    """Options of `import`."""
    parser = added.add_parser("import", help="read a public puzzle set into a puzzle file")
    parser.add_argument("format", choices=tuple(NAMES))
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--seed", type=int, default=0, help="decides who is validation and who is test"
    )
    parser.add_argument(
        "--validation-share", type=float, default=0.5, metavar="SHARE", help="0 to 1 (default: 0.5)"
    )
    parser.set_defaults(run=import_set)


def import_set(options: Namespace) -> None:
    """Read a public puzzle set, save it as puzzles, and say what was taken and left out."""
    from qkcore.puzzles.import_report import report
    from qkcore.puzzles.public_sets import read_set

    found = read_set(options.format, options.paths, options.seed, options.validation_share)
    _save(found.puzzles, options.out)
    for line in report(found):
        print(line)


def add_balance(added: Added) -> None:
    """Options of `balance`."""
    parser = added.add_parser(
        "balance", help="make a puzzle file's balanced twin, which no surface rule solves"
    )
    parser.add_argument("--puzzles", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--world",
        choices=WORLDS,
        help="is what does not follow left open, or false? (default: as the puzzles' own answers)",
    )
    parser.add_argument(
        "--per-context",
        type=int,
        default=2,
        metavar="N",
        help="statements of each of the four kinds, where the context has as many (default: 2)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument(
        "--list", action="store_true", help="name every context that is left out, not the first ten"
    )
    parser.set_defaults(run=balance)


def balance(options: Namespace) -> None:
    """Make a puzzle file's balanced twin, and say what came of it."""
    from qkcore.puzzles.balance import balance_puzzles
    from qkcore.puzzles.twin import twin_report

    if options.out.resolve() == options.puzzles.resolve():
        raise PuzzleError(f"{options.out}: --out would replace the parent's file; name another")
    puzzles = load_puzzles(options.puzzles)
    try:
        twin = balance_puzzles(puzzles, options.world, options.per_context, options.seed)
    except PuzzleError as error:
        raise PuzzleError(f"{options.puzzles}: {error}") from None
    _save(twin.puzzles, options.out)
    for line in twin_report(twin, lists_all=options.list):
        print(line)


def _save(puzzles: list[Puzzle], path: Path) -> None:
    save_puzzles(puzzles, path)
    n_test = sum(puzzle.split == "test" for puzzle in puzzles)
    print(
        f"{path}: {len(puzzles):,} puzzles, {len(puzzles) - n_test:,} validation and {n_test:,} "
        "test"
    )
