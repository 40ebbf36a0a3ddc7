"""Which puzzles may trade answers, and answers shuffled accordingly.

What guessing gets is seen by shuffling the right answers, and a shuffle must leave in place what
answers of one group share. Knows nothing of who answers.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

N_AT_ONCE = 100  # shuffles drawn together: random numbers take eight times the room of answers


def exchangeable(puzzles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units of puzzles that trade answers as a whole, and blocks of units that may trade.

    Puzzles of one group, difficulty and set of candidates trade among themselves: each is a unit.
    Where all of those share one answer there is nothing to trade, and whoever answers alike within
    a group is right on all of them or on none. So what is left of a group is one unit. It trades
    with groups of the same candidates and difficulties, each difficulty's answer for the other
    group's; where that leaves nothing to trade, with others of that difficulty; at last with
    others of as many candidates. Never otherwise: a puzzle of two candidates has no third answer.

    Args:
        puzzles: answer, group, and where puzzles differ in them candidates, steps, distractors.

    Returns:
        Whole numbers for every puzzle: its unit, its block, the same for all of a unit, and its
        cell, which says whose answer of another unit it takes.

    >>> puzzles = pd.DataFrame({"group": [0, 0, 1, 1, 2], "answer": [0, 1, 0, 0, 1]})
    >>> [numbers.tolist() for numbers in exchangeable(puzzles)]
    [[0, 1, 2, 2, 3], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]
    """
    frame = _described(puzzles)
    cell = frame["cell"].to_numpy()
    unit, block = np.zeros(len(frame), dtype=int), np.zeros(len(frame), dtype=int)
    n_units = n_blocks = 0
    for level in ("puzzles", "groups", "difficulty", "number of candidates"):
        units, blocks = _units_and_blocks(frame, level)
        is_last = level == "number of candidates"
        is_placed = _have_several_answers(frame, blocks) | is_last
        rows = frame["row"].to_numpy()[is_placed]
        unit[rows] = n_units + _codes(units[is_placed])
        block[rows] = n_blocks + _codes(blocks[is_placed])
        n_units, n_blocks = n_units + len(rows), n_blocks + len(rows)
        frame = frame[~is_placed]
        if frame.empty:
            break
    return _codes(unit), _codes(block), cell


def _have_several_answers(frame: pd.DataFrame, blocks: np.ndarray) -> np.ndarray:
    """(puzzle,) bool: in some cell of its block answers differ."""
    own, answer = _together(blocks, frame["cell"]), frame["answer"].to_numpy()
    first = np.empty(own.max(initial=-1) + 1, dtype=int)
    first[own] = answer
    has_several = np.zeros(blocks.max(initial=-1) + 1, dtype=bool)
    has_several[blocks[first[own] != answer]] = True
    return has_several[blocks]


def _described(puzzles: pd.DataFrame) -> pd.DataFrame:
    """row, answer, and whole numbers: n_candidates, kind (candidates), cell (difficulty), group.

    And part: what a group has of one kind and cell.
    """
    n = len(puzzles)
    candidates = (
        puzzles["candidates"].map(tuple) if "candidates" in puzzles else pd.Series([()] * n)
    )
    stated = [name for name in ("steps", "distractors") if name in puzzles]
    cell = puzzles.groupby(stated, dropna=False).ngroup() if stated else np.zeros(n, dtype=int)
    frame = pd.DataFrame({"row": np.arange(n), "answer": puzzles["answer"].to_numpy()})
    frame["n_candidates"] = candidates.map(len).to_numpy()
    frame["kind"], frame["cell"] = _codes(candidates), np.asarray(cell)
    frame["group"] = _together(_codes(puzzles["group"]), frame["kind"])
    return frame.assign(part=_together(frame["group"], frame["cell"]))


def _units_and_blocks(frame: pd.DataFrame, level: str) -> tuple[np.ndarray, np.ndarray]:
    """What trades, and among whom, of the puzzles that are left at a level of `exchangeable`."""
    if level == "puzzles":
        return frame["row"].to_numpy(), frame["part"].to_numpy()
    if level == "groups":
        cells = frame.groupby("group")["cell"].agg(lambda own: str(sorted(set(own))))
        which = pd.Series(_codes(cells), index=cells.index)
        return frame["group"].to_numpy(), _together(frame["kind"], frame["group"].map(which))
    among = "kind" if level == "difficulty" else "n_candidates"
    return frame["part"].to_numpy(), _together(frame[among], frame["cell"])


def shuffles(puzzles: pd.DataFrame, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Answers shuffled n times among those that may trade, some at a time.

    Args:
        puzzles: as `exchangeable` takes them.
        n: how many times.
        rng: decides how.

    Yields:
        (permutation, puzzle) int8 index of the right candidate.
    """
    unit, block, cell = exchangeable(puzzles)
    answer_at = np.zeros((unit.max(initial=-1) + 1, cell.max(initial=-1) + 1), dtype=np.int8)
    answer_at[unit, cell] = puzzles["answer"]
    block_of = np.zeros(len(answer_at), dtype=int)
    block_of[unit] = block
    order = np.argsort(block_of, kind="stable")
    for start in range(0, n, N_AT_ONCE):
        # Adding a random fraction to a block's number and sorting shuffles within blocks and keeps
        # blocks in place.
        keys = block_of[order] + rng.random((min(N_AT_ONCE, n - start), len(order)))
        source = np.empty(keys.shape, dtype=np.int32)
        source[:, order] = order[np.argsort(keys, axis=1)]
        yield answer_at[source[:, unit], cell]


def _codes(values: np.ndarray | pd.Series) -> np.ndarray:
    """Whole numbers from 0, in order of first appearance."""
    return pd.factorize(values)[0]


def _together(one: np.ndarray | pd.Series, other: np.ndarray | pd.Series) -> np.ndarray:
    """Whole numbers that are the same where both are."""
    first, second = _codes(one), _codes(other)
    return _codes(first * (second.max(initial=0) + 1) + second)
