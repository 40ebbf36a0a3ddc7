"""Made-up right and wrong answers of which the truth is known, in groups that answer alike."""

import numpy as np

SIZES = {"1": [1], "2": [2], "4": [4], "10": [10], "mixed": [1, 2, 4, 10]}


def sizes(kind: str, n_groups: int) -> np.ndarray:
    """(group,) puzzles of each, by a name in `SIZES`."""
    return np.resize(SIZES[kind], n_groups)


def marks(
    accuracy: float, correlation: float, n: np.ndarray, n_runs: int, rng, how: str = "beta"
) -> np.ndarray:
    """(run, puzzle) bool: right with this probability, alike within groups.

    Either each group has an accuracy of its own, from a beta distribution, or each puzzle takes
    its group's mark with a probability ("copy"): some groups are then nearly all wrong. Both give
    two puzzles of a group the correlation asked for.
    """
    group, n_groups = np.repeat(np.arange(len(n)), n), len(n)
    own = rng.random((n_runs, len(group)))
    if correlation == 0:
        return own < accuracy
    if how == "copy" or correlation == 1:
        shared = (rng.random((n_runs, n_groups)) < accuracy)[:, group]
        is_shared = rng.random(own.shape) < np.sqrt(correlation)
        return np.where(is_shared, shared, own < accuracy)
    spread = (1 - correlation) / correlation
    p = rng.beta(accuracy * spread, (1 - accuracy) * spread, (n_runs, n_groups))
    return own < p[:, group]


def summed(marks: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(run, puzzle) marks of puzzles in order of groups as (run, group) counts."""
    starts = np.concatenate([[0], np.cumsum(n)[:-1]])
    return np.add.reduceat(marks.astype(int), starts, axis=1)


def opposed(accuracy: float, opposition: float, n: np.ndarray, n_runs: int, rng) -> np.ndarray:
    """(run, puzzle) bool: right with this probability, and unlike within pairs of a group.

    Of as many pairs as can be with this accuracy, times `opposition`, and of all others by chance,
    exactly one puzzle is right: as of a head that says the same to a statement and its denial.
    With 0 puzzles are independent. An odd group's last puzzle has no other.
    """
    by_chance, most = 2 * accuracy * (1 - accuracy), 2 * min(accuracy, 1 - accuracy)
    one = (1 - opposition) * by_chance + opposition * most
    drawn, is_first_right = rng.random((n_runs, n.sum())), rng.random((n_runs, n.sum())) < 0.5
    marked = rng.random((n_runs, n.sum())) < accuracy
    starts = np.concatenate([[0], np.cumsum(n)[:-1]])
    for start, size in zip(starts, n, strict=True):
        first = np.arange(start, start + size - 1, 2)
        is_one, is_both = drawn[:, first] < one, drawn[:, first] > 1 - (accuracy - one / 2)
        marked[:, first] = np.where(is_one, is_first_right[:, first], is_both)
        marked[:, first + 1] = np.where(is_one, ~is_first_right[:, first], is_both)
    return marked
