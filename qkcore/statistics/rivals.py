"""Trivial rivals of a head: the commonest answer, and answering the same whatever the puzzle.

Answers and choices in, labels and shares out. What is called common or constant is decided on
validation puzzles and reported on others. Answers may be indices of candidates or, where puzzles
order or name them differently, codes of their names. Knows nothing of who answers.
"""

from collections.abc import Mapping

import numpy as np

from qkcore.statistics.marks import TIE

CONSTANT_SHARE = 0.98  # of validation puzzles, at which an answerer is called constant
BALANCED = 55, 45  # what a set of two answers may have of them and still be called balanced


def majority_answer(answer: np.ndarray) -> int:
    """The commonest right answer of **validation** puzzles, the lowest of equals.

    What it gets on test puzzles is `(test_answer == majority_answer(validation_answer)).mean()`,
    and its interval `clusters.grouped_accuracy` of these marks.

    Args:
        answer: (puzzle,) whole numbers from 0, at least one.

    >>> majority_answer(np.array([1, 0, 1]))
    1
    """
    return int(np.bincount(answer).argmax())


def is_imbalanced(answer: np.ndarray, n_candidates: int = 2) -> bool:
    """The commonest answer is right more often than 55 to 45 of two.

    With more candidates: more often than 1.1 times its equal share.

    Args:
        answer: (puzzle,) whole numbers from 0.
        n_candidates: of a puzzle.

    >>> is_imbalanced(np.repeat([0, 1], [55, 45])), is_imbalanced(np.repeat([0, 1], [56, 44]))
    (False, True)
    """
    largest, half = np.bincount(answer).max(initial=0), sum(BALANCED) // 2
    # In whole numbers: 0.55 as a fraction of two is a rounded one
    return bool(largest * n_candidates * half > max(BALANCED) * len(answer))


def constant_answers(said: np.ndarray, share: float = CONSTANT_SHARE) -> np.ndarray:
    """What each answerer says to nearly all **validation** puzzles, -1 where it is not constant.

    Args:
        said: (puzzle, ...) candidate index, -1 for none.
        share: of all puzzles, above a half.

    Returns:
        (...) candidate index or -1.

    >>> constant_answers(np.array([[1, 0], [1, 1], [1, 0]])).tolist()
    [1, -1]
    """
    found = np.full(said.shape[1:], TIE)
    for candidate in range(said.max(initial=-1) + 1):
        n_said = (said == candidate).sum(axis=0)
        found[(n_said > 0) & (n_said >= share * len(said))] = candidate
    return found


def constant_label(candidate: str) -> str:
    """How a constant answerer is named.

    >>> constant_label("yes")
    'always says "yes"'
    """
    return f'always says "{candidate}"'


def best_rival(shares: Mapping[str, float]) -> tuple[str, float]:
    """Name and share of the best trivial rival, the first of equals.

    >>> best_rival({"luck line": 0.56, "majority": 0.5, "contains not": 1.0})
    ('contains not', 1.0)
    """
    name = max(shares, key=lambda rival: shares[rival])
    return name, shares[name]
