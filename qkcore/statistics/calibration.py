"""Answers with one offset a candidate, chosen on validation puzzles: what a lean costs.

A model that leans to one answer gets chance though its scores order the puzzles well. Whoever is
compared with a head that was chosen with labels may use the same labels for one number. Scores in
(a model's logits, a head's QK-scores), offsets, choices and areas out; candidates on the last axis,
those that a puzzle does not have are NaN. Knows nothing of where scores come from.

Offsets belong to places: the first candidate, the second. Where puzzles name their candidates
differently, or in another order, an offset for "the first" is none for "true", and calibration can
only undo a lean to places.
"""

import math
from itertools import combinations

import numpy as np
from scipy import stats

from qkcore.statistics.marks import choices

N_STARTS = 4  # of the search where there are more than two candidates
MAX_SWEEPS = 20
HEADS_AT_ONCE = 256  # sorted together: a large run has thousands


def offsets(
    scores: np.ndarray, answer: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """What to add to each candidate's score so that most puzzles are right.

    With two candidates this is exact: of all offsets of the second the one with the most right
    answers, the middle of the widest interval of such offsets, of equally wide ones the lowest.
    With more, one offset after the other is set so while the others stay, until nothing gets
    better, from several starts: the best found.

    Args:
        scores: (puzzle, ..., candidate) on **validation** puzzles.
        answer: (puzzle,) index of the right candidate.
        weights: (puzzle,) what a right answer counts, 1 if left out; `balance_weights` makes it
            balanced accuracy.

    Returns:
        (..., candidate) float64 in units of the scores, 0 for the first candidate.

    >>> logits = np.array([[5.0, 1.0], [6.0, 1.0], [8.0, 1.0], [9.0, 1.0]])  # says the first to all
    >>> offsets(logits, answer=np.array([1, 1, 0, 0])).tolist()
    [0.0, 6.0]
    """
    n_puzzles, n_candidates = len(scores), scores.shape[-1]
    flat = scores.reshape(n_puzzles, math.prod(scores.shape[1:-1]), n_candidates)
    weights = np.ones(n_puzzles) if weights is None else np.asarray(weights, dtype=float)
    found = np.zeros(flat.shape[1:])
    if n_puzzles:
        for first in range(0, flat.shape[1], HEADS_AT_ONCE):
            some = slice(first, first + HEADS_AT_ONCE)
            known = flat[:, some].astype(np.float64).swapaxes(0, 1)
            found[some] = _searched(known, np.asarray(answer), weights)
    return found.reshape(scores.shape[1:])


def calibrated(scores: np.ndarray, own_offsets: np.ndarray) -> np.ndarray:
    """(puzzle, ...) choices with offsets added, -1 for a tie.

    Args:
        scores: (puzzle, ..., candidate).
        own_offsets: (..., candidate) from `offsets`, of other puzzles.

    >>> calibrated(np.array([[5.0, 1.0], [9.0, 1.0]]), np.array([0.0, 6.0])).tolist()
    [1, 0]
    """
    return choices(np.asarray(scores, dtype=np.float64) + own_offsets)


def balance_weights(answer: np.ndarray) -> np.ndarray:
    """(puzzle,) weights that make every right answer count alike, 1 on average.

    >>> balance_weights(np.array([0, 0, 0, 1])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    n = np.bincount(answer)
    return len(answer) / ((n > 0).sum() * n[answer])


def pairwise_auc(scores: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """How well scores order puzzles, whatever their offsets: the mean area over pairs of answers.

    Of two answers the area is the chance that a puzzle of the one has more evidence for it, score
    minus score, than a puzzle of the other; ties count half. Hand and Till (Machine Learning 45,
    2001) take the mean over pairs; their evidence are probabilities, which one candidate's score
    alone is not. With two candidates it is `metrics.auc`.

    Args:
        scores: (puzzle, ..., candidate); a puzzle counts in the pairs that it has scores for.
        answer: (puzzle,) index of the right candidate.

    Returns:
        (...) 0 to 1, chance 0.5; NaN where fewer than two answers occur.

    >>> scores = np.array([[9.0, 0.0, 0.0], [8.0, 7.0, 0.0], [5.0, 6.0, 3.0], [5.0, 0.0, 4.0]])
    >>> pairwise_auc(scores, np.array([0, 1, 1, 2])).round(3).tolist()
    1.0
    """
    areas = []
    for one, other in combinations(range(scores.shape[-1]), 2):
        evidence = scores[..., one].astype(np.float64) - scores[..., other]
        is_known = ~np.isnan(evidence.reshape(len(evidence), -1)).any(axis=1)
        rows = np.flatnonzero(np.isin(answer, (one, other)) & is_known)
        is_one = np.asarray(answer)[rows] == one
        n_one, n_other = int(is_one.sum()), int((~is_one).sum())
        if n_one and n_other:
            ranks = stats.rankdata(evidence[rows], axis=0)
            areas.append((ranks[is_one].sum(axis=0) / n_one - (n_one + 1) / 2) / n_other)
    return np.mean(areas, axis=0) if areas else np.full(scores.shape[1:-1], np.nan)


def _searched(scores: np.ndarray, answer: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(head, candidate) offsets: the best of several starts, the first of equals.

    Args:
        scores: (head, puzzle, candidate) float64.
        answer: (puzzle,).
        weights: (puzzle,).
    """
    n_candidates = scores.shape[-1]
    if n_candidates == 2:
        start = np.zeros(scores.shape[::2])
        start[:, 1] = _best_offset(scores, start, answer, weights, candidate=1)
        return start
    spread, rng = np.nanstd(scores, axis=(1, 2))[:, None], np.random.default_rng(0)
    best, most = np.zeros(scores.shape[::2]), np.full(len(scores), -np.inf)
    for number in range(N_STARTS):
        start = -np.nanmean(scores, axis=1) if number == 1 else np.zeros(scores.shape[::2])
        if number > 1:
            start = spread * rng.normal(size=n_candidates)
        found, right = _climbed(scores, np.nan_to_num(start), answer, weights)
        best[right > most] = found[right > most]
        most = np.maximum(most, right)
    return best - best[:, :1]


def _climbed(
    scores: np.ndarray, start: np.ndarray, answer: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(head, candidate) offsets that no single change makes better; (head,) weight right."""
    current, right = start.copy(), _weight_right(scores, start, answer, weights)
    rising = np.arange(len(scores))
    for _ in range(MAX_SWEEPS):
        own, tried = scores[rising], current[rising]
        for candidate in range(scores.shape[-1]):
            tried[:, candidate] = _best_offset(own, tried, answer, weights, candidate)
        now = _weight_right(own, tried, answer, weights)
        is_better = now > right[rising] + 1e-9
        rising, tried, now = rising[is_better], tried[is_better], now[is_better]
        current[rising], right[rising] = tried, now
        if not len(rising):
            break
    return current, right


def _weight_right(
    scores: np.ndarray, own_offsets: np.ndarray, answer: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    return (choices(scores + own_offsets[:, None]) == answer) @ weights


def _best_offset(
    scores: np.ndarray,
    own_offsets: np.ndarray,
    answer: np.ndarray,
    weights: np.ndarray,
    candidate: int,
) -> np.ndarray:
    """(head,) offset of one candidate that is best while the others stay.

    A puzzle is given the candidate where its offset exceeds a threshold: the best of the others,
    with their offsets, minus its own score. Above it a puzzle of this answer becomes right, and one
    that the others have right becomes wrong.
    """
    others = scores + own_offsets[:, None]
    others[..., candidate] = np.nan
    by_others = choices(others)
    threshold = np.where(np.isnan(others), -np.inf, others).max(axis=-1) - scores[..., candidate]
    gain = np.where(answer == candidate, weights, np.where(by_others == answer, -weights, 0.0))
    is_asked = np.isfinite(threshold)  # not where a puzzle has no such candidate, or no other
    return _best_cut(np.where(is_asked, threshold, np.inf), np.where(is_asked, gain, 0.0))


def _best_cut(threshold: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """(head,) cut for which the gains of the thresholds below it add up to most.

    The middle of the widest interval between two thresholds that is best. Only where nothing
    between them is as good it lies outside of all, by as much as they span.

    Args:
        threshold: (head, puzzle), infinite for those that no cut exceeds.
        gain: (head, puzzle).

    >>> _best_cut(np.array([[1.0, 2.0, 6.0, 7.0]]), np.array([[1.0, -1.0, 1.0, -1.0]])).tolist()
    [1.5]
    """
    is_finite = np.isfinite(threshold)
    low = np.where(is_finite, threshold, np.inf).min(axis=1, keepdims=True)
    high = np.where(is_finite, threshold, -np.inf).max(axis=1, keepdims=True)
    low, high = (np.where(np.isfinite(end), end, 0.0) for end in (low, high))
    reach = np.where(high > low, high - low, np.maximum(1.0, np.abs(low)))
    known = np.where(is_finite, threshold, high)
    order = np.argsort(known, axis=1, kind="stable")
    ordered = np.take_along_axis(known, order, axis=1)
    total = np.cumsum(np.take_along_axis(gain, order, axis=1), axis=1)
    total = np.hstack([np.zeros_like(low), total])  # below the first threshold, the second ...
    points = np.hstack([low - 2 * reach, ordered, high + 2 * reach])
    width = np.diff(points, axis=1)
    total[width <= 0] = -np.inf  # no cut goes between equals
    width[:, [0, -1]] = 0  # outside: only where no interval inside is as good
    is_best = total >= total.max(axis=1, keepdims=True) - 1e-9
    place = np.where(is_best, width, -1.0).argmax(axis=1)[:, None]
    left, right = (np.take_along_axis(points, place + step, axis=1)[:, 0] for step in (0, 1))
    return left / 2 + right / 2
