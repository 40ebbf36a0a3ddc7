"""Contrasts: a predicate that holds of one subject in a context and not of another.

"Max is red" true and "Rex is red" false: the word is the same, its counts and places in the context
too, and only what follows tells the two apart. Two contrasts that cross (the second holds of the
second subject and not of the first) make the subjects alike too: who is asked about tells nothing,
what is asked tells nothing, and "not" tells nothing. Knows nothing of puzzles' answers or text.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from qkcore.puzzles.english import ANYTHING, Formula, Literal, Sentence
from qkcore.puzzles.logic import Solution, Theory, solve

MAX_CROSSES = 400  # looked at in one context, drawn at random from more


@dataclass(frozen=True, slots=True)
class Contrast:
    """A predicate, whom it holds of, and whom it does not hold of."""

    predicate: str
    holder: str
    other: str
    steps: int  # of the proof for the holder
    proof: frozenset[str]  # the premises that either proof uses

    @property
    def cells(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(subject, predicate), true and false."""
        return (self.holder, self.predicate), (self.other, self.predicate)


@dataclass(slots=True)
class Evenness:
    """Keeps a whole set even where a single context cannot be.

    Counts, over what was chosen so far, how often a subject's word went with a predicate's word
    where it was true, less where it was false ("the mouse is cute" is true too often in some sets);
    how often the subject that comes first has the predicate that comes first; and, of contrasts
    that cross none, how often the subject that comes first, or of whom more is said, has it.
    """

    totals: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def cost(self, signs: Iterable[tuple[tuple[str, ...], int]]) -> int:
        """How much more uneven the set would be."""
        return sum(abs(self.totals[key] + sign) - abs(self.totals[key]) for key, sign in signs)

    def add(self, signs: Iterable[tuple[tuple[str, ...], int]]) -> None:
        """Count what was chosen."""
        for key, sign in signs:
            self.totals[key] += sign


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a context speaks of whom and of what."""

    places: dict[str, int]  # the premise, from 0, that first names a subject, or gives a predicate
    n_mentions: dict[str, int]  # premises about a subject


def layout_of(premises: Sequence[Sentence]) -> Layout:
    """The layout of a context; a predicate's place is in a rule if any rule concludes it."""
    places: dict[str, int] = {}
    counts = Counter[str]()
    for number, premise in enumerate(premises):
        condition = premise.condition.literals if premise.condition else ()
        subjects = {one.subject for one in (*premise.conclusion.literals, *condition)}
        for subject in subjects - {ANYTHING}:
            places.setdefault(subject, number)
            counts[subject] += 1
    for number, premise in sorted(enumerate(premises), key=lambda pair: not pair[1].condition):
        for literal in premise.conclusion.literals:
            places.setdefault(literal.predicate, number)
    return Layout(places, counts)


def contrasts(premises: Sequence[Sentence], closed_world: bool) -> list[Contrast]:
    """All contrasts of a context.

    In an open world the predicate is denied of the other subject by a proof of as many steps; in a
    closed world it does not follow.

    >>> from qkcore.puzzles.english import Grammar
    >>> read = Grammar().sentences("Max is a cat. Rex is a dog. Every cat is red.")
    >>> [(one.predicate, one.holder, one.other, one.steps) for one in contrasts(read, True)]
    [('cat', 'max', 'rex', 0), ('dog', 'rex', 'max', 0), ('red', 'max', 'rex', 1)]

    Raises:
        LogicError: when the context contradicts itself, or leaves an "or" open in a closed world.
    """
    said = [literal for one in premises for literal in one.conclusion.literals]
    conditions = [
        literal for one in premises if one.condition for literal in one.condition.literals
    ]
    subjects = sorted({literal.subject for literal in (*said, *conditions)} - {ANYTHING})
    positive, negative = (
        {literal.predicate for literal in said if literal.is_positive is sign}
        for sign in (True, False)
    )
    asked = positive if closed_world else positive & negative
    found: list[Contrast] = []
    for predicate in sorted(one for one in asked if " " not in one):  # no relations
        solutions = {
            subject: _solution(premises, subject, predicate, closed_world) for subject in subjects
        }
        found += _contrasts_of(predicate, solutions, closed_world)
    return found


