"""What a verdict rests on: the chosen head beside its rivals, as numbers with intervals.

Marks of single puzzles and their groups in (`measured`, `against`; counts by group: `Measured.of`),
frozen numbers out. All are of test puzzles; head and offsets were chosen on validation puzzles.
Knows nothing of stores or pages.
"""

import math
from dataclasses import dataclass

import numpy as np

from qkcore.statistics.clusters import (
    Estimate,
    by_group,
    grouped_accuracy,
    grouped_balanced_accuracy,
)
from qkcore.statistics.paired import grouped_balanced_difference, grouped_difference


@dataclass(frozen=True, slots=True)
class Measured:
    """A share, or a difference of shares, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate) -> "Measured":
        """One estimate of `clusters` or `paired`, of shape ()."""
        return cls(float(estimate.value), float(estimate.low), float(estimate.high))

    def less(self, other: float) -> "Measured":
        """What it exceeds a number by, which is taken as known."""
        return Measured(self.value - other, self.low - other, self.high - other)

    def minus(self, other: "Measured") -> "Measured":
        """The difference to one that was measured on other puzzles, in other groups.

        The two intervals' ends make its own (MOVER: Zou and Donner, Statistics in Medicine 27,
        2008; of two shares Newcombe's, Statistics in Medicine 17, 1998).

        >>> found = Measured(0.8, 0.7, 0.87).minus(Measured(0.5, 0.4, 0.6))
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (0.3, 0.159, 0.422)
        """
        value = self.value - other.value
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        return Measured(value, value - below, value + above)


@dataclass(frozen=True, slots=True)
class Rival:
    """Who may do as well as the head, on the same puzzles."""

    name: str  # as it stands in a sentence: "the calibrated model", '"contains not"'
    accuracy: Measured
    lead: Measured  # the head's accuracy minus this one's, paired


@dataclass(frozen=True, slots=True)
class Twin:
    """The same head on the balanced twin of the set, where no word gives the answer away."""

    head: Measured
    calibrated_model: Rival
    luck: float  # what guessing gets there: chance, since the head was chosen elsewhere
    n: int
    n_groups: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict on a run looks at. One measure throughout: plain or balanced accuracy."""

    head_name: str
    head: Measured
    model: Rival
    calibrated_model: Rival
    majority: Rival  # always gives the commonest answer of validation puzzles
    luck: float  # 95th percentile of what the best of all heads gets when answers are shuffled
    n: int
    n_groups: int
    rule: Rival | None = None  # the best surface rule of validation puzzles
    head_says: str | None = None  # the candidate, where the head is constant
    twin: Twin | None = None
    calibrated_lead: Measured | None = None  # calibrated head minus calibrated model


def measured(is_right: np.ndarray, group: np.ndarray, answer: np.ndarray | None = None) -> Measured:
    """Accuracy with the interval of grouped puzzles, balanced where answers are given.

    Args:
        is_right: (puzzle,) bool.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate.

    >>> found = measured(np.tile([True, True, False], 40), np.arange(120))
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.667, 0.578, 0.745)
    """
    right, n = (by_group(marks, group, answer) for marks in (is_right, np.ones(len(group), int)))
    return Measured.of(
        grouped_accuracy(right, n) if answer is None else grouped_balanced_accuracy(right, n)
    )


def against(
    name: str,
    is_right: np.ndarray,
    is_head_right: np.ndarray,
    group: np.ndarray,
    answer: np.ndarray | None = None,
) -> Rival:
    """A rival of the head on the same puzzles.

    Args:
        name: as it stands in a sentence.
        is_right: (puzzle,) bool, of the rival.
        is_head_right: (puzzle,) bool.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate, where accuracies are balanced.

    >>> head, model = np.tile([True, True, False], 40), np.tile([True, False, False], 40)
    >>> round(against("the model", model, head, np.arange(120)).lead.value, 3)
    0.333
    """
    counts = [
        by_group(marks, group, answer)
        for marks in (
            is_head_right & ~is_right,
            ~is_head_right & is_right,
            np.ones(len(group), int),
        )
    ]
    difference = grouped_difference if answer is None else grouped_balanced_difference
    return Rival(name, measured(is_right, group, answer), Measured.of(difference(*counts)))
