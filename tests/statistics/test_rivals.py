import numpy as np
import pytest

from qkcore.statistics.rivals import (
    best_rival,
    constant_answers,
    is_imbalanced,
    majority_answer,
)


def test_the_majority_is_the_commonest_answer_and_of_equals_the_lower():
    assert majority_answer(np.repeat([2, 0, 1], [5, 4, 3])) == 2
    assert majority_answer(np.array([1, 0])) == 0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((550, 450), False), ((551, 449), True), ((45, 55), False), ((0, 10), True)],
)
def test_beyond_55_to_45_a_set_is_imbalanced(counts, expected):
    assert is_imbalanced(np.repeat([0, 1], counts)) is expected


def test_of_four_candidates_each_may_be_right_for_27_percent():
    assert not is_imbalanced(np.repeat(range(4), [27, 25, 24, 24]), 4)
    assert is_imbalanced(np.repeat(range(4), [28, 24, 24, 24]), 4)


def test_98_of_100_answers_make_a_constant_head_and_97_do_not():
    said = np.zeros((100, 2, 2), dtype=np.int8)  # two layers of two heads
    said[:2, 0, 0], said[:3, 0, 1], said[:2, 1, 0] = 1, 1, -1
    said[:, 1, 1] = 2
    assert constant_answers(said).tolist() == [[0, -1], [0, 2]]


def test_who_never_decides_says_nothing_constantly():
    assert constant_answers(np.full((50, 1), -1)).tolist() == [-1]
    assert constant_answers(np.zeros((0, 3), dtype=int)).tolist() == [-1] * 3


def test_of_equal_rivals_the_first_is_named():
    assert best_rival({"majority": 0.6, "rule": 0.6}) == ("majority", 0.6)