def _solution(
    premises: Sequence[Sentence], subject: str, predicate: str, closed_world: bool
) -> Solution:
    return solve(Theory(tuple(premises), Formula((Literal(subject, predicate),))), closed_world)


def _contrasts_of(
    predicate: str, solutions: dict[str, Solution], closed_world: bool
) -> Iterator[Contrast]:
    for holder, holds in solutions.items():
        for other, fails in solutions.items():
            is_alike = closed_world or holds.steps == fails.steps
            if holds.verdict and fails.verdict is False and is_alike and holds.steps is not None:
                used = frozenset((*holds.proof, *fails.proof))
                yield Contrast(predicate, holder, other, holds.steps, used)


def choose(
    found: Sequence[Contrast],
    n: int,
    steps: Iterable[int],
    layout: Layout,
    evenness: Evenness,
    rng: random.Random,
) -> list[Contrast]:
    """Up to `n` contrasts that share no cell, in crossed pairs; one that crosses none if need be.

    Args:
        found: of one context.
        n: how many; an odd one crosses none.
        steps: wanted; the nearest come first. Statements of no steps, which the context holds as
            they stand, are taken only if 0 is among them.
        layout: of the context.
        evenness: what was chosen from other contexts; of those equally near, what keeps it even
            comes first.
        rng: decides between equals.
    """
    wanted = set(steps)
    usable = [one for one in found if one.steps or 0 in wanted]
    distance = {
        one: min((abs(one.steps - number) for number in wanted), default=0) for one in usable
    }
    crosses = [(one, two) for one, two in combinations(usable, 2) if _cross(one, two)]
    rng.shuffle(crosses)
    crosses.sort(key=lambda pair: _farness(pair, distance))
    chosen: list[Contrast] = []
    singles = [(one,) for one in rng.sample(usable, len(usable))]
    singles.sort(key=lambda single: distance[single[0]])
    _take(crosses[:MAX_CROSSES], n - n % 2, chosen, distance, layout, evenness)
    if not chosen or n % 2:
        _take(singles, n, chosen, distance, layout, evenness)
    return chosen


def _cross(one: Contrast, two: Contrast) -> bool:
    return (one.holder, one.other) == (two.other, two.holder)


def _take(
    offered: Sequence[tuple[Contrast, ...]],
    n: int,
    chosen: list[Contrast],
    distance: dict[Contrast, int],
    layout: Layout,
    evenness: Evenness,
) -> None:
    """Move the best on offer to `chosen`, again and again, until there are `n` or none is left."""
    used = {cell for one in chosen for cell in one.cells}
    while len(chosen) < n:
        offered = [
            group for group in offered if not used & {cell for one in group for cell in one.cells}
        ]
        if not offered:
            return
        best = min(
            offered,
            key=lambda group: (
                _farness(group, distance),
                evenness.cost(_signs(group, layout)),
            ),
        )
        evenness.add(_signs(best, layout))
        used |= {cell for one in best for cell in one.cells}
        chosen += best


def _farness(group: tuple[Contrast, ...], distance: dict[Contrast, int]) -> tuple[int, int]:
    """How far a group's steps are from those wanted, the farthest first."""
    far = [distance[one] for one in group]
    return max(far), sum(far)


def _signs(group: tuple[Contrast, ...], layout: Layout) -> list[tuple[tuple[str, ...], int]]:
    """What a group adds to each count of `Evenness`."""
    signs: list[tuple[tuple[str, ...], int]] = []
    for one in group:
        signs += [(cell, sign) for cell, sign in zip(one.cells, (1, -1), strict=True)]
    places, counts = layout.places, layout.n_mentions
    if len(group) == 2:
        first, second = group
        same = (places[first.holder] < places[second.holder]) == (
            places[first.predicate] < places[second.predicate]
        )
        signs.append((("order",), 1 if same else -1))
    else:
        (one,) = group
        signs.append((("first",), _sign(places[one.other] - places[one.holder])))
        signs.append((("more",), _sign(counts[one.holder] - counts[one.other])))
    return signs


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
