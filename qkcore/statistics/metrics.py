"""Statistics of right and wrong.

Counts and choices in, shares, intervals and tests out. Knows nothing of where counts come from.
Shares are 0 to 1; the textbook parts are scipy's. The luck line is in `qkcore.statistics.luck`,
votes of several heads are in `qkcore.statistics.votes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

CONFIDENCE = 0.95
FALSE_DISCOVERY_RATE = 0.05
MEASURES = ("accuracy", "balanced_accuracy")  # what heads are chosen and reported by
REPORTED = ("n", "n_right", "n_groups", "accuracy", "low", "high")  # of a share, with its interval


def accuracy_interval(
    n_right: ArrayLike, n: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share (E. B. Wilson 1927, without continuity correction).

    Args:
        n_right: counts, a scalar or an array.
        n: likewise, of the same shape, of how many; above 0.
        confidence: 0 to 1.

    Returns:
        (low, high), each of that shape.

    >>> from qkcore import accuracy_interval
    >>> low, high = accuracy_interval(n_right=8, n=10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.49, 0.943)
    """
    n_right, n = np.asarray(n_right, dtype=float), np.asarray(n, dtype=float)
    z = stats.norm.ppf(0.5 + confidence / 2)
    share = n_right / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((centre + side * half) / (1 + z**2 / n) for side in (-1, 1))
    # Where all or none are right, rounding may leave an end beside the share: "0.0 % (-0.0 to ...".
    return np.clip(low, 0.0, share), np.clip(high, share, 1.0)


def with_accuracy(counts: pd.DataFrame) -> pd.DataFrame:
    """The frame with accuracy, low and high (95 %) beside its n and n_right."""
    low, high = accuracy_interval(counts["n_right"], counts["n"])
    return counts.assign(accuracy=counts["n_right"] / counts["n"], low=low, high=high)


def balanced_accuracy(n_right_by_answer: np.ndarray, n_by_answer: np.ndarray) -> np.ndarray:
    """The mean over answers of the share that is right.

    One half for a head that always says the same of two.

    Args:
        n_right_by_answer: (..., answer).
        n_by_answer: (answer,) or (..., answer). Answers that are never the right one are left out.

    Returns:
        (...) shares, NaN without puzzles.

    >>> import numpy as np
    >>> from qkcore import balanced_accuracy
    >>> balanced_accuracy(np.array([[90, 0], [60, 8]]), np.array([90, 10])).round(3).tolist()
    [0.5, 0.733]
    """
    n = np.broadcast_to(n_by_answer, np.shape(n_right_by_answer))
    share = np.divide(n_right_by_answer, n, out=np.zeros(n.shape), where=n > 0)
    n_answers = (n > 0).sum(axis=-1)
    return np.divide(
        share.sum(axis=-1), n_answers, out=np.full(n.shape[:-1], np.nan), where=n_answers > 0
    )


