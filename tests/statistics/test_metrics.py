import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkcore.statistics.metrics import (
    above_chance,
    accuracy_interval,
    auc,
    balanced_accuracy,
    gap,
    paired_test,
    select_heads,
    transfer,
    with_accuracy,
)


@pytest.mark.parametrize(("n_right", "n"), [(0, 5), (5, 5), (8, 10), (1674, 1800)])
def test_the_interval_is_the_one_scipy_computes(n_right, n):
    low, high = accuracy_interval(n_right, n)
    expected = stats.binomtest(n_right, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_an_interval_holds_its_share_and_stays_within_0_and_1_also_by_rounding():
    n = np.arange(1, 5000)
    low, high = accuracy_interval(0 * n, n)
    assert (low == 0.0).all()
    assert not np.signbit(low).any()
    low, high = accuracy_interval(n, n)
    assert (high == 1.0).all()


def test_intervals_cover_the_true_accuracy_at_their_stated_rate():
    n_right = np.random.default_rng(1).binomial(120, 0.7, size=20_000)
    low, high = accuracy_interval(n_right, np.full(20_000, 120))
    assert 0.94 < ((low <= 0.7) & (high >= 0.7)).mean() < 0.965


def test_the_best_head_is_the_one_with_most_right_and_the_first_of_equals():
    frame = pd.DataFrame(
        {"layer": [1, 0, 0, 2], "head": [0, 1, 0, 3], "accuracy": [0.7, 0.9, 0.9, 0.8]}
    )
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
    # Both, only head, only model, neither
    counts = rng.multinomial(200, [0.5, 0.2, 0.1, 0.2], size=3_000)
    gaps = [
        paired_test(200, int(only_head), int(only_model)) for _, only_head, only_model, _ in counts
    ]
    assert 0.935 < np.mean([gap.low <= 0.1 <= gap.high for gap in gaps]) < 0.97


def test_a_gap_is_the_paired_test_of_its_two_by_two_table():
    rng = np.random.default_rng(3)
    head, model = rng.random(300) < 0.8, rng.random(300) < 0.6
    table = pd.crosstab(head, model)
    assert gap(head, model) == paired_test(
        300, int(table.loc[True, False]), int(table.loc[False, True])
    )
    assert gap(head, model).gap == pytest.approx(head.mean() - model.mean())


def test_the_paired_interval_is_agresti_and_mins_from_their_own_formula():
    n, b, c = 100, 12, 2
    p12, p21 = (b + 0.5) / (n + 2), (c + 0.5) / (n + 2)
    half = 1.959964 * np.sqrt(((p12 + p21) - (p12 - p21) ** 2) / (n + 2))
    found = paired_test(n, b, c)
    assert (found.low, found.high) == pytest.approx((p12 - p21 - half, p12 - p21 + half))


def test_balanced_accuracy_counts_each_answer_alike_however_rare():
    answer = np.array([0] * 90 + [1] * 9 + [3])  # 2 is never right
    choices = np.random.default_rng(4).integers(-1, 4, size=(100, 7))
    right = np.array(
        [[((choices[:, h] == a) & (answer == a)).sum() for a in range(4)] for h in range(7)]
    )
    expected = [
        sum(
            sum(c == a for c, x in zip(choices[:, h], answer, strict=True) if x == a) / n
            for a, n in [(0, 90), (1, 9), (3, 1)]
        )
        / 3
        for h in range(7)
    ]
    assert balanced_accuracy(right, np.array([90, 9, 0, 1])) == pytest.approx(expected)
    assert np.isnan(balanced_accuracy(np.zeros((2, 3)), np.zeros(3))).all()


@pytest.mark.parametrize("spread", [2, 1_000_000])  # many ties, hardly any
def test_the_auc_is_the_share_of_pairs_in_order_ties_counting_half(spread):
    rng = np.random.default_rng(5)
    evidence, is_first = (
        rng.integers(-spread, spread, size=(5, 60)).astype(np.float32),
        rng.random(60) < 0.3,
    )
    for row, area in zip(evidence, auc(evidence, is_first), strict=True):
        pairs = [(a > b) + (a == b) / 2 for a in row[is_first] for b in row[~is_first]]
        assert area == pytest.approx(sum(pairs) / len(pairs))


def test_an_answer_that_never_occurs_has_no_auc():
    assert np.isnan(auc(np.ones((3, 4)), np.ones(4, dtype=bool))).all()


def test_an_auc_does_not_care_for_an_offset_or_for_scale():
    evidence, is_first = np.random.default_rng(6).normal(size=(2, 80)), np.arange(80) % 3 == 0
    assert auc(1e30 * evidence + 1e28, is_first) == pytest.approx(auc(evidence, is_first))
    assert auc(-evidence, is_first) == pytest.approx(1 - auc(evidence, is_first))


@pytest.mark.parametrize(("chance", "n"), [(0.5, 60), (0.3, 40)])
def test_heads_above_chance_are_those_of_benjamini_and_yekutielis_procedure(chance, n):
    n_right = np.random.default_rng(7).binomial(n, np.linspace(chance, chance + 0.45, 50))
    mean, sd = np.full(50, n * chance), np.full(50, np.sqrt(n * chance * (1 - chance)))
    p = np.array(
        [math.erfc((right - 0.5 - n * chance) / sd[0] / math.sqrt(2)) / 2 for right in n_right]
    )
    allowed = 0.05 / sum(1 / i for i in range(1, 51))
    passing = [
        rank for rank, value in enumerate(sorted(p), start=1) if value <= rank / 50 * allowed
    ]
    limit = sorted(p)[passing[-1] - 1] if passing else -1.0
    assert 0 < (p <= limit).sum() < 50
    assert above_chance(n_right, mean, sd).tolist() == (p <= limit).tolist()


def test_a_head_that_shuffling_cannot_change_is_never_above_chance():
    assert not above_chance(np.array([90]), np.array([90.0]), np.array([0.0])).any()


def test_transfer_reports_each_sets_best_validation_head_on_every_test_set():
    rng = np.random.default_rng(8)
    heads = pd.DataFrame({"layer": np.repeat([0, 1], 3), "head": [0, 1, 2] * 2})
    validation = [heads.assign(accuracy=rng.permutation(6) / 10) for _ in range(3)]
    test = [
        with_accuracy(heads.assign(n=50 + i, n_right=rng.integers(0, 50, 6), n_groups=9))
        for i in range(3)
    ]
    table = transfer(validation, test).set_index(["chosen_on", "tested_on"])
    assert len(table) == 9
    for (chosen_on, tested_on), row in table.iterrows():
        best = int(np.argmax(validation[chosen_on]["accuracy"]))
        assert (row["layer"], row["head"]) == divmod(best, 3)
        assert (row["n"], row["n_right"]) == (50 + tested_on, test[tested_on]["n_right"][best])
        assert row["accuracy"] == row["n_right"] / row["n"]


def test_a_frame_without_rows_gets_its_columns_all_the_same():
    empty = with_accuracy(pd.DataFrame({"n": [], "n_right": []}))
    assert [*empty] == ["n", "n_right", "accuracy", "low", "high"]
