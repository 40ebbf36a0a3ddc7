"""What an import took and what it left out: as data, and in a few lines that people read.

Promises that the numbers add up: every puzzle of a file taken is kept, a repeat or contradicted.
Knows nothing of any benchmark's format.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from qkcore.puzzles.puzzle import Puzzle, PuzzleError

MOST_LINES = 10  # files, or else folders, that are listed one a line
MOST_NAMES = 3  # files that are named within a line


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that puzzles were read from."""

    path: Path
    n_puzzles: int  # kept
    n_unknown: int  # of those kept, how many have steps that nobody states
    n_repeats: int  # left out: the import has them already, from here or from an earlier file
    n_contradicted: int  # left out: they stand again, here or in a later file, with another answer


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file found in a folder that is none of the set's, or holds no puzzles."""

    path: Path
    reason: str  # what follows the file's name: "is empty"


@dataclass(frozen=True, slots=True)
class Import:
    """The puzzles of published files, and what became of each file."""

    puzzles: list[Puzzle]
    taken: list[Taken]
    left_out: list[LeftOut]


def without_repeats(
    read: Mapping[Path, Iterable[Puzzle]], named: Set[Path]
) -> tuple[list[Puzzle], list[Taken]]:
    """Each puzzle once, from the file that has it first, and what is taken from each file.

    Args:
        read: the puzzles of each file; they are the same if context and statement are.
        named: the files in which a contradiction is an error.

    Raises:
        PuzzleError: naming both puzzles, if a puzzle stands again with another answer and one of
            the two files is named. Otherwise it is left out.
    """
    # Some published files repeat others: the in-context examples of PrOntoQA's 5testhops files come
    # from the 1hop file.
    first: dict[tuple[str, str], tuple[Path, Puzzle]] = {}
    contradicted: set[tuple[str, str]] = set()
    n_repeats = Counter[Path]()
    for path, puzzles in read.items():
        for puzzle in puzzles:
            asked = puzzle.context, puzzle.statement
            home, other = first.setdefault(asked, (path, puzzle))
            n_repeats[path] += other is not puzzle
            if other.answer == puzzle.answer:
                continue
            if named & {home, path}:
                raise PuzzleError(
                    f"{puzzle.puzzle_id}: the same puzzle has another answer in "
                    f"{other.puzzle_id}; drop one"
                )
            contradicted.add(asked)
    n_contradicted = Counter(first.pop(asked)[0] for asked in contradicted)
    n_kept = Counter(home for home, _ in first.values())
    n_unknown = Counter(home for home, puzzle in first.values() if puzzle.steps is None)
    taken = [
        Taken(path, n_kept[path], n_unknown[path], n_repeats[path], n_contradicted[path])
        for path in read
    ]
    return [puzzle for _, puzzle in first.values()], taken


def report(found: Import) -> list[str]:
    """Lines that say what was taken from where, and what was left out and why."""
    repeats = {taken.path: taken.n_repeats for taken in found.taken}
    contradicted = {taken.path: taken.n_contradicted for taken in found.taken}
    unknown = {taken.path: taken.n_unknown for taken in found.taken}
    files_by_reason: dict[str, list[Path]] = defaultdict(list)
    for left_out in found.left_out:
        files_by_reason[left_out.reason].append(left_out.path)
    return [
        *_taken(found.taken),
        *_counted("left out, {} that repeat another", repeats),
        *_counted("left out, {} that stand with two answers", contradicted),
        *(
            f"left out, {_n(len(files), 'file')} ({'it' if len(files) == 1 else 'each'} {reason}): "
            + _listed(list(map(str, files)))
            for reason, files in files_by_reason.items()
        ),
        *_counted("{} of unknown difficulty", unknown),
    ]


def _taken(taken: list[Taken]) -> list[str]:
    """A line a file, or a line a folder where there are many files."""
    n_puzzles, n_files = Counter[Path](), Counter[Path]()
    is_long = len(taken) > MOST_LINES
    for file in taken:
        place = file.path.parent if is_long else file.path
        n_puzzles[place] += file.n_puzzles
        n_files[place] += 1
    lines = [
        f"{place}: {_n(n_puzzles[place], 'puzzle')}"
        + (f" from {_n(n_files[place], 'file')}" if is_long else "")
        for place in n_files
    ]
    rest = list(n_files)[MOST_LINES:]
    if not rest:
        return lines
    files, puzzles = sum(n_files[place] for place in rest), sum(n_puzzles[place] for place in rest)
    last = f"and {_n(files, 'more file')} in {_n(len(rest), 'folder')}: {_n(puzzles, 'puzzle')}"
    return [*lines[:MOST_LINES], last]


def _counted(sentence: str, n_of: Mapping[Path, int]) -> list[str]:
    """The sentence with the number of puzzles, and the files they stand in; nothing if none."""
    names = [f"{path} ({n:,})" for path, n in n_of.items() if n]
    total = _n(sum(n_of.values()), "puzzle")
    return [f"{sentence.format(total)}: {_listed(names)}"] if names else []


def _listed(names: list[str]) -> str:
    """The first names, and how many more there are.

    >>> _listed(["a.json", "b.json", "c.json", "d.json", "e.json"])
    'a.json, b.json, c.json and 2 more files'
    """
    n_more = len(names) - MOST_NAMES
    more = f" and {_n(n_more, 'more file')}" if n_more > 0 else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _n(count: int, noun: str) -> str:
    """A number with what it counts.

    >>> _n(1, "file"), _n(1200, "more file")
    ('1 file', '1,200 more files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
