"""How far two sets of marks agree: ranks of accuracies, and answers one by one.

Pure arithmetic on arrays; knows nothing of runs or stores.
"""

import numpy as np
from scipy import stats


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's rho of two sets' values: 1 where all keep their rank, 0 where ranks say nothing.

    The correlation of their ranks, equals sharing the mean of theirs (Spearman 1904).

    Args:
        one: (head,) values, such as accuracies.
        other: (head,) of the same heads.

    Returns:
        -1 to 1; None for fewer than two heads, or where all of a set's values are equal.

    >>> rank_correlation(np.array([0.5, 0.6, 0.9]), np.array([0.4, 0.7, 0.8]))
    1.0
    >>> rank_correlation(np.array([0.5, 0.5]), np.array([0.4, 0.7])) is None
    True
    """
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(stats.spearmanr(one, other).statistic)


def share_equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The share of puzzles on which two answer alike, head by head.

    Args:
        one: (puzzle, head) candidate index, -1 for no answer; two that give none are alike too.
        other: (puzzle, head) likewise, of the same puzzles and heads.

    Returns:
        (head,) shares, NaN without puzzles.

    >>> share_equal(np.array([[0, 1], [1, -1]]), np.array([[0, 0], [0, -1]])).tolist()
    [0.5, 0.5]
    """
    alike: np.ndarray = one == other
    return alike.mean(axis=0) if len(alike) else np.full(alike.shape[1], np.nan)
