"""Generated puzzles have no shortcut: no rule and no classifier over n-grams learns them."""

import re
from collections import Counter
from functools import cache
from itertools import chain

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from qkcore.asking.templates import TRUE_FALSE
from qkcore.puzzles.generate import STYLES, generate_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.surface import SURFACE_RULES, surface_accuracy


@cache
def generated(style: str) -> list[Puzzle]:
    return generate_puzzles(range(7), range(6), 336, seed=23, style=style)


@pytest.mark.parametrize("style", STYLES)
def test_no_rule_solves_generated_puzzles_at_any_number_of_steps(style):
    counts = surface_accuracy(generated(style))
    sums = counts[counts["split"] == "test"].groupby(["rule", "steps"])[["n", "n_right"]].sum()
    assert len(sums) == 7 * len(SURFACE_RULES)
    assert (sums["n"] >= 1000).all()
    assert (sums["n_right"] / sums["n"]).between(0.47, 0.53).all()


def ngrams(text: str) -> list[str]:
    """Runs of one to three words.

    >>> ngrams("Max is red.")
    ['max', 'is', 'red', '.', 'max is', 'is red', 'red .', 'max is red', 'is red .']
    """
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    return [
        " ".join(words[i : i + length])
        for length in (1, 2, 3)
        for i in range(len(words) - length + 1)
    ]


def ngram_counts(rows: list[Counter], columns: dict[str, int]) -> sparse.csr_array:
    """(puzzle, n-gram) how often each stands in the whole prompt."""
    entries = [
        (i, columns[gram], n)
        for i, row in enumerate(rows)
        for gram, n in row.items()
        if gram in columns
    ]
    i, j, n = np.array(entries).T
    return sparse.csr_array((n.astype(float), (i, j)), shape=(len(rows), len(columns)))


def logistic_regression(
    features: sparse.csr_array, is_true: np.ndarray, penalty: float = 1.0
) -> np.ndarray:
    """(feature + 1,) weights and, last, the intercept.

    The squared weights are penalised, the intercept is not.
    """
    features = sparse.hstack([features, np.ones((len(is_true), 1))]).tocsr()
    sign = 2.0 * is_true - 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin, cost = sign * (features @ weights), penalty * np.append(weights[:-1], 0)
        return np.logaddexp(0, -margin).sum() + cost @ weights / 2, cost - features.T @ (
            sign * expit(-margin)
        )

    return minimize(
        loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 100}
    ).x


def ngram_answers(
    seen: list[Puzzle], asked: list[Puzzle], only_presence: bool = False
) -> np.ndarray:
    """(puzzle,) is each asked puzzle right?

    By logistic regression on the n-grams that recur in the seen ones.
    """
    rows, asked_rows = (
        [Counter(ngrams(TRUE_FALSE.render(puzzle))) for puzzle in puzzles]
        for puzzles in (seen, asked)
    )
    found = Counter(chain.from_iterable(rows))
    recurring = [gram for gram, n in found.items() if n > 1]
    columns = {gram: column for column, gram in enumerate(recurring)}
    fitted, held_out = ngram_counts(rows, columns), ngram_counts(asked_rows, columns)
    if only_presence:
        fitted, held_out = fitted.sign(), held_out.sign()
    weights = logistic_regression(fitted, np.array([puzzle.answer == 0 for puzzle in seen]))
    says_true = held_out @ weights[:-1] + weights[-1] > 0
    return says_true == np.array([puzzle.answer == 0 for puzzle in asked])


@pytest.mark.parametrize("style", STYLES)
def test_no_classifier_over_ngrams_learns_to_solve_generated_puzzles(style):
    puzzles = generated(style)
    seen, asked = ([p for p in puzzles if p.split == split] for split in ("validation", "test"))
    assert len(seen) >= 5000
    assert ngram_answers(seen, asked).mean() < 0.53


def test_the_classifier_does_learn_where_there_is_a_shortcut():
    """Of the same puzzles keep those that "contains not" happens to get right."""
    kept = [p for p in generated("made-up") if (" not " in p.statement) == (p.answer == 1)]
    seen, asked = ([p for p in kept if p.split == split][::3] for split in ("validation", "test"))
    assert ngram_answers(seen, asked).mean() > 0.9
