"""What switching heads off does to a model's answers, beside random heads of the same layers.

Logits of the same puzzles in (as the model is; with the heads off; with as many control heads off),
changes with intervals that know groups out. A change is "with the heads off" minus "as the model
is", so harm is below 0. Knows nothing of how heads are switched off, nor of stores; what the
changes mean is ruled in `statistics/usage`.

Shares change as paired differences do (`statistics/paired`). A mean of logits, and an area, change
by the mean of what each puzzle contributes; its standard error adds contributions up by group
(cluster-robust: Liang and Zeger, Biometrika 73, 1986; of areas: Obuchowski, Biometrics 53, 1997).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from scipy import stats

from qkcore.statistics.calibration import calibrated, pairwise_auc
from qkcore.statistics.clusters import by_group
from qkcore.statistics.evidence import Measured
from qkcore.statistics.marks import margins
from qkcore.statistics.metrics import CONFIDENCE
from qkcore.statistics.paired import grouped_balanced_difference, grouped_difference

# In the order of tables and pickers. Those of balanced accuracy are there where a set needs them.
MEASURES = {
    "auc": "AUC",
    "calibrated_accuracy": "calibrated accuracy",
    "accuracy": "accuracy",
    "calibrated_balanced_accuracy": "calibrated balanced accuracy",
    "balanced_accuracy": "balanced accuracy",
    "logit_difference": "logit difference",
}
SPREAD = (0.05, 0.5, 0.95)  # of the controls' changes: low end, median, high end


@dataclass(frozen=True, slots=True)
class Effect:
    """What switching some heads off does to one measure of a model."""

    before: float  # the measure, of the model as it is
    change: Measured  # with the heads off minus before, paired, with its 95 % interval
    controls: tuple[float, ...]  # the same change of each control draw

    @property
    def after(self) -> float:
        """The measure with the heads off."""
        return self.before + self.change.value

    @property
    def loss(self) -> Measured:
        """The change turned round: what is lost."""
        return Measured(-self.change.value, -self.change.high, -self.change.low)

    @property
    def n_as_harmful(self) -> int:
        """Control draws that lose as much or more."""
        # Equal up to rounding is as much: two ways to add up the same puzzles may differ by it
        return int((np.asarray(self.controls) <= self.change.value + 1e-9).sum())

    @property
    def p(self) -> float:
        """One-sided: of heads that are like any others of their layers; (1 + b) / (1 + n).

        The rank among random draws as Phipson and Smyth have it (Statistical Applications in
        Genetics and Molecular Biology 9, 2010). With 20 controls it is 0.048 at least.
        """
        return (1 + self.n_as_harmful) / (1 + len(self.controls))

    @property
    def spread(self) -> tuple[float, float, float]:
        """5th, 50th and 95th percentile of the controls' changes; NaN without controls."""
        if not self.controls:
            return (np.nan, np.nan, np.nan)
        low, middle, high = np.quantile(self.controls, SPREAD)
        return float(low), float(middle), float(high)


def effects(
    plain: np.ndarray,
    off: np.ndarray,
    answer: np.ndarray,
    group: np.ndarray,
    offset: np.ndarray,
    is_balanced: bool = False,
    only: Collection[str] = tuple(MEASURES),
) -> dict[str, Effect]:
    """What a set of heads does to every measure of `MEASURES`.

    Args:
        plain: (puzzle, candidate) the model's own logits on **test** puzzles.
        off: (draw, puzzle, candidate) with heads switched off; draw 0 is the heads themselves, the
            others are controls. NaN only for candidates that a puzzle lacks.
        answer: (puzzle,) index of the right candidate.
        group: (puzzle,) whole numbers from 0.
        offset: (candidate,) the model's calibration, chosen on validation puzzles as it is. The
            same one serves with heads off: calibrated accuracies thus also fall when only the
            model's lean changes, which the area does not.
        is_balanced: answers are imbalanced, so balanced accuracies are measured too, and the logit
            difference is the mean over answers of its means.
        only: the measures wanted.

    Returns:
        Of each measure its effect. The area is missing where fewer than two answers occur.

    >>> plain = np.tile([[2.0, 0.0], [0.0, 2.0]], (20, 1))  # right on all of 40
    >>> off = np.stack([0 * plain + [1.0, 0.0], plain, plain])  # then two idle controls
    >>> found = effects(plain, off, np.tile([0, 1], 20), np.arange(40), np.zeros(2))
    >>> found["accuracy"].change.value, found["accuracy"].n_as_harmful, round(found["auc"].after, 2)
    (-0.5, 0, 0.5)
    """
    make: dict[str, Callable[[], Effect]] = {}
    if len(np.unique(answer)) > 1:
        make["auc"] = lambda: _area(plain, off, answer, group)
    for name, own_offset in (("accuracy", 0 * offset), ("calibrated_accuracy", offset)):
        right = partial(_right, plain, off, answer, own_offset)
        make[name] = partial(_shares, right, group, None)
        if is_balanced:
            balanced = name.replace("accuracy", "balanced_accuracy")
            make[balanced] = partial(_shares, right, group, answer)
    make["logit_difference"] = lambda: _logits(plain, off, answer, group, is_balanced)
    return {name: make[name]() for name in MEASURES if name in make and name in only}


def nearest(off: np.ndarray, answer: np.ndarray, group: np.ndarray) -> Measured | None:
    """How much more of its area the model loses with the heads off than with any control off.

    Args:
        off: (draw, puzzle, candidate) logits, of the heads themselves first.
        answer: (puzzle,) index of the right candidate, at least two of which occur.
        group: (puzzle,) whole numbers from 0.

    Returns:
        The paired difference to the control for which its 95 % interval begins lowest: where that
        is above 0, the heads cost more than every one of them (intersection-union test; Berger,
        Technometrics 24, 1982). None without controls.
    """
    value, contributed = _contributions(off[0], answer)
    found = []
    for control in off[1:]:
        other, of_control = _contributions(control, answer)
        found.append(_interval(other - value, of_control - contributed, group, floor=True))
    return min(found, key=lambda one: one.low, default=None)


