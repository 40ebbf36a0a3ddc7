"""Open or closed: in which world does the solver give a set's own answers?

In an open world what neither follows nor is denied has no answer; in a closed world it is false.
Promises a count for each world of the stored answers that the solver reaches there, over puzzles
that can tell. Knows nothing of where the puzzles come from.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qkcore.puzzles.logic import Theory, parse_puzzle, solve
from qkcore.puzzles.puzzle import Puzzle, PuzzleError

WORLDS = ("open", "closed")
SAYS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many stored answers the solver reaches in each world."""

    n: int  # puzzles that can tell
    n_open: int
    n_closed: int

    @property
    def world(self) -> str:
        """The world with more of the answers; open if there are as many.

        >>> Agreement(10, 6, 10).world, Agreement(10, 9, 9).world
        ('closed', 'open')
        """
        return "closed" if self.n_closed > self.n_open else "open"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Is a puzzle's statement true? None: unknown."""

    stored: bool | None  # by the stored answer
    open: bool | None
    closed: bool | None
    can_tell: bool  # the worlds apart

    def by(self, world: str) -> bool | None:
        """The solver's verdict in this world."""
        return self.closed if world == "closed" else self.open


def verdicts(puzzle: Puzzle) -> Verdicts:
    """Solve a puzzle in both worlds; unknown where it cannot be read.

    It can tell if its answer follows in an open world or is denied there, or if its context is
    `definite`: what forward chaining does not reach is then really left open. (A proof by cases or
    by contradiction, which the solver does not look for, would look like a closed world.)

    >>> texts = ("Max is a cat. If something is not wild then it is kind.", "Max is kind.")
    >>> verdicts(Puzzle("p", *texts, ("true", "false"), 0, 1, None, "g", "test"))
    Verdicts(stored=True, open=None, closed=True, can_tell=True)
    """
    stored = stored_verdict(puzzle)
    try:
        theory = parse_puzzle(puzzle.context, puzzle.statement)
        found = solve(theory).verdict
    except PuzzleError:
        return Verdicts(stored, None, None, can_tell=False)
    can_tell = stored is not None and (found is not None or is_definite(theory))
    return Verdicts(stored, found, _closed_verdict(theory), can_tell)


def agreement(solved: Iterable[Verdicts]) -> Agreement:
    """Count the stored answers that the solver gives in each world, of those that can tell.

    >>> agreement([Verdicts(True, None, True, True), Verdicts(False, None, None, False)])
    Agreement(n=1, n_open=0, n_closed=1)
    """
    telling = [one for one in solved if one.can_tell]
    return Agreement(
        n=len(telling),
        n_open=sum(one.open is one.stored for one in telling),
        n_closed=sum(one.closed is one.stored for one in telling),
    )


def stored_verdict(puzzle: Puzzle) -> bool | None:
    """Does the stored answer say that the statement is true?

    None: nobody knows, or the candidates are other words.
    """
    return None if puzzle.answer is None else SAYS.get(puzzle.candidates[puzzle.answer].lower())


def is_definite(theory: Theory) -> bool:
    """Do all facts and rules say that something is so, none that it is not, and none with "or"?

    >>> is_definite(parse_puzzle("If something is not wild then it is kind.", "Max is kind."))
    True
    >>> is_definite(parse_puzzle("Max is not wild.", "Max is kind."))
    False
    """
    said = [premise.conclusion for premise in theory.premises]
    return not any(one.is_any for one in said) and all(
        literal.is_positive for one in said for literal in one.literals
    )


def _closed_verdict(theory: Theory) -> bool | None:
    try:
        return solve(theory, closed_world=True).verdict
    except PuzzleError:
        return None
