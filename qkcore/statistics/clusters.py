"""Accuracies of puzzles that come in groups, with intervals that know it.

Questions about one context are answered alike, so they tell less than as many contexts would.
Counts by group in, shares with intervals out. Groups may be of any sizes and are taken as
independent of each other. Knows nothing of stores, models or pages; differences are in
`statistics/paired`.

How much less a group tells is estimated (`design_effect`) and divides the number of puzzles, which
then goes into the textbook interval: the effective sample size of Rao and Scott (Biometrics 48,
1992), with Korn and Graubard's correction for few groups (Survey Methodology 24, 1998). Groups of
one puzzle each give the textbook interval itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse, stats

from qkcore.statistics.metrics import CONFIDENCE, accuracy_interval, balanced_accuracy

FEW_GROUPS = 20  # below it the intervals are wide and not vouched for by simulation
N_TELLING = 5  # so many groups with rarer marks say how alike groups answer
NOTHING = 1e-6  # effective puzzles where there is one group, which says nothing of others


@dataclass(frozen=True, slots=True)
class Estimate:
    """Shares with 95 % intervals, each of shape (...)."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_effective: np.ndarray  # independent puzzles that would tell as much
    n: np.ndarray  # puzzles
    n_groups: np.ndarray

    @property
    def too_few_groups(self) -> np.ndarray:
        """(...) bool: fewer than `FEW_GROUPS`, which a page should say."""
        return self.n_groups < FEW_GROUPS


def by_group(marks: np.ndarray, group: np.ndarray, answer: np.ndarray | None = None) -> np.ndarray:
    """Marks added up by group, and by right answer where that is asked.

    Args:
        marks: (puzzle, ...) bool or counts.
        group: (puzzle,) whole numbers from 0, as `pandas.factorize` gives them.
        answer: (puzzle,) index of the right candidate.

    Returns:
        (..., group) or (..., group, answer) whole numbers.

    >>> marks = np.array([[True, True], [True, False], [False, True]])  # three puzzles, two heads
    >>> by_group(marks, np.array([0, 0, 1])).tolist()
    [[2, 0], [1, 1]]
    >>> by_group(marks, np.array([0, 0, 1]), answer=np.array([0, 1, 1])).tolist()
    [[[1, 1], [0, 0]], [[1, 0], [0, 1]]]
    """
    n_groups = int(group.max(initial=-1)) + 1
    n_answers = 1 if answer is None else int(answer.max(initial=-1)) + 1
    cell = group * n_answers + (0 if answer is None else answer)
    places = (cell, np.arange(len(cell)))
    adds_up = sparse.csr_array(
        (np.ones(len(cell), dtype=np.int64), places), shape=(n_groups * n_answers, len(cell))
    )
    sums = (adds_up @ marks.reshape(len(marks), -1).astype(np.int64)).T
    shape = (n_groups,) if answer is None else (n_groups, n_answers)
    return sums.reshape(*marks.shape[1:], *shape)


