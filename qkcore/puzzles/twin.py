"""A balanced twin as data: its puzzles, whose twin it is, and how it came about, in a few lines.

Knows nothing of how a twin is made (qkcore.puzzles.balance).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qkcore.puzzles.puzzle import Puzzle, PuzzleError
from qkcore.puzzles.worlds import Agreement

MOST_LINES = 10  # contexts that are named one a line


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A context that has no part in the twin."""

    puzzle_id: str  # the first puzzle that has it
    n_puzzles: int
    reason: str


@dataclass(frozen=True, slots=True)
class Twin:
    """A balanced twin, and how it came about."""

    puzzles: list[Puzzle]
    world: str  # "open" or "closed"
    agreed: Agreement  # with the parent's own answers
    n_contexts: int  # of the parent
    n_mirrored: int  # of those used, how many stand beside their mirror image
    left_out: list[LeftOut]


def parent_of(puzzles: Sequence[Puzzle]) -> str | None:
    """Whose twin these puzzles are: the parent's `puzzle_set_sha256`; None: they are no twin.

    Raises:
        PuzzleError: when they name several parents, or only some name one.

    >>> from qkcore import generate_puzzles
    >>> parent_of(generate_puzzles(1, 0, n=4)) is None
    True
    """
    parents = {puzzle.parent for puzzle in puzzles}
    if len(parents) > 1:
        first = next(puzzle for puzzle in puzzles if puzzle.parent != puzzles[0].parent)
        raise PuzzleError(
            f"puzzle {first.puzzle_id!r} names another parent than {puzzles[0].puzzle_id!r}; keep "
            "a twin's puzzles in a file of their own"
        )
    return parents.pop() if parents else None


def twin_report(twin: Twin, lists_all: bool = False) -> list[str]:
    """Lines that say which world the answers hold in, and which contexts were used or left out."""
    agreed, used = twin.agreed, twin.n_contexts - len(twin.left_out)
    lines = [
        f"{twin.world} world: of the parent's answers, {agreed.n:,} can tell; the solver gives "
        f"{agreed.n_open:,} of them in an open world and {agreed.n_closed:,} in a closed one",
        f"{used:,} of {twin.n_contexts:,} contexts used, {len(twin.puzzles) // 4:,} statements of "
        "each of the four kinds",
    ]
    if twin.n_mirrored:
        lines.append(
            f"{twin.n_mirrored:,} contexts stand beside their mirror image: another name, of whom "
            "the opposite holds"
        )
    if not twin.left_out:
        return lines
    n_puzzles = sum(one.n_puzzles for one in twin.left_out)
    lines.append(f"left out, {len(twin.left_out):,} contexts ({n_puzzles:,} puzzles):")
    shown = twin.left_out if lists_all else twin.left_out[:MOST_LINES]
    lines += [f"  {one.puzzle_id}: {one.reason}" for one in shown]
    if len(shown) < len(twin.left_out):
        lines.append(f"  and {len(twin.left_out) - len(shown):,} more; --list names them all")
    return lines
