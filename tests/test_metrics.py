import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from qkcore import qkscore
from qkcore.metrics import (
    accuracy_interval,
    candidate_choices,
    paired_test,
    select_heads,
)


def test_stored_choices_equal_those_of_the_tensors():
    scores = np.random.default_rng(0).integers(0, 3, size=(200, 3)).astype(np.float32)  # many ties
    assert candidate_choices(scores).tolist() == qkscore.choices(torch.tensor(scores)).tolist()


@pytest.mark.parametrize(("n_right", "n"), [(0, 5), (5, 5), (8, 10), (1674, 1800)])
def test_the_interval_is_the_one_scipy_computes(n_right, n):
    low, high = accuracy_interval(n_right, n)
    expected = stats.binomtest(n_right, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_intervals_cover_the_true_accuracy_at_their_stated_rate():
    n_right = np.random.default_rng(1).binomial(120, 0.7, size=20_000)
    low, high = accuracy_interval(n_right, np.full(20_000, 120))
    assert 0.94 < ((low <= 0.7) & (high >= 0.7)).mean() < 0.965


def test_the_best_head_is_the_one_with_most_right_and_the_first_of_equals():
    frame = pd.DataFrame({"layer": [1, 0, 0, 2], "head": [0, 1, 0, 3], "accuracy": [0.7, 0.9, 0.9, 0.8]})
    assert select_heads(frame, k=3) == [(0, 0), (0, 1), (2, 3)]


def test_the_paired_test_looks_only_at_puzzles_where_head_and_model_differ():
    few, many = paired_test(20, 8, 1), paired_test(2000, 8, 1)
    assert few.p == many.p == pytest.approx(stats.binomtest(8, 9).pvalue)
    assert few.gap == pytest.approx(7 / 20)
    assert few.low < few.gap < few.high


def test_no_difference_at_all_is_no_evidence():
    assert paired_test(50, 0, 0).p == 1.0
    assert paired_test(50, 0, 0).gap == 0.0


def test_a_gap_stays_between_minus_and_plus_one_hundred_points():
    assert paired_test(4, 0, 4).low == -1.0
    assert paired_test(10, 10, 0).high == 1.0


def test_the_paired_interval_covers_the_true_gap_at_its_stated_rate():
    rng = np.random.default_rng(2)
    counts = rng.multinomial(200, [0.5, 0.2, 0.1, 0.2], size=3_000)  # both, only head, only model, neither
    gaps = [paired_test(200, int(only_head), int(only_model)) for _, only_head, only_model, _ in counts]
    assert 0.935 < np.mean([gap.low <= 0.1 <= gap.high for gap in gaps]) < 0.97
