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
