"""At which layers of a model an answer can be read: above guessing, with many layers looked at.

Marks of single puzzles by layer in, shares with intervals and booleans out. Knows nothing of who
reads (a lens, a probe) or of stores; offsets and probes were fitted on validation puzzles, the
marks are of test puzzles.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from qkcore.statistics.clusters import (
    Estimate,
    by_group,
    grouped_accuracy,
    grouped_balanced_accuracy,
)
from qkcore.statistics.paired import Difference, grouped_balanced_difference, grouped_difference

ERROR_RATE = 0.05  # of naming any layer at which only guesses are read


def accuracies(
    is_right: np.ndarray, group: np.ndarray, answer: np.ndarray | None = None
) -> Estimate:
    """Accuracy at each layer with the interval of groups, balanced where answers are given.

    Args:
        is_right: (puzzle, ...) bool.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate.

    Returns:
        An estimate of shape (...).

    >>> marks = np.tile([[True, True], [False, True]], (40, 1))  # two layers
    >>> accuracies(marks, np.arange(80)).value.tolist()
    [0.5, 1.0]
    """
    right, n = (by_group(marks, group, answer) for marks in (is_right, np.ones(len(group), int)))
    return grouped_accuracy(right, n) if answer is None else grouped_balanced_accuracy(right, n)


def leads(
    is_right: np.ndarray, rival: np.ndarray, group: np.ndarray, answer: np.ndarray | None = None
) -> Difference:
    """How far each layer is ahead of a rival on the same puzzles.

    Args:
        is_right: (puzzle, layer) bool.
        rival: (puzzle, layer) bool, or (puzzle, 1) where all layers have the same.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate, where accuracies are balanced.

    Returns:
        A difference of shape (layer,).

    >>> marks, rival = np.tile([[True, True], [False, True]], (40, 1)), np.zeros((80, 1), bool)
    >>> leads(marks, rival, np.arange(80)).value.tolist()
    [0.5, 1.0]
    """
    ones = np.ones(len(group), int)
    counts = [
        by_group(marks, group, answer) for marks in (is_right & ~rival, ~is_right & rival, ones)
    ]
    difference = grouped_difference if answer is None else grouped_balanced_difference
    return difference(*counts)


def above_guessing(
    is_right: np.ndarray,
    rivals: Sequence[np.ndarray],
    chance: float,
    n_looked_at: int,
    group: np.ndarray,
    answer: np.ndarray | None = None,
) -> np.ndarray:
    """The layers at which more is right than by guessing, however many layers are looked at.

    A layer must be ahead of chance and of each rival (the commonest answer; for a probe also its
    control). Each of these is a one-sided test at `ERROR_RATE` over the number of layers and
    readings that are looked at (Bonferroni), so in at most 5 of 100 sets any layer is named that
    only guesses; and with it no layer before the first that can be read. That all rivals must be
    beaten costs nothing more (Berger, Technometrics 24, 1982).

    Args:
        is_right: (puzzle, layer) bool, on **test** puzzles.
        rivals: each (puzzle, layer) or (puzzle, 1) bool.
        chance: what guessing gets, 0 to 1.
        n_looked_at: layers, all readings together.
        group: (puzzle,) whole numbers from 0.
        answer: (puzzle,) index of the right candidate, where accuracies are balanced.

    Returns:
        (layer,) bool; none where all puzzles are of one group.

    >>> rng = np.random.default_rng(0)
    >>> marks = rng.random((400, 3)) < [0.5, 0.52, 0.8]
    >>> always = np.tile([[True], [False]], (200, 1))
    >>> above_guessing(marks, [always], 0.5, 3, np.arange(400)).tolist()
    [False, False, True]
    """
    level = ERROR_RATE / max(n_looked_at, 1)
    found = accuracies(is_right, group, answer)
    is_above = found.value > chance
    if answer is None:  # balanced, the commonest answer gets chance itself
        is_above &= score_p(found, chance) <= level
    for rival in rivals:
        lead = leads(is_right, rival, group, answer)
        is_above &= (lead.value > 0) & (lead.p / 2 <= level)
    return is_above


def score_p(found: Estimate, chance: float) -> np.ndarray:
    """(...) one-sided p of guessing: the score test that Wilson's interval is the inverse of.

    Of the effective number of puzzles; no puzzles that tell anything give 1.

    >>> found = accuracies(np.tile([True, True, True, False], 25), np.arange(100))
    >>> bool(score_p(found, 0.5) < 0.001)
    True
    """
    error = np.sqrt(chance * (1 - chance) / np.maximum(found.n_effective, 1e-9))
    p: np.ndarray = stats.norm.sf((found.value - chance) / error)
    return p


def first(layers: np.ndarray, is_above: np.ndarray) -> int | None:
    """The first of the layers that are above, None where none is.

    >>> first(np.array([0, 2, 4]), np.array([False, True, True]))
    2
    """
    return int(layers[is_above].min()) if is_above.any() else None