def ability(plain: np.ndarray, answer: np.ndarray, group: np.ndarray) -> Measured:
    """The model's own area with its interval: how well it tells the answers apart.

    Args:
        plain: (puzzle, candidate) logits.
        answer: (puzzle,) index of the right candidate, at least two of which occur.
        group: (puzzle,) whole numbers from 0.

    >>> logits = np.tile([[2.0, 0.0], [0.0, 2.0]], (20, 1))
    >>> found = ability(logits, np.tile([0, 1], 20), np.arange(40))
    >>> found.value, found.low > 0.9
    (1.0, True)
    """
    value, contributed = _contributions(plain, answer)
    return _within(0.0, 1.0, _interval(value, contributed, group, floor=True))


def _right(
    plain: np.ndarray, off: np.ndarray, answer: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """(1 + draw, puzzle) bool: right, of the model as it is and of each draw."""
    every = np.concatenate([plain[None], off])
    return calibrated(every, offset) == answer


def _shares(
    right: Callable[[], np.ndarray], group: np.ndarray, answer: np.ndarray | None
) -> Effect:
    before, after, *_ = marks = right()
    n = np.ones(len(group), dtype=int)
    counts = [by_group(one, group, answer) for one in (after & ~before, before & ~after, n)]
    difference = grouped_difference if answer is None else grouped_balanced_difference
    means = marks.mean(axis=1) if answer is None else marks @ _weights(answer)
    shares = means.tolist()
    return Effect(
        shares[0],
        Measured.of(difference(*counts)),
        tuple(share - shares[0] for share in shares[2:]),
    )


def _logits(
    plain: np.ndarray,
    off: np.ndarray,
    answer: np.ndarray,
    group: np.ndarray,
    is_balanced: bool,
) -> Effect:
    """Of the right candidate's logit minus the best wrong one's."""
    kind = answer if is_balanced else np.zeros_like(answer)
    weight = _weights(kind)
    before = margins(plain.astype(np.float64), answer)
    change = margins(off.astype(np.float64), answer) - before  # (draw, puzzle)
    value, *controls = (change @ weight).tolist()
    mean = np.bincount(kind, change[0]) / np.maximum(np.bincount(kind), 1)  # (answer,)
    contributed = weight * (change[0] - mean[kind])
    return Effect(float(before @ weight), _interval(value, contributed, group), tuple(controls))


def _weights(kind: np.ndarray) -> np.ndarray:
    """(puzzle,) weights that add up to 1, in which every kind counts alike."""
    each: np.ndarray = 1 / np.bincount(kind)[kind]
    return each / each.sum()


def _area(plain: np.ndarray, off: np.ndarray, answer: np.ndarray, group: np.ndarray) -> Effect:
    before, contributed = _contributions(plain, answer)
    after, with_heads_off = _contributions(off[0], answer)
    change = _interval(after - before, with_heads_off - contributed, group, floor=True)
    areas = pairwise_auc(off[1:].swapaxes(0, 1), answer)
    return Effect(
        before,
        _within(-1.0, 1.0, change),
        tuple(float(area) - before for area in np.atleast_1d(areas)[: len(off) - 1]),
    )


def _contributions(scores: np.ndarray, answer: np.ndarray) -> tuple[float, np.ndarray]:
    """`pairwise_auc` of (puzzle, candidate) scores, and what each puzzle contributes to it.

    Contributions (puzzle,) add up to 0; their sum by group says how far the area would be off if
    groups were drawn anew. Of a pair of answers it is the share of the other answer's puzzles that
    a puzzle is on the right side of, less the area, over the number of its kind.
    """
    areas, contributed = [], np.zeros(len(answer))
    for one, other in combinations(range(scores.shape[-1]), 2):
        evidence = scores[:, one].astype(np.float64) - scores[:, other]
        is_known = ~np.isnan(evidence)
        first, second = (np.flatnonzero(is_known & (answer == which)) for which in (one, other))
        if not len(first) or not len(second):
            continue
        ranks = stats.rankdata(evidence[np.concatenate([first, second])])
        beats = ranks[: len(first)] - stats.rankdata(evidence[first])  # of the others below
        loses = ranks[len(first) :] - stats.rankdata(evidence[second])
        area = beats.mean() / len(second)
        contributed[first] += (beats / len(second) - area) / len(first)
        contributed[second] += (1 - loses / len(first) - area) / len(second)
        areas.append(area)
    if not areas:
        return np.nan, contributed
    return float(np.mean(areas)), contributed / len(areas)


def _interval(
    value: float, contributed: np.ndarray, group: np.ndarray, floor: bool = False
) -> Measured:
    """A sum of contributions with its 95 % interval, by Student's t of as many groups.

    With `floor` the standard error is not below half a group's worth: where nothing changes in any
    of 20 groups, a twenty-first may yet (the half puzzle of Agresti and Min).
    """
    sums = np.bincount(group, weights=contributed)
    n_groups = len(np.unique(group))
    if n_groups < 2:
        return Measured(value, np.nan, np.nan)
    error = np.sqrt(n_groups / (n_groups - 1) * (sums**2).sum())
    if floor:
        error = max(error, 0.5 / n_groups)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, n_groups - 1) * error
    return Measured(value, value - half, value + half)


def _within(lowest: float, highest: float, found: Measured) -> Measured:
    low, high = (float(np.clip(end, lowest, highest)) for end in (found.low, found.high))
    return Measured(found.value, low, high)
