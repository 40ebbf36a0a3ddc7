"""Which puzzles of a set a protocol asks: drawn by a seed, in whole groups, even over answers.

Knows nothing of protocols or files.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from qkcore.puzzles.puzzle import SPLITS, Puzzle


def drawn(puzzles: Sequence[Puzzle], n_validation: int, n_test: int, seed: int) -> list[Puzzle]:
    """So many puzzles of each split at most, in the order in which they come.

    As many of each answer as of the rarest, as near as whole groups allow; groups are taken of
    every pair of steps and distractors in turn.

    Args:
        puzzles: that have splits.
        n_validation: puzzles at most.
        n_test: likewise.
        seed: of the draw; the same puzzles and seed give the same draw.

    >>> from qkcore import generate_puzzles
    >>> found = drawn(generate_puzzles([1, 2], 0, n=80), n_validation=16, n_test=40, seed=0)
    >>> [sum(one.split == split for one in found) for split in SPLITS]
    [16, 40]
    >>> Counter(one.answer for one in found if one.split == "test")
    Counter({0: 20, 1: 20})
    """
    kept: set[str] = set()
    for split, n in zip(SPLITS, (n_validation, n_test), strict=True):
        kept |= _groups([one for one in puzzles if one.split == split], n, f"{seed} {split}")
    return [one for one in puzzles if one.group in kept]


def _groups(puzzles: Sequence[Puzzle], n: int, seed: str) -> set[str]:
    """The groups of one split that are taken."""
    groups: dict[str, list[Puzzle]] = defaultdict(list)
    for one in puzzles:
        groups[one.group].append(one)
    n_of = Counter(_answer(one) for one in puzzles)
    if not n_of:
        return set()
    each = min(n // len(n_of), min(n_of.values()))
    room = dict.fromkeys(n_of, each)
    taken = set()
    for name in _in_turn(groups, random.Random(seed)):
        counts = Counter(_answer(one) for one in groups[name])
        if all(count <= room[answer] for answer, count in counts.items()):
            taken.add(name)
            for answer, count in counts.items():
                room[answer] -= count
    return taken


def _answer(puzzle: Puzzle) -> str:
    return "" if puzzle.answer is None else puzzle.candidates[puzzle.answer]


def _in_turn(groups: dict[str, list[Puzzle]], rng: random.Random) -> list[str]:
    """All groups, one of each difficulty after the other, for as long as there are any."""
    strata: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, members in groups.items():
        first = members[0]
        key = tuple(-1 if one is None else one for one in (first.steps, first.distractors))
        strata[key[0], key[1]].append(name)
    left = []
    for key in sorted(strata):
        names = sorted(strata[key])
        rng.shuffle(names)
        left.append(names)
    order: list[str] = []
    while left := [names for names in left if names]:
        rng.shuffle(left)
        order += [names.pop() for names in left]
    return order
