"""Statistics of right and wrong.

Counts and choices in, shares, intervals and luck lines out. Knows nothing of where counts come from.
Shares are 0 to 1; the textbook parts are scipy's.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
N_PERMUTATIONS = 1_000


def candidate_choices(scores: np.ndarray) -> np.ndarray:
    """The candidate of the largest score, -1 where two share it: `qkscore.choices` for stored arrays.

    Args:
        scores: (..., candidate). Candidates that a puzzle does not have are NaN.

    Returns:
        (...) int8.

    >>> candidate_choices(np.array([[3.0, 1.0], [2.0, 2.0], [1.0, np.nan]])).tolist()
    [0, -1, 0]
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    best = known.max(axis=-1, keepdims=True)
    is_tie = (known == best).sum(axis=-1) > 1
    return np.where(is_tie, -1, known.argmax(axis=-1)).astype(np.int8)


def accuracy_interval(n_right, n, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share (E. B. Wilson 1927, without continuity correction).

    Args:
        n_right, n: counts, scalars or arrays of one shape; n > 0.

    Returns:
        (low, high), each of that shape.

    >>> low, high = accuracy_interval(8, 10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.49, 0.943)
    """
    n_right, n = np.asarray(n_right, dtype=float), np.asarray(n, dtype=float)
    z = stats.norm.ppf(0.5 + confidence / 2)
    share = n_right / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)


def with_accuracy(counts: pd.DataFrame) -> pd.DataFrame:
    """The frame with accuracy, low and high (95 %) beside its n and n_right."""
    low, high = accuracy_interval(counts["n_right"], counts["n"])
    return counts.assign(accuracy=counts["n_right"] / counts["n"], low=low, high=high)


def select_heads(validation: pd.DataFrame, k: int = 1) -> list[tuple[int, int]]:
    """The k heads with the most right answers, best first; equal ones in order of layer and head.

    Args:
        validation: layer, head, n_right, counted on **validation** puzzles: a head chosen and reported on the same
            puzzles looks better than it is.
    """
    ranked = validation.sort_values(["n_right", "layer", "head"], ascending=[False, True, True], kind="stable")
    return [(int(layer), int(head)) for layer, head in ranked[["layer", "head"]].head(k).to_numpy()]


@dataclass(frozen=True, slots=True)
class Gap:
    """Head accuracy minus model accuracy on the same puzzles, as shares, with a 95 % interval and a p-value."""

    gap: float
    low: float
    high: float
    p: float  # exact McNemar test: is either of the two right more often where they differ?


def paired_test(n: int, n_only_head: int, n_only_model: int) -> Gap:
    """Compare a head and the model on the n puzzles that both answered.

    The interval is Wald's for paired shares with Agresti and Min's +0.5 on each discordant count (Statistics in
    Medicine 24, 2005); the p-value is McNemar's exact one.

    >>> paired_test(100, 12, 2).gap
    0.1
    """
    discordant = n_only_head + n_only_model
    p = stats.binomtest(n_only_head, discordant).pvalue if discordant else 1.0
    b, c, total = n_only_head + 0.5, n_only_model + 0.5, n + 2
    centre = (b - c) / total
    half = stats.norm.ppf(0.5 + CONFIDENCE / 2) * np.sqrt(b + c - (b - c) ** 2 / total) / total
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Gap((n_only_head - n_only_model) / n, float(low), float(high), float(p))


def shuffled_answers(answers: np.ndarray, blocks: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Answers shuffled n times within blocks.

    Blocks whose puzzles all share one answer cannot be shuffled by themselves; they are shuffled together.

    Args:
        answers: (puzzle,) index of the right candidate.
        blocks: (puzzle,) whole numbers; equal ones may trade answers.

    Returns:
        (permutation, puzzle).
    """
    frame = pd.DataFrame({"block": blocks, "answer": answers})
    is_mixed = frame.groupby("block")["answer"].transform("nunique") > 1
    block = np.where(is_mixed, frame["block"].to_numpy(dtype=float), -1.0)
    order = np.argsort(block, kind="stable")
    # Adding a random fraction to a block's number and sorting shuffles within blocks and keeps blocks in place.
    keys = block[order] + rng.random((n, len(answers)))
    shuffled = np.empty((n, len(answers)), dtype=answers.dtype)
    shuffled[:, order] = answers[order][np.argsort(keys, axis=1)]
    return shuffled


def luck_line(
    choices: np.ndarray, puzzles: pd.DataFrame, n_permutations: int = N_PERMUTATIONS, seed: int = 0
) -> pd.DataFrame:
    """What the best of all heads gets by luck: answers shuffled, the maximum over heads taken, many times.

    The shuffles stay within a group's puzzles of the same difficulty, so heads keep their correlations and their
    constant answers (a max-statistic permutation test).

    Args:
        choices: (puzzle, head) candidate index, -1 for none. Puzzles of one split.
        puzzles: answer, group, steps, distractors, in the same order.

    Returns:
        steps, distractors (missing = all of them), n, q50, q95 (shares), n_permutations.
    """
    rng = np.random.default_rng(seed)
    sums: dict[tuple, np.ndarray] = {}
    sizes: dict[tuple, int] = {}
    frame = puzzles.assign(row=np.arange(len(puzzles)))
    for (steps, distractors), cell in frame.groupby(["steps", "distractors"], dropna=False):
        rows = cell["row"].to_numpy()
        blocks = cell.groupby("group", sort=False).ngroup().to_numpy()
        shuffled = shuffled_answers(cell["answer"].to_numpy(), blocks, n_permutations, rng)
        n_right = _right_counts(shuffled, choices[rows])
        known = tuple(None if pd.isna(value) else int(value) for value in (steps, distractors))
        for key in {(s, d) for s in (known[0], None) for d in (known[1], None)}:
            sums[key] = sums.get(key, 0) + n_right
            sizes[key] = sizes.get(key, 0) + len(rows)
    lines = []
    for (steps, distractors), n_right in sums.items():
        best = n_right.max(axis=1).astype(float) / sizes[steps, distractors]
        q50, q95 = np.quantile(best, [0.5, 0.95])
        lines.append((steps, distractors, sizes[steps, distractors], q50, q95, n_permutations))
    columns = ["steps", "distractors", "n", "q50", "q95", "n_permutations"]
    return pd.DataFrame(lines, columns=columns).astype({"steps": "Int64", "distractors": "Int64"})


def _right_counts(answers: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """(permutation, head) how often head and shuffled answer agree, as one matrix product a candidate."""
    counts = np.zeros((len(answers), choices.shape[1]), dtype=np.float32)
    for candidate in np.unique(answers):
        counts += (answers == candidate).astype(np.float32) @ (choices == candidate).astype(np.float32)
    return counts
