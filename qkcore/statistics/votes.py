"""Votes: what several heads say together.

Choices and scores of a few heads in, one answer a puzzle out. Which heads vote, and how their
scores are scaled, is decided on validation puzzles (`metrics.select_heads`, `spreads`); knows
nothing of where scores come from.
"""

import numpy as np

from qkcore.statistics.marks import choices


def majority_vote(said: np.ndarray, n_candidates: int) -> np.ndarray:
    """The candidate that most heads choose.

    A head that cannot decide (-1) abstains; a tie is no answer.

    Args:
        said: (puzzle, head) candidate index or -1.
        n_candidates: of all puzzles.

    Returns:
        (puzzle,) candidate index or -1.

    >>> majority_vote(np.array([[0, 1, 1], [0, 1, -1]]), 2).tolist()
    [1, -1]
    """
    n_votes = (said[:, :, None] == np.arange(n_candidates)).sum(axis=1)
    return choices(n_votes.astype(float))


def weighted_vote(scores: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Each candidate's sum of scores over heads.

    Each head's scores are centred on its puzzle and in units of its spread. With two candidates
    that is the sum of scaled margins, whose sign answers.

    Args:
        scores: (puzzle, head, candidate); candidates that a puzzle does not have are NaN.
        scales: (head,) from `spreads`; a head of spread 0 has no vote.

    Returns:
        (puzzle, candidate), for `marks.choices`.
    """
    known = np.where(scales > 0, scales, np.inf)
    return (centred(scores) / known[None, :, None]).sum(axis=1)


def centred(scores: np.ndarray) -> np.ndarray:
    """(..., candidate) scores minus their mean over the candidates a puzzle has."""
    scores = np.asarray(scores, dtype=np.float64)  # squares of large float32 scores overflow
    mean = np.nanmean if np.isnan(scores).any() else np.mean  # the plain one is many times as fast
    return scores - mean(scores, axis=-1, keepdims=True)


def spreads(scores: np.ndarray) -> np.ndarray:
    """How large a head's scores are, once centred.

    Their root mean square over puzzles and candidates.

    Args:
        scores: (puzzle, head, candidate) on **validation** puzzles.

    Returns:
        (head,) in units of the head's scores.

    >>> spreads(np.array([[[3.0, 1.0]], [[0.0, 2.0]]])).tolist()
    [1.0]
    """
    return np.sqrt(np.nanmean(centred(scores) ** 2, axis=(0, 2)))