def design_effect(counts: Mapping[int, np.ndarray], n: np.ndarray) -> np.ndarray:
    """By how much groups inflate the variance of a mean of marks.

    1 + (w - 1) r, where w is the number of puzzles that the average puzzle's group has and r the
    correlation of two marks within a group: one minus the mean squared difference of all such
    pairs over that of independent puzzles (the pairwise estimator of Karlin, Cameron and Williams,
    PNAS 78, 1981). Rao and Scott divide the variance between groups by the binomial one instead;
    where groups are unlike in size that falls with the accuracy, and intervals of few large groups
    covered 90 % in simulation. Two bounds:

    - Where puzzles of a group differ more than chance would have it (a head that says the same to a
      statement and its denial is right on one of the two, always), the effect is below 1. Then Rao
      and Scott's holds, with its standard error on top, up to 1. Where fewer than `N_TELLING`
      groups are not as right as all together, it is kept from nothing, as if up to so many were
      made of independent puzzles: no interval is without width, since groups that were not seen may
      be unlike.
    - Towards w, as if groups answered as one, where fewer than `N_TELLING` groups hold any but the
      commonest mark: hardly anything is known of r then.

    Args:
        counts: of each value but 0 that a mark can have, (..., group) how many puzzles have it.
        n: (group,) or (..., group) puzzles.

    Returns:
        (...).

    >>> right = np.array([[4, 0] * 10, [2, 2] * 10])  # heads that answer alike in a group, or half
    >>> design_effect({1: right}, np.full(20, 4)).round(2).tolist()
    [4.0, 0.25]
    """
    n = np.asarray(n, dtype=float)
    total, n_groups = n.sum(axis=-1), (n > 0).sum(axis=-1)
    marked = {value: np.asarray(count, dtype=float) for value, count in counts.items()}
    sums, squares, n_marked = (
        sum((value**power * count for value, count in marked.items()), start=np.zeros(()))
        for power in (1, 2, 0)
    )
    n_pairs = _dot(n, n - 1)
    within = _ratio(_dot(squares, n) - _dot(sums, sums), n_pairs, otherwise=0.0)
    share = _ratio(sums.sum(axis=-1), total, otherwise=0.0)
    spread = squares.sum(axis=-1) - share**2 * total
    correlation = 1 - _ratio(within, _ratio(spread, total - 1, otherwise=0.0), otherwise=0.0)
    largest = 1 + _ratio(n_pairs, total, otherwise=0.0)
    effect = 1 + (largest - 1) * correlation
    others = [n_marked, *(n - count for count in marked.values())]
    n_telling = np.min([_n_groups_with(other) for other in others], axis=0)
    deviations = (sums - share[..., None] * n) ** 2
    of_groups = _ratio(deviations.sum(axis=-1) * n_groups, spread * (n_groups - 1), otherwise=0.0)
    n_unlike = _n_groups_with(deviations)
    n_known = np.min(np.broadcast_arrays(n_telling, n_unlike, _n_groups_with(n * (n - 1))), axis=0)
    error = np.sqrt(_ratio(2.0, n_known - 1, otherwise=1.0))
    doubt = np.clip(1 - n_unlike / N_TELLING, 0, 1)
    floor = np.minimum(1.0, doubt * _ratio(N_TELLING, n_groups, otherwise=1.0))
    below = np.clip(of_groups * (1 + error), floor, 1.0)
    effect = np.where(effect < 1, below, effect)
    doubt = np.clip(1 - n_telling / N_TELLING, 0, 1)
    return np.where(effect < largest, effect + doubt * (largest - effect), effect)


def effective_share(counts: Mapping[int, np.ndarray], n: np.ndarray) -> np.ndarray:
    """Independent puzzles that would tell as much, as a share of the puzzles there are.

    One over the design effect, times the squared ratio of Student's quantiles for puzzles and for
    groups (Korn and Graubard 1998): the effect itself is known from few groups only.

    Args:
        counts: as `design_effect` takes them.
        n: likewise.

    Returns:
        (...), 1 where all groups are of one puzzle.
    """
    n = np.asarray(n, dtype=float)
    total, n_groups = n.sum(axis=-1), (n > 0).sum(axis=-1)
    quantile = 0.5 + CONFIDENCE / 2
    as_puzzles = stats.t.ppf(quantile, np.maximum(total - 1, 1))
    as_groups = stats.t.ppf(quantile, np.maximum(n_groups - 1, 1))
    share = (as_puzzles / as_groups) ** 2 / design_effect(counts, n)
    return np.where(total == n_groups, 1.0, np.where(n_groups > 1, share, 0.0))


def grouped_accuracy(n_right: ArrayLike, n: ArrayLike) -> Estimate:
    """Accuracy with Wilson's interval of the effective number of puzzles.

    In simulation it covers 93 to 97 % for correlations within groups of 0 to 1, groups of 1 to 10
    puzzles and 20 to 900 of them, as long as some five groups or more are wrong (tests/bench/
    bench_clusters.py prints the grid).

    Args:
        n_right: (..., group) right answers.
        n: (group,) or (..., group) puzzles; groups of none are left out.

    Returns:
        An estimate of shape (...); NaN without puzzles.

    >>> found = grouped_accuracy(n_right=[4, 0, 4, 4, 0] * 8, n=[4] * 40)  # 160 tell as much as 38
    >>> [round(float(x), 3) for x in (found.value, found.low, found.high, found.n_effective)]
    [0.6, 0.442, 0.739, 38.136]
    """
    right, n = np.asarray(n_right, dtype=float), np.asarray(n, dtype=float)
    all_right = right.sum(axis=-1)
    total = np.broadcast_to(n.sum(axis=-1), all_right.shape)
    n_groups = np.broadcast_to((n > 0).sum(axis=-1), all_right.shape)
    n_effective = total * effective_share({1: right}, n)
    share = _ratio(all_right, total, otherwise=np.nan)
    assumed = np.maximum(n_effective, NOTHING)
    low, high = accuracy_interval(share * assumed, assumed)
    return Estimate(share, low, high, n_effective, total.astype(int), n_groups)


