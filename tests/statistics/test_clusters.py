import numpy as np
import pytest
from scipy import stats

from qkcore.statistics.clusters import (
    FEW_GROUPS,
    by_group,
    design_effect,
    grouped_accuracy,
    grouped_balanced_accuracy,
)
from qkcore.statistics.metrics import accuracy_interval
from tests.bench.bench_clusters import CLAIMS
from tests.statistics.groups import marks, opposed, sizes, summed


def covers(found, truth) -> np.ndarray:
    return (found.low <= truth) & (truth <= found.high)


@pytest.mark.parametrize("n_right", [0, 1, 17, 40])
def test_groups_of_one_puzzle_give_wilsons_own_interval(n_right):
    found = grouped_accuracy(np.arange(40) < n_right, np.ones(40))
    low, high = accuracy_interval(n_right, 40)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.n_effective == found.n == found.n_groups == 40


def test_groups_that_answer_as_one_tell_as_much_as_one_puzzle_each():
    right = np.repeat([1, 0, 1], 100)
    found = grouped_accuracy(5 * right, np.full(300, 5))
    low, high = accuracy_interval(right.sum(), 300)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)
    assert found.n_effective == pytest.approx(300, rel=0.01)  # 1,500 puzzles


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.6])
def test_the_design_effect_is_the_one_that_the_correlation_makes(correlation):
    n = sizes("mixed", 4000)
    right = summed(marks(0.7, correlation, n, 5, np.random.default_rng(0)), n)
    largest = (n**2).sum() / n.sum()  # puzzles of the average puzzle's group
    theory = 1 + (largest - 1) * correlation
    assert design_effect({1: right}, n).mean() == pytest.approx(theory, rel=0.04)


def bootstrapped_error(statistic, n_groups: int, n_resamples: int = 2000) -> float:
    """Standard deviation of a statistic of groups that are drawn anew."""
    rng = np.random.default_rng(1)
    return np.std(
        [statistic(rng.integers(0, n_groups, n_groups)) for _ in range(n_resamples)], ddof=1
    )


def test_an_interval_is_as_wide_as_a_bootstrap_over_groups_has_it():
    n = np.random.default_rng(2).integers(1, 9, 500)
    right = summed(marks(0.6, 0.4, n, 1, np.random.default_rng(3)), n)[0]
    found = grouped_accuracy(right, n)
    error = bootstrapped_error(lambda rows: right[rows].sum() / n[rows].sum(), 500)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(error, rel=0.08)


def test_a_balanced_interval_is_as_wide_as_a_bootstrap_over_groups_has_it():
    n, rng = np.full((400, 2), 3), np.random.default_rng(4)
    leaning = marks(0.5, 0.3, n[:, 0], 1, rng)[0].reshape(400, 3)  # says "true" in these
    right = np.stack([leaning.sum(axis=1), 3 - leaning.sum(axis=1)], axis=-1)
    right[:, 0] = np.where(rng.random(400) < 0.3, 3, right[:, 0])

    def balanced(rows):
        return (right[rows].sum(axis=0) / n[rows].sum(axis=0)).mean()

    found = grouped_balanced_accuracy(right, n)
    assert found.value == pytest.approx(balanced(np.arange(400)))
    error = bootstrapped_error(balanced, 400)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(error, rel=0.08)


def test_with_one_answer_balanced_accuracy_is_accuracy():
    n, rng = sizes("mixed", 60), np.random.default_rng(5)
    right = summed(marks(0.8, 0.5, n, 7, rng), n)
    plain = grouped_accuracy(right, n)
    never = np.zeros((7, 60, 1), dtype=int)
    one = grouped_balanced_accuracy(
        np.concatenate([right[..., None], never], axis=-1), np.stack([n, 0 * n], axis=-1)
    )
    for name in ("value", "low", "high", "n_effective", "n", "n_groups"):
        assert getattr(one, name) == pytest.approx(getattr(plain, name))


