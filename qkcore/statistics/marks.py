"""What scores say of a puzzle: which candidate, by how much, and how surely.

Scores of any kind in (a head's, a vote's, the model's logits), with candidates on the last axis;
candidates that a puzzle does not have are NaN. Knows nothing of where scores come from.
"""

import numpy as np
from numpy.typing import ArrayLike

TIE = -1  # the choice of who scores two best candidates the same


def choices(scores: np.ndarray) -> np.ndarray:
    """The candidate of the largest score, `TIE` where two share it.

    Args:
        scores: (..., candidate).

    Returns:
        (...) int8 candidate index.

    >>> choices(np.array([[3.0, 1.0], [2.0, 2.0], [1.0, np.nan]])).tolist()
    [0, -1, 0]
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    best = known.max(axis=-1, keepdims=True)
    is_tie = (known == best).sum(axis=-1) > 1
    return np.where(is_tie, TIE, known.argmax(axis=-1)).astype(np.int8)


def margins(scores: np.ndarray, answer: ArrayLike) -> np.ndarray:
    """The right candidate's score minus the best wrong one's; > 0 is right, a tie (0) is wrong.

    Args:
        scores: (..., candidate).
        answer: index of the right candidate, one for all or (...) of them.

    Returns:
        (...) in units of the score.

    >>> margins(np.array([[3.0, 1.0], [2.0, 2.0]]), 0).tolist()
    [2.0, 0.0]
    >>> margins(np.array([[3.0, 1.0], [1.0, 4.0]]), [0, 1]).tolist()
    [2.0, 3.0]
    """
    answer = np.broadcast_to(np.asarray(answer), scores.shape[:-1])[..., None]
    is_wrong = (np.arange(scores.shape[-1]) != answer) & ~np.isnan(scores)
    best_wrong = np.where(is_wrong, scores, -np.inf).max(axis=-1)
    return np.take_along_axis(scores, answer, axis=-1)[..., 0] - best_wrong


def leads(scores: np.ndarray) -> np.ndarray:
    """The best candidate's score minus the second best's: a margin that needs no right answer.

    Args:
        scores: (..., candidate).

    Returns:
        (...) in units of the score.

    >>> leads(np.array([[3.0, 1.0, np.nan], [0.0, 2.0, 7.0]])).tolist()
    [2.0, 5.0]
    """
    if scores.shape[-1] == 2:
        return np.abs(scores[..., 0] - scores[..., 1])  # a run may have millions of these
    two_best = np.sort(np.where(np.isnan(scores), -np.inf, scores), axis=-1)[..., -2:]
    return two_best[..., 1] - two_best[..., 0]


def typical_leads(scores: np.ndarray) -> np.ndarray:
    """The root mean square lead over puzzles, which tells a large lead from a small one.

    Args:
        scores: (..., puzzle, candidate).

    Returns:
        (...) in units of the score.

    >>> typical_leads(np.array([[3.0, 2.0], [1.0, 8.0]])).tolist()
    5.0
    """
    of_all = np.ascontiguousarray(leads(scores), dtype=float)
    typical: np.ndarray = np.sqrt((of_all**2).mean(axis=-1))
    return typical
