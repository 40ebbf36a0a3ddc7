"""What is lost of an answer on its way from a middle layer to the model's output, or found there.

Marks of single test puzzles in (right in the middle, right at the end), numbers out: shares with
intervals that know groups, what chance alone would lose, and whether it grows with steps. The
middle layer is chosen by others, on validation puzzles. What it amounts to is said in
`statistics/passage`. Knows nothing of stores or pages.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from qkcore.statistics.calibration import balance_weights
from qkcore.statistics.clusters import FEW_GROUPS, N_TELLING
from qkcore.statistics.evidence import Measured, measured
from qkcore.statistics.metrics import CONFIDENCE
from qkcore.statistics.readable import leads


@dataclass(frozen=True, slots=True)
class Loss:
    """What two answerers, a middle layer and the output, have right of the same puzzles."""

    n: int
    n_groups: int
    middle: Measured  # accuracy there
    output: Measured  # accuracy at the end
    lost: Measured  # share right in the middle and wrong at the end
    found: Measured  # the reverse
    by_chance: float  # share that would be lost if being right at the two were independent
    net: Measured  # lost minus found, paired: accuracy in the middle minus that at the end
    p: float  # two-sided, of no difference between lost and found


@dataclass(frozen=True, slots=True)
class Slope:
    """By how much a share changes with each step, with its 95 % interval."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What more steps do to what is lost."""

    lost: Slope
    net: Slope  # of lost minus found: puzzles that are merely guessed are lost and found alike


def loss(
    in_middle: np.ndarray,
    at_end: np.ndarray,
    group: np.ndarray,
    answer: np.ndarray,
    is_balanced: bool = False,
) -> Loss:
    """What is lost and found between two answerers.

    Args:
        in_middle: (puzzle,) bool: right at the middle layer.
        at_end: (puzzle,) bool: right at the output.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate.
        is_balanced: every share is the mean over right answers.

    >>> middle, end = np.tile([True] * 9 + [False], 20), np.tile([True] * 6 + [False] * 4, 20)
    >>> found = loss(middle, end, np.arange(200), np.tile([0, 1], 100))
    >>> [round(one, 3) for one in (found.lost.value, found.found.value, found.by_chance)]
    [0.3, 0.0, 0.36]
    """
    by = answer if is_balanced else None
    lead = leads(in_middle[:, None], at_end[:, None], group, by)
    net = Measured(*(float(one[0]) for one in (lead.value, lead.low, lead.high)))
    return Loss(
        n=len(group),
        n_groups=len(np.unique(group)),
        middle=measured(in_middle, group, by),
        output=measured(at_end, group, by),
        lost=measured(in_middle & ~at_end, group, by),
        found=measured(at_end & ~in_middle, group, by),
        by_chance=lost_by_chance(in_middle, at_end, answer, is_balanced),
        net=net,
        p=float(lead.p[0]),
    )


def lost_by_chance(
    in_middle: np.ndarray, at_end: np.ndarray, answer: np.ndarray, is_balanced: bool = False
) -> float:
    """The share that two would lose who are as often right, each by itself.

    Independent among the puzzles of one right answer, since both may lean.

    Args:
        in_middle: as `loss` takes them, and so on.
        at_end: likewise.
        answer: likewise.
        is_balanced: likewise.

    >>> lost_by_chance(np.array([True, True]), np.array([True, False]), np.array([0, 0]))
    0.5
    """
    n = np.bincount(answer)
    first, second = (np.bincount(answer, weights=marks) for marks in (in_middle, at_end))
    asked = n > 0
    lost = first[asked] / n[asked] * (1 - second[asked] / n[asked])
    return float(np.average(lost, weights=None if is_balanced else n[asked]))


def growth(
    in_middle: np.ndarray,
    at_end: np.ndarray,
    steps: np.ndarray,
    group: np.ndarray,
    answer: np.ndarray | None = None,
) -> Growth | str:
    """Whether more is lost where puzzles take more steps, or a reason why that cannot be said.

    Args:
        in_middle: (puzzle,) bool.
        at_end: (puzzle,) bool.
        steps: (puzzle,) float, NaN where a puzzle does not say; such puzzles are left out.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate, where accuracies are balanced.

    >>> marks = np.ones(100, dtype=bool)
    >>> growth(marks, ~marks, np.full(100, 2.0), np.arange(100))
    'all puzzles take as many steps'
    """
    rows = np.flatnonzero(~np.isnan(steps))
    if not len(rows):
        return "the puzzles do not say how many steps they take"
    group, steps = np.unique(group[rows], return_inverse=True)[1], steps[rows]
    if len(np.unique(steps)) < 2:
        return "all puzzles take as many steps"
    if group.max() + 1 < FEW_GROUPS:
        return f"the puzzles come from fewer than {FEW_GROUPS} contexts"
    lost, found = (in_middle & ~at_end)[rows], (at_end & ~in_middle)[rows]
    if min(len(np.unique(group[marks])) for marks in (lost, ~lost)) < N_TELLING:
        return f"puzzles are lost, or kept, in fewer than {N_TELLING} contexts"
    weights = None if answer is None else balance_weights(answer[rows])
    of_lost = slope(lost.astype(float), steps, group, weights)
    of_net = slope(lost.astype(float) - found, steps, group, weights)
    if of_lost is None or of_net is None:
        return "all but one context take as many steps"
    return Growth(of_lost, of_net)


def slope(
    values: np.ndarray, steps: np.ndarray, group: np.ndarray, weights: np.ndarray | None = None
) -> Slope | None:
    """The least-squares slope of values on steps, with an interval that knows groups.

    Its standard error is the jackknife over groups: the line is drawn anew without each of them
    (CV3 of MacKinnon, Nielsen and Webb, Journal of Applied Econometrics 38, 2023), with Student's
    quantile of groups less one.

    Args:
        values: (puzzle,) such as 1 where a puzzle is lost.
        steps: (puzzle,) numbers.
        group: (puzzle,) whole numbers from 0, none left out.
        weights: (puzzle,) what a puzzle counts; 1 if left out.

    Returns:
        None where without some group all steps are alike.

    >>> rng, steps = np.random.default_rng(0), np.repeat([1.0, 2.0, 3.0], 100)
    >>> found = slope((rng.random(300) < 0.1 * steps).astype(float), steps, np.arange(300))
    >>> found.low < 0.1 < found.high
    True
    """
    weights = np.ones(len(values)) if weights is None else weights
    centred = steps - np.average(steps, weights=weights)
    columns = np.stack([np.ones(len(values)), centred, values, centred**2, centred * values])
    sums = np.stack([np.bincount(group, weights=weights * column) for column in columns])
    whole = sums.sum(axis=1, keepdims=True)
    (every,), without = _slopes(whole), _slopes(whole - sums)
    if np.isnan(every) or np.isnan(without).any():
        return None
    n_groups = sums.shape[1]
    error = np.sqrt((n_groups - 1) / n_groups * ((without - every) ** 2).sum())
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, n_groups - 1) * error
    p = 2 * stats.t.sf(abs(every) / error, n_groups - 1) if error > 0 else 1.0
    return Slope(float(every), float(every - half), float(every + half), float(p))


def _slopes(sums: np.ndarray) -> np.ndarray:
    """(...) slopes of weighted sums of 1, x, y, x^2 and xy, each (...); NaN where x is constant."""
    n, x, y, x_squared, x_times_y = sums
    spread = n * x_squared - x**2
    is_spread = spread > 1e-9 * np.maximum(n * x_squared, 1e-9)
    above = n * x_times_y - x * y
    return np.divide(above, spread, out=np.full(spread.shape, np.nan), where=is_spread)