def grouped_balanced_accuracy(n_right: ArrayLike, n: ArrayLike) -> Estimate:
    """Balanced accuracy: the mean over right answers, each with its interval, put together.

    The distances from each answer's share to the ends of its own interval add up as standard
    errors do, with the correlation between answers that groups show (the method of variance
    estimates recovery, Zou and Donner, Statistics in Medicine 27, 2008). With one answer it is
    `grouped_accuracy`.

    Args:
        n_right: (..., group, answer) right answers by the index of the right candidate.
        n: (group, answer) or (..., group, answer) puzzles; answers of none are left out.

    Returns:
        An estimate of shape (...). Its n_effective is the mean of the answers', harmonic.

    >>> says_first = np.array([[2, 0]] * 30)  # in 30 groups with two puzzles of either answer
    >>> found = grouped_balanced_accuracy(says_first, np.full((30, 2), 2))
    >>> [round(float(x), 3) for x in (found.value, found.low, found.high)]
    [0.5, 0.441, 0.559]
    """
    # (..., answer, group), each group beside the next in memory: sums take half the time
    right, n = (
        np.ascontiguousarray(np.swapaxes(count, -1, -2), dtype=float) for count in (n_right, n)
    )
    each = grouped_accuracy(right, n)
    is_asked = each.n > 0
    weight = _ratio(is_asked, is_asked.sum(axis=-1, keepdims=True), otherwise=0.0)
    correlation = between_answers(right - np.nan_to_num(each.value)[..., None] * n)
    value = balanced_accuracy(right.sum(axis=-1), each.n)
    below, above = (
        root_of_sum(weight * np.nan_to_num(np.abs(each.value - end)), correlation)
        for end in (each.low, each.high)
    )
    inverse = np.where(is_asked, 1 / np.maximum(each.n_effective, NOTHING), 0.0)
    n_effective = _ratio(1.0, (weight**2 * inverse).sum(axis=-1), otherwise=0.0)
    n_groups = np.broadcast_to((n.sum(axis=-2) > 0).sum(axis=-1), value.shape)
    low, high = np.clip(value - below, 0, 1), np.clip(value + above, 0, 1)
    return Estimate(value, low, high, n_effective, each.n.sum(axis=-1), n_groups)


def between_answers(residuals: np.ndarray) -> np.ndarray:
    """Correlation of what groups have over the mean at one answer and at another.

    Args:
        residuals: (..., answer, group).

    Returns:
        (..., answer, answer), 0 where one of the two has no spread.
    """
    products = residuals @ residuals.swapaxes(-1, -2)
    spread = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    scale = spread[..., :, None] * spread[..., None, :]
    own = np.eye(residuals.shape[-2])
    return own + (1 - own) * _ratio(products, scale, otherwise=0.0)


def root_of_sum(errors: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Standard error of a sum: (..., answer) errors, (..., answer, answer) correlation."""
    squared = np.einsum("...a,...ab,...b->...", errors, correlation, errors)
    return np.sqrt(np.maximum(squared, 0))


def _n_groups_with(count: np.ndarray) -> np.ndarray:
    """How many groups hold puzzles of a kind, if most lie in few: sum^2 / sum of squares (...)."""
    return _ratio(count.sum(axis=-1) ** 2, _dot(count, count), otherwise=0.0)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(...) sums over groups of products."""
    return np.einsum("...g,...g->...", one, other)


def _ratio(above: ArrayLike, below: ArrayLike, otherwise: float) -> np.ndarray:
    """The quotient, and something else where the lower one is not above zero."""
    above, below = np.broadcast_arrays(np.asarray(above, dtype=float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(above.shape, otherwise), where=below > 0)
