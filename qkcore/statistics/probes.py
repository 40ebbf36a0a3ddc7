"""Probes: can a linear classifier read the answer from what goes on after a layer?

Multinomial logistic regression with an L2 penalty, one a layer, fitted on validation puzzles. How
strong the penalty is, cross-validation says, whole groups at a time. Beside each stands a control:
the same probe fitted on shuffled answers (after Hewitt and Liang 2019, arXiv 1909.03368). Knows
nothing of models; states are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logsumexp, softmax

from qkcore.statistics.exchange import shuffles
from qkcore.statistics.marks import TIE, choices

# What a puzzle's loss weighs against half the squared weights: C, larger is a weaker penalty.
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
DEFAULT_STRENGTH = 1e-3  # where there are not two groups to choose it on
N_FOLDS = 5
SEED = 0
NEGLIGIBLE = 1e-6  # of the largest spread: directions in which states hardly differ
# A fit ends where its next step promises less, in nats a puzzle: to compare folds, and in the end.
ROUGHLY, CLOSELY = 1e-6, 1e-9
MAX_STEPS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class ProbeChoices:
    """What the probes of a run say, one a layer."""

    layers: np.ndarray  # (layer,) the model's numbers of its layers
    choices: np.ndarray  # (puzzle, layer) int8 candidate index; -1: not asked
    controls: np.ndarray  # likewise of probes that were fitted on shuffled answers
    n_validation: int  # puzzles that they were fitted on
    strengths: np.ndarray  # (layer,) regularisation (C: larger is weaker), chosen by groups


def probe_answers(
    puzzles: pd.DataFrame, places: np.ndarray, states: Sequence[np.ndarray]
) -> ProbeChoices:
    """Fit a probe a layer on validation puzzles, and ask it test puzzles.

    A probe knows candidates by their words, and of a puzzle it chooses among its own.

    Args:
        puzzles: candidates, answer, group, split, steps, distractors of all puzzles.
        places: (n,) rows of those that have states: validation puzzles to fit on, test puzzles.
        states: n of (layer, dim), in their order.

    >>> puzzles = pd.DataFrame({"answer": [0, 1] * 8, "group": [i // 2 for i in range(16)]})
    >>> puzzles = puzzles.assign(candidates=[("yes", "no")] * 16, steps=1, distractors=0)
    >>> puzzles["split"] = ["validation", "validation", "test", "test"] * 4
    >>> told = np.where(puzzles["answer"] == 0, 1.0, -1.0)[:, None, None]
    >>> probe_answers(puzzles, np.arange(16), told).choices[:, 0].tolist()
    [-1, -1, 0, 1, -1, -1, 0, 1, -1, -1, 0, 1, -1, -1, 0, 1]
    """
    known = puzzles.iloc[places].reset_index(drop=True)
    fitted, asked = (np.flatnonzero(known["split"] == split) for split in ("validation", "test"))
    n_layers = len(states[0]) if len(states) else 0
    said, by_control = (np.full((len(puzzles), n_layers), TIE, dtype=np.int8) for _ in range(2))
    strengths = np.full(n_layers, DEFAULT_STRENGTH)
    layers = np.arange(n_layers, dtype=np.int32)
    found = ProbeChoices(layers, said, by_control, len(fitted), strengths)
    if not len(fitted):
        return found
    own = known.iloc[fitted].reset_index(drop=True)
    words, classes = _classes(known, own)
    shuffled = next(shuffles(own, 1, np.random.default_rng(SEED)))[0]
    targets = [_class_of(classes[fitted], answer) for answer in (own["answer"], shuffled)]
    folds = _folds(own["group"])
    for layer in range(n_layers):
        of_layer = np.stack([state[layer] for state in states])
        features, others = _standardised(of_layer[fitted], of_layer[asked])
        strengths[layer] = _best_strength(features, targets[0], len(words), folds)
        weights = fit(
            features,
            np.stack(targets),
            len(words),
            np.ones((2, len(fitted))),
            np.full(2, strengths[layer]),
        )
        for table, one in zip((said, by_control), weights, strict=True):
            table[places[asked], layer] = _chosen(_with_one(others) @ one, classes[asked])
    return found


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    n_classes: int,
    counts: np.ndarray,
    strengths: np.ndarray,
    tolerance: float = CLOSELY,
) -> np.ndarray:
    """Weights of several probes on the same puzzles, together.

    Each is where C times the sum of its puzzles' losses (cross-entropy) plus half its squared
    weights, without the constant, is least. Found by accelerated steps against a quadratic upper
    bound of the loss (Boehning 1992: no Hessian of softmax exceeds half of X'X), which is diagonal
    here, started anew where they overshoot (O'Donoghue and Candes 2015).

    Args:
        features: (puzzle, direction), whose columns are orthogonal and have mean zero, as
            `_standardised` makes them.
        targets: (probe, puzzle) class of each puzzle.
        n_classes: how many there are.
        counts: (probe, puzzle) 1 where a probe is fitted on a puzzle, else 0.
        strengths: (probe,) C.
        tolerance: in nats a puzzle; a fit ends where its next step promises less.

    Returns:
        (probe, 1 + direction, class) weights, that of the constant first.
    """
    x, n = _with_one(features), len(features)
    penalty = np.repeat(1 / strengths[:, None, None], x.shape[1], axis=1)
    penalty[:, 0] = 0.0
    bound = 0.5 * (x**2).sum(axis=0)[None, :, None] + penalty
    is_target = targets[:, :, None] == np.arange(n_classes)  # (probe, puzzle, class)
    weights = np.zeros((len(targets), x.shape[1], n_classes))
    ahead, pace = weights.copy(), np.ones(len(targets))
    left = np.arange(len(targets))
    for _ in range(MAX_STEPS):
        scores = np.einsum("nd,pdc->pnc", x, ahead[left], optimize=True)
        errors = (softmax(scores, axis=-1) - is_target[left]) * counts[left, :, None]
        slope = np.einsum("nd,pnc->pdc", x, errors, optimize=True) + penalty[left] * ahead[left]
        step = -slope / bound[left]
        moved = ahead[left] + step
        is_back = np.einsum("pdc,pdc->p", slope, moved - weights[left]) > 0
        faster = np.where(is_back, 1.0, (1 + np.sqrt(1 + 4 * pace[left] ** 2)) / 2)
        swing = np.where(is_back, 0.0, (pace[left] - 1) / faster)[:, None, None]
        ahead[left] = moved + swing * (moved - weights[left])
        weights[left], pace[left] = moved, faster
        gain = -np.einsum("pdc,pdc->p", slope, step)  # what the bound promises, twice
        left = left[gain > tolerance * n]
        if not len(left):
            break
    return weights


def _best_strength(
    features: np.ndarray, target: np.ndarray, n_classes: int, folds: np.ndarray
) -> float:
    """The strength with the least loss on groups left out; of equals the strongest penalty."""
    n_folds = int(folds.max()) + 1
    if n_folds < 2 or len(np.unique(target)) < 2:
        return DEFAULT_STRENGTH
    strengths = np.repeat(STRENGTHS, n_folds)
    fold = np.tile(np.arange(n_folds), len(STRENGTHS))
    is_out = folds == fold[:, None]  # (probe, puzzle)
    targets = np.broadcast_to(target, is_out.shape)
    weights = fit(features, targets, n_classes, ~is_out, strengths, ROUGHLY)
    scores = np.einsum("nd,pdc->pnc", _with_one(features), weights, optimize=True)
    right = np.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    losses = ((logsumexp(scores, axis=-1) - right) * is_out).sum(axis=1)
    by_strength = losses.reshape(len(STRENGTHS), n_folds).sum(axis=1)
    return STRENGTHS[int(by_strength.argmin())]


def _folds(groups: pd.Series) -> np.ndarray:
    """(puzzle,) the fold of each: whole groups, dealt out by lot, folds as even as they go."""
    numbers = pd.factorize(groups)[0]
    sizes = np.bincount(numbers)
    n_folds = min(N_FOLDS, len(sizes))
    filled, fold_of = np.zeros(n_folds), np.zeros(len(sizes), dtype=int)
    for group in np.random.default_rng(SEED).permutation(len(sizes)):
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[numbers]


def _classes(known: pd.DataFrame, fitted: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Words of all candidates of validation puzzles, and (puzzle, candidate) which of them.

    -1 where a puzzle has no such candidate, or it is a word that no validation puzzle offers.
    """
    words = sorted({word for candidates in fitted["candidates"] for word in candidates})
    number = {word: index for index, word in enumerate(words)}
    most = known["candidates"].map(len).max()
    classes = np.full((len(known), most), -1)
    for row, candidates in enumerate(known["candidates"]):
        classes[row, : len(candidates)] = [number.get(word, -1) for word in candidates]
    return words, classes


def _class_of(classes: np.ndarray, answer: np.ndarray | pd.Series) -> np.ndarray:
    """(puzzle,) the class of each puzzle's answer."""
    index = np.asarray(answer, dtype=int)[:, None]
    return np.take_along_axis(classes, index, axis=1)[:, 0]


def _chosen(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(puzzle,) the candidate whose class scores most, of (puzzle, class) scores."""
    of_candidates = np.take_along_axis(scores, np.maximum(classes, 0), axis=1)
    return choices(np.where(classes >= 0, of_candidates, np.nan))


def _standardised(fitted: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States with mean 0 and spread 1 in each dim of the first, turned so that dims are orthogonal.

    A turn changes neither squared weights nor what can be read; directions in which the first do
    not differ are left out, since no weight is put on them.

    Args:
        fitted: (puzzle, dim).
        others: (puzzle, dim).
    """
    mean, spread = fitted.mean(axis=0, dtype=np.float64), fitted.std(axis=0, dtype=np.float64)
    spread[spread <= NEGLIGIBLE * spread.max(initial=0.0)] = np.inf
    first, second = ((states - mean) / spread for states in (fitted, others))
    if first.shape[1] <= len(first):
        squares, turn = np.linalg.eigh(first.T @ first)
        is_kept = squares > NEGLIGIBLE**2 * squares.max(initial=1e-12)
        turn = turn[:, is_kept]
    else:
        squares, left = np.linalg.eigh(first @ first.T)
        is_kept = squares > NEGLIGIBLE**2 * squares.max(initial=1e-12)
        turn = first.T @ (left[:, is_kept] / np.sqrt(squares[is_kept]))
    return first @ turn, second @ turn


def _with_one(features: np.ndarray) -> np.ndarray:
    """(puzzle, 1 + direction): a constant before the features."""
    return np.hstack([np.ones((len(features), 1)), features])