def auc(evidence: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """How well each head's evidence orders the puzzles, whatever its offset.

    The area under the ROC curve: the chance that a puzzle whose answer is the first candidate has
    more evidence for it than one whose answer is the second; ties count half (Mann and Whitney
    1947).

    Args:
        evidence: (head, puzzle) score of the first candidate minus score of the second.
        is_first: (puzzle,) bool: the first candidate is the answer.

    Returns:
        (head,) 0 to 1, chance 0.5; NaN where one of the two answers never occurs.

    >>> import numpy as np
    >>> from qkcore import auc
    >>> auc(np.array([[5.0, 7.0, 6.0]]), np.array([False, True, True])).tolist()
    [1.0]
    """
    n_first, n_second = int(is_first.sum()), int((~is_first).sum())
    if not n_first or not n_second:
        return np.full(len(evidence), np.nan)
    wins = np.empty(len(evidence))
    for head, row in enumerate(evidence):
        # What is looked up is sorted too: each search then begins beside the one before.
        first, second = np.sort(row[is_first]), np.sort(row[~is_first])
        below, up_to = (
            np.searchsorted(second, first, side=side).sum() for side in ("left", "right")
        )
        wins[head] = (below + up_to) / 2
    return wins / (n_first * n_second)


def above_chance(
    n_right: np.ndarray,
    null_mean: np.ndarray,
    null_sd: np.ndarray,
    rate: float = FALSE_DISCOVERY_RATE,
    step: float = 1.0,
) -> np.ndarray:
    """Which heads are above chance, with false discoveries held to a rate.

    Of those named at most `rate` are expected to be there by luck. A head is compared with itself
    on shuffled answers (`luck.luck_line`), by the normal distribution of its number of right
    answers: so what it gains by leaning to one answer, or by treating statements about one context
    alike, counts for nothing. The false discovery rate is controlled by Benjamini and Yekutieli
    (Annals of Statistics 29, 2001), which holds for heads that depend on each other in any way.

    Args:
        n_right: (head,) right answers.
        null_mean: (head,) mean of that number when answers are shuffled.
        null_sd: (head,) likewise its standard deviation.
        rate: 0 to 1.
        step: the smallest difference of two marks; 1 for counts, one over answers and puzzles of
            an answer for balanced accuracies (`luck.luck_lines`).

    Returns:
        (head,) bool.
    """
    excess = np.asarray(n_right, dtype=float) - step / 2 - null_mean  # a continuity correction
    z = np.divide(excess, null_sd, out=np.full(len(excess), -np.inf), where=np.asarray(null_sd) > 0)
    return stats.false_discovery_control(stats.norm.sf(z), method="by") <= rate


def select_heads(
    validation: pd.DataFrame, k: int = 1, by: str = "accuracy"
) -> list[tuple[int, int]]:
    """The k heads that do best, best first; equal ones in order of layer and head.

    Args:
        validation: layer, head and the column `by`, counted on **validation** puzzles: a head
            chosen and reported on the same puzzles looks better than it is.
        k: how many.
        by: "accuracy" or "balanced_accuracy".

    >>> import pandas as pd
    >>> from qkcore import select_heads
    >>> heads = pd.DataFrame({"layer": [0, 0, 1], "head": [0, 1, 0], "accuracy": [0.5, 0.9, 0.7]})
    >>> select_heads(heads, k=2)
    [(0, 1), (1, 0)]
    """
    ranked = validation.sort_values(
        [by, "layer", "head"], ascending=[False, True, True], kind="stable"
    )
    return [(int(layer), int(head)) for layer, head in ranked[["layer", "head"]].head(k).to_numpy()]


@dataclass(frozen=True, slots=True)
class Gap:
    """Head accuracy minus model accuracy on the same puzzles, as shares.

    With a 95 % interval and a p-value.
    """

    gap: float
    low: float
    high: float
    p: float  # exact McNemar test: is either of the two right more often where they differ?


def paired_test(n: int, n_only_head: int, n_only_model: int) -> Gap:
    """Compare a head and the model on the n puzzles that both answered.

    The interval is Wald's for paired shares with Agresti and Min's +0.5 on each discordant count
    (Statistics in Medicine 24, 2005); the p-value is McNemar's exact one.

    >>> from qkcore import paired_test
    >>> found = paired_test(n=100, n_only_head=12, n_only_model=2)
    >>> found.gap, round(found.p, 3)
    (0.1, 0.013)
    """
    discordant = n_only_head + n_only_model
    # Both tails: they are alike
    p = min(1.0, 2 * special.bdtr(min(n_only_head, n_only_model), discordant, 0.5))
    b, c, total = n_only_head + 0.5, n_only_model + 0.5, n + 2
    centre = (b - c) / total
    half = stats.norm.ppf(0.5 + CONFIDENCE / 2) * np.sqrt(b + c - (b - c) ** 2 / total) / total
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Gap((n_only_head - n_only_model) / n, float(low), float(high), float(p))


def gap(is_head_right: np.ndarray, is_model_right: np.ndarray) -> Gap:
    """`paired_test` of two columns of right and wrong.

    Args:
        is_head_right: (puzzle,) bool, at least one.
        is_model_right: (puzzle,) bool, the same puzzles in the same order.
    """
    n_only_head = int((is_head_right & ~is_model_right).sum())
    n_only_model = int((~is_head_right & is_model_right).sum())
    return paired_test(len(is_head_right), n_only_head, n_only_model)


def transfer(validation: Sequence[pd.DataFrame], test: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The head chosen on each puzzle set, reported on every other.

    Args:
        validation: layer, head, accuracy of one model's heads, one frame a puzzle set, on
            **validation** puzzles.
        test: layer, head and the columns `REPORTED`, the same sets in the same order, on **test**
            puzzles.

    Returns:
        A row a pair: chosen_on, tested_on (indices of sets), layer, head and `REPORTED`.
    """
    rows = []
    for chosen_on, choosing in enumerate(validation):
        ((layer, head),) = select_heads(choosing)
        for tested_on, reporting in enumerate(test):
            own = reporting[(reporting["layer"] == layer) & (reporting["head"] == head)].iloc[0]
            rows.append((chosen_on, tested_on, layer, head, *(own[name] for name in REPORTED)))
    columns = ["chosen_on", "tested_on", "layer", "head", *REPORTED]
    return pd.DataFrame(rows, columns=columns)