@pytest.mark.parametrize("n_right", [0, 4])
def test_all_wrong_or_all_right_is_known_as_well_as_the_number_of_groups_says(n_right):
    found = grouped_accuracy(np.full(30, n_right), np.full(30, 4))
    low, high = accuracy_interval(30 * n_right // 4, 30)
    assert found.value == n_right / 4
    # By 1 % and not the same: 29 degrees of freedom stand for 119
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_one_group_says_nothing_of_others():
    found = grouped_accuracy([3], [4])
    assert found.low == pytest.approx(0, abs=1e-6)
    assert found.high == pytest.approx(1, abs=1e-6)
    assert found.too_few_groups


def test_few_groups_are_said_to_be_few():
    n = np.ones((2, FEW_GROUPS), dtype=int)
    n[1, 0] = 0
    assert grouped_accuracy(n, n).too_few_groups.tolist() == [False, True]


def test_no_puzzles_have_no_accuracy():
    for found in (grouped_accuracy([0, 0], [0, 0]), grouped_accuracy([], [])):
        assert np.isnan([found.value, found.low, found.high]).all()
        assert found.n == found.n_groups == 0
    assert np.isnan(grouped_balanced_accuracy(np.zeros((3, 2)), np.zeros((3, 2))).low)


def test_a_head_that_answers_the_opposite_in_every_pair_has_no_interval_without_width():
    found = grouped_accuracy(np.ones(200, dtype=int), np.full(200, 2))  # always right on one of two
    low, high = accuracy_interval(200, 400)
    # As if five groups of 200 were independent puzzles: the square root of a fortieth
    assert (found.high - found.low) / (high - low) == pytest.approx(np.sqrt(5 / 200), rel=0.02)


@pytest.mark.parametrize(("n_groups", "size"), [(40, 8), (200, 4), (200, 2)])
@pytest.mark.parametrize("opposition", [0.9, 0.5])
def test_groups_that_differ_within_have_intervals_as_wide_as_their_accuracies_scatter(
    n_groups, size, opposition
):
    n, rng = np.full(n_groups, size), np.random.default_rng(11)
    right = summed(opposed(0.53, opposition, n, 800, rng), n)
    found = grouped_accuracy(right, n)
    scatter = 2 * 1.96 * found.value.std()
    assert 0.95 < (found.high - found.low).mean() / scatter < 1.35
    assert covers(found, 0.53).mean() > 0.93
    low, high = accuracy_interval(right.sum(axis=1), np.full(800, n.sum()))
    assert (high - low).mean() / scatter > (2.0 if opposition == 0.9 else 1.3)  # without groups


def test_independent_puzzles_in_groups_of_many_sizes_are_not_taken_to_differ_within():
    n = sizes("mixed", 200)
    right = summed(marks(0.95, 0.0, n, 1000, np.random.default_rng(12)), n)
    assert covers(grouped_accuracy(right, n), 0.95).mean() > 0.93


def test_the_share_lies_in_its_interval_whatever_the_counts():
    rng = np.random.default_rng(6)
    n = rng.integers(0, 5, (300, 6, 2))
    right = rng.binomial(n, rng.choice([0.0, 0.05, 0.5, 1.0], (300, 1, 2)))
    for found in (grouped_balanced_accuracy(right, n), grouped_accuracy(right[..., 0], n[..., 0])):
        known = found.n > 0
        inside = (found.low <= found.value + 1e-12) & (found.value <= found.high + 1e-12)
        assert inside[known].all()
        assert ((found.low >= 0) & (found.high <= 1))[known].all()


def test_marks_are_added_up_as_a_loop_adds_them():
    rng = np.random.default_rng(7)
    said, group, answer = (
        rng.random((50, 3)) < 0.5,
        rng.integers(0, 9, 50),
        rng.integers(0, 3, 50),
    )
    group[0], answer[0] = 8, 2
    found = by_group(said, group, answer)
    for head in range(3):
        for one in range(9):
            for right in range(3):
                rows = (group == one) & (answer == right)
                assert found[head, one, right] == said[rows, head].sum()
    assert (by_group(said, group) == found.sum(axis=-1)).all()


# Rates. The whole grid: python -m tests.bench.bench_clusters


@pytest.mark.parametrize("truth", [0.5, 0.8, 0.95])
@pytest.mark.parametrize(
    "cell",
    [
        (0.0, 200, "4", "beta"),
        (0.2, 50, "4", "beta"),
        (0.6, 200, "10", "copy"),
        (0.6, 200, "mixed", "beta"),
        (1.0, 200, "mixed", "beta"),
        (0.2, 900, "10", "beta"),
    ],
)
def test_an_accuracys_interval_covers_it_whatever_the_correlation(truth, cell):
    claim, _ = CLAIMS["accuracy"]
    n_runs = 1000
    covered = claim(truth, cell, n_runs, np.random.default_rng(8)).sum()
    low, high = (stats.binom.ppf(tail, n_runs, share) for tail, share in RATES)
    assert low <= covered <= high


RATES = [(0.0005, 0.93), (0.9995, 0.97)]  # counts that such rates hardly ever leave


@pytest.mark.parametrize("truths", [(0.5, 0.5), (0.9, 0.1), (0.95, 0.6)])
@pytest.mark.parametrize("cell", [(0.2, 200, "4", "beta"), (0.6, 200, "mixed", "copy")])
def test_a_balanced_accuracys_interval_covers_it_whoever_leans(truths, cell):
    claim, _ = CLAIMS["balanced"]
    covered = claim(truths, cell, 1000, np.random.default_rng(9)).sum()
    low, high = (stats.binom.ppf(tail, 1000, share) for tail, share in RATES)
    assert low <= covered <= high


def test_puzzles_taken_as_independent_would_be_covered_far_too_seldom():
    n = sizes("10", 100)
    right = summed(marks(0.7, 0.6, n, 1000, np.random.default_rng(10)), n)
    low, high = accuracy_interval(right.sum(axis=1), np.full(1000, n.sum()))
    assert ((low <= 0.7) & (high >= 0.7)).mean() < 0.7
    assert covers(grouped_accuracy(right, n), 0.7).mean() > 0.93
