"""The luck line: what the best of many guessing heads gets.

Answers are shuffled, every head is marked anew and the best mark is kept, a thousand times (a
max-statistic permutation test). Which answers trade places is in `statistics/exchange`. Knows
nothing of models or stores.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from qkcore.statistics.blocks import blocks
from qkcore.statistics.exchange import shuffles
from qkcore.statistics.metrics import MEASURES

N_PERMUTATIONS = 1_000
HEADS_AT_ONCE = 512
PUZZLES_AT_ONCE = 4_096  # counts are whole numbers, so sums of sums are the same bits

Key = tuple[int | None, int | None]  # steps, distractors; None: all of them


def luck_line(
    choices: np.ndarray, puzzles: pd.DataFrame, n_permutations: int = N_PERMUTATIONS, seed: int = 0
) -> pd.DataFrame:
    """What the best of all heads gets by luck.

    Answers are shuffled and the maximum over heads is taken, many times. The shuffles stay within
    puzzles of the same difficulty, and of one group and the same candidates where that leaves
    something to shuffle; else whole groups trade (`exchange.exchangeable`). So heads keep their
    correlations and their constant answers, and gain nothing by answering a group alike (a
    max-statistic permutation test).

    Args:
        choices: (puzzle, head) candidate index, -1 for none. Puzzles of one split.
        puzzles: answer, group, steps, distractors, in the same order, and candidates unless all
            puzzles share them.
        n_permutations: how often answers are shuffled.
        seed: of the shuffles.

    Returns:
        steps, distractors (missing = all of them), n, q50, q95 (shares), n_permutations, and of
        every head the mean and the standard deviation of its number of right answers over the
        shuffles: null_mean, null_sd (lists).

    >>> import numpy as np
    >>> import pandas as pd
    >>> from qkcore import luck_line
    >>> puzzles = pd.DataFrame({"answer": [0, 1] * 50, "group": 0, "steps": 1, "distractors": 0})
    >>> choices = np.random.default_rng(0).integers(0, 2, size=(100, 32))  # 32 heads that guess
    >>> luck_line(choices, puzzles)[["n", "q50", "q95"]].iloc[0].tolist()
    [100.0, 0.6, 0.65]
    """
    lines = luck_lines(choices, puzzles, n_permutations, seed, ["accuracy"])
    return lines.drop(columns="measure")


def luck_lines(
    choices: np.ndarray,
    puzzles: pd.DataFrame,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
    measures: Sequence[str] = MEASURES,
) -> pd.DataFrame:
    """`luck_line` by accuracy and by balanced accuracy, of the same shuffles.

    Args:
        choices: as `luck_line` takes them, and so on.
        puzzles: likewise.
        n_permutations: likewise.
        seed: likewise.
        measures: of `MEASURES`.

    Returns:
        measure and the columns of `luck_line`. For balanced accuracy null_mean and null_sd are of
        the balanced accuracy itself, a share.
    """
    rng = np.random.default_rng(seed)
    shuffled = np.concatenate(list(shuffles(puzzles, n_permutations, rng)))
    cells = _cells(puzzles)
    of_blocks = [
        {
            (measure, key): (int(n.sum(axis=-1)[0]), *_marks(n_right, n, measure))
            for key, n_right, n in _counts(shuffled, choices[:, some], cells)
            for measure in measures
        }
        for some in blocks(choices.shape[1], HEADS_AT_ONCE)
    ]
    lines = []
    for measure, key in of_blocks[0]:
        n, best, means, deviations = zip(*(own[measure, key] for own in of_blocks), strict=True)
        marks = np.max(best, axis=0)
        q50, q95 = (float(quantile) for quantile in np.quantile(marks, [0.5, 0.95]))
        null = (np.concatenate(own).tolist() for own in (means, deviations))
        lines.append((measure, *key, n[0], q50, q95, len(marks), *null))
    columns = ["q50", "q95", "n_permutations", "null_mean", "null_sd"]
    frame = pd.DataFrame(lines, columns=["measure", "steps", "distractors", "n", *columns])
    return frame.astype({"steps": "Int64", "distractors": "Int64"})


def _marks(
    n_right: np.ndarray, n: np.ndarray, measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(permutation,) share of the best head; (head,) mean and standard deviation of all marks.

    Args:
        n_right: (answer, permutation, head).
        n: (permutation, answer) puzzles by their shuffled answer.
        measure: of `MEASURES`.
    """
    if measure == "accuracy":
        marks = n_right.sum(axis=0)
        best = marks.max(axis=1).astype(float) / n.sum(axis=-1)
    else:
        weight = (n > 0) / np.maximum(n, 1) / (n > 0).sum(axis=-1, keepdims=True)
        marks = np.einsum("aph,pa->ph", n_right, weight.astype(np.float32))
        best = marks.max(axis=1).astype(float)
    return best, marks.mean(axis=0, dtype=float), marks.std(axis=0, dtype=float)


def _cells(puzzles: pd.DataFrame) -> dict[Key, np.ndarray]:
    """The rows of the puzzles of each difficulty."""
    cells: dict[Key, np.ndarray] = {}
    for rows in puzzles.groupby(["steps", "distractors"], dropna=False).indices.values():
        stated = puzzles[["steps", "distractors"]].iloc[int(rows[0])]
        steps, distractors = (None if pd.isna(value) else int(value) for value in stated)
        cells[steps, distractors] = np.asarray(rows)
    return cells


def _counts(
    shuffled: np.ndarray, choices: np.ndarray, cells: dict[Key, np.ndarray]
) -> Iterator[tuple[Key, np.ndarray, np.ndarray]]:
    """Right answers and puzzles by shuffled answer, of every difficulty and of all.

    Sums over difficulties are kept only until they are complete: a thousand shuffles of some
    thousand heads are much to hold.

    Yields:
        Key, (answer, permutation, head) float32 right answers, (permutation, answer) puzzles.
    """
    waiting = Counter(own for key in cells for own in _sums_of(key))
    sums: dict[Key, tuple[np.ndarray, np.ndarray]] = {}
    for key, rows in cells.items():
        found = _right_counts(shuffled[:, rows], choices[rows], int(shuffled.max()) + 1)
        for own in _sums_of(key):
            before = sums.get(own)
            sums[own] = found if before is None else (before[0] + found[0], before[1] + found[1])
            waiting[own] -= 1
            if not waiting[own]:
                yield own, *sums.pop(own)


def _sums_of(key: Key) -> set[Key]:
    """The difficulties that a cell counts for."""
    steps, distractors = key
    return {(s, d) for s in (steps, None) for d in (distractors, None)}


def _right_counts(
    answers: np.ndarray, choices: np.ndarray, n_answers: int
) -> tuple[np.ndarray, np.ndarray]:
    """How often head and shuffled answer agree, as one matrix product a candidate.

    Returns:
        (answer, permutation, head) float32 and (permutation, answer) puzzles.
    """
    counts = np.zeros((n_answers, len(answers), choices.shape[1]), dtype=np.float32)
    n = np.zeros((len(answers), n_answers), dtype=int)
    for first in range(0, len(choices), PUZZLES_AT_ONCE):
        some = slice(first, first + PUZZLES_AT_ONCE)
        for candidate in range(n_answers):
            is_answer, is_choice = answers[:, some] == candidate, choices[some] == candidate
            counts[candidate] += is_answer.astype(np.float32) @ is_choice.astype(np.float32)
            n[:, candidate] += is_answer.sum(axis=1)
    return counts, n
