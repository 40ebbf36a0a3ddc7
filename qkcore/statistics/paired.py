"""Differences between two answerers on the same puzzles, which come in groups.

Counts by group in (where only one of the two is right), the difference with interval and p-value
out. Both come from one estimate and one standard error, so p is below 0.05 exactly where the 95 %
interval leaves out 0. Knows nothing of who answers: head, model, vote and rule are all the same.

The interval is Agresti and Min's (Statistics in Medicine 24, 2005; Wald's for paired shares with
half a puzzle more on either side) of the effective number of puzzles, see `statistics/clusters`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from qkcore.statistics.clusters import (
    Estimate,
    between_answers,
    effective_share,
    root_of_sum,
)
from qkcore.statistics.metrics import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Difference(Estimate):
    """Differences of shares, -1 to 1, with 95 % intervals and p-values, each of shape (...)."""

    p: np.ndarray  # two-sided, of no difference; below 0.05 exactly where 0 is not in the interval


def grouped_difference(
    n_only_first: ArrayLike, n_only_second: ArrayLike, n: ArrayLike
) -> Difference:
    """Accuracy of the first answerer minus accuracy of the second.

    In simulation intervals cover 93 % and more, and 93 to 97 % as long as the two differ in ten
    groups or more (tests/bench/bench_clusters.py). With groups of one puzzle it is the interval of
    `metrics.paired_test`; its p is that interval's own instead of McNemar's exact one.

    Args:
        n_only_first: (..., group) puzzles that only the first has right.
        n_only_second: (..., group) puzzles that only the second has right.
        n: (group,) or (..., group) puzzles; groups of none are left out.

    Returns:
        A difference of shape (...); NaN without puzzles.

    >>> alone = grouped_difference([1] * 12 + [0] * 88, [0] * 98 + [1] * 2, [1] * 100)
    >>> [round(float(x), 3) for x in (alone.value, alone.low, alone.high, alone.p)]
    [0.1, 0.026, 0.17, 0.008]
    >>> alike = grouped_difference([4] * 3 + [0] * 22, [0] * 24 + [2], [4] * 25)  # in 25 contexts
    >>> [round(float(x), 3) for x in (alike.value, alike.low, alike.high, alike.p)]
    [0.1, -0.059, 0.244, 0.232]
    """
    first, second, n = (np.asarray(count)[..., None] for count in (n_only_first, n_only_second, n))
    return grouped_balanced_difference(first, second, n)


def grouped_balanced_difference(
    n_only_first: ArrayLike, n_only_second: ArrayLike, n: ArrayLike
) -> Difference:
    """Balanced accuracy of the first answerer minus that of the second.

    The mean of the differences at each right answer; their standard errors are put together with
    the correlation that groups show. With one answer it is `grouped_difference`.

    Args:
        n_only_first: (..., group, answer) puzzles that only the first has right.
        n_only_second: (..., group, answer) puzzles that only the second has right.
        n: (group, answer) or (..., group, answer) puzzles; answers of none are left out.

    Returns:
        A difference of shape (...); NaN without puzzles.
    """
    first, second, n = (
        np.ascontiguousarray(np.swapaxes(count, -1, -2), dtype=float)  # (..., answer, group)
        for count in (n_only_first, n_only_second, n)
    )
    shape = np.broadcast_shapes(first.shape, n.shape)[:-1]
    total = np.broadcast_to(n.sum(axis=-1), shape)
    n_groups = np.broadcast_to((n.sum(axis=-2) > 0).sum(axis=-1), shape[:-1])
    n_effective = total * effective_share({1: first, -1: second}, n)
    is_asked = total > 0
    safe = np.where(is_asked, total, 1.0)
    weight = is_asked / np.maximum(is_asked.sum(axis=-1, keepdims=True), 1)
    first_share, second_share = first.sum(axis=-1) / safe, second.sum(axis=-1) / safe
    each = first_share - second_share
    centre, error = _agresti_min(first_share, second_share, n_effective)
    correlation = between_answers(first - second - each[..., None] * n)
    centre, error = (weight * centre).sum(axis=-1), root_of_sum(weight * error, correlation)
    value = (weight * each).sum(axis=-1)
    says_nothing = (is_asked & (n_effective == 0)).any(axis=-1)  # one group, of several puzzles
    half = np.where(says_nothing, 2.0, stats.norm.ppf(0.5 + CONFIDENCE / 2) * error)
    low, high = np.maximum(-1, centre - half), np.minimum(1, centre + half)
    known = np.where(is_asked.any(axis=-1), 1.0, np.nan)
    p = np.where(says_nothing, 1.0, 2 * stats.norm.sf(np.abs(centre) / (error / known)))
    return Difference(
        value * known,
        np.minimum(low, value) * known,
        np.maximum(high, value) * known,
        n_effective.sum(axis=-1),
        total.sum(axis=-1).astype(int),
        n_groups,
        p * known,
    )


def p_of_interval(value: float, low: float, high: float) -> float | None:
    """The p-value of a difference from its 95 % interval: both are of one standard error.

    None where the interval was cut at -1 or 1 or reaches just to the value, so that it no longer
    tells its centre.

    >>> found = grouped_difference([4] * 3 + [0] * 22, [0] * 24 + [2], [4] * 25)
    >>> round(p_of_interval(float(found.value), float(found.low), float(found.high)), 3)
    0.232
    >>> p_of_interval(1.0, 0.9, 1.0) is None
    True
    """
    if low <= -1 or high >= 1 or value in (low, high) or high <= low:
        return None
    error = (high - low) / 2 / stats.norm.ppf(0.5 + CONFIDENCE / 2)
    return float(2 * stats.norm.sf(abs(low + high) / 2 / error))


def _agresti_min(
    first: np.ndarray, second: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centre and standard error of a paired difference of shares.

    Args:
        first: (...) share of puzzles that only the first has right.
        second: (...) likewise the second.
        n: (...) puzzles.
    """
    only_first, only_second, total = first * n + 0.5, second * n + 0.5, n + 2
    centre = (only_first - only_second) / total
    error = np.sqrt(only_first + only_second - total * centre**2) / total
    return centre, error
