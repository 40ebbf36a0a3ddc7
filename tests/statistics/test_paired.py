import numpy as np
import pytest
from scipy import stats

from qkcore.statistics.metrics import paired_test
from qkcore.statistics.paired import grouped_balanced_difference, grouped_difference
from tests.bench.bench_clusters import CLAIMS
from tests.statistics.groups import marks, sizes, summed


@pytest.mark.parametrize(
    ("n", "first", "second"), [(100, 12, 2), (30, 0, 0), (400, 90, 60), (50, 50, 0)]
)
def test_groups_of_one_puzzle_give_the_interval_of_paired_shares(n, first, second):
    only_first, only_second = np.arange(n) < first, np.arange(n) >= n - second
    found = grouped_difference(only_first, only_second, np.ones(n))
    known = paired_test(n, first, second)
    assert found.value == pytest.approx(known.gap)
    # The older one may leave out the gap itself
    assert found.low == pytest.approx(min(known.low, known.gap), abs=1e-12)
    assert found.high == pytest.approx(max(known.high, known.gap), abs=1e-12)


def flipped(differences: np.ndarray, n_flips: int = 20_000) -> float:
    """P-value of no difference by flipping the signs of whole groups."""
    signs = np.random.default_rng(0).choice([-1, 1], (n_flips, len(differences)))
    reached = np.abs(signs @ differences)
    seen = abs(differences.sum())
    return (reached > seen).mean() + (reached == seen).mean() / 2


def draws(truths, correlation, kind, n_groups, n_runs, seed):
    n, rng = sizes(kind, n_groups), np.random.default_rng(seed)
    first, second = (marks(truth, correlation, n, n_runs, rng) for truth in truths)
    return summed(first & ~second, n), summed(~first & second, n), n


@pytest.mark.parametrize("kind", ["1", "4", "mixed"])
@pytest.mark.parametrize("truths", [(0.5, 0.5), (0.7, 0.6)])
def test_p_is_close_to_that_of_flipping_whole_groups(kind, truths):
    first, second, n = draws(truths, 0.4, kind, 100, 12, seed=1)
    found = grouped_difference(first, second, n)
    exact = np.array([flipped(one) for one in first - second])
    assert found.p == pytest.approx(exact, abs=0.065)  # where nothing differs, ties count half
    assert np.median(np.abs(found.p - exact)) < 0.015


def test_p_and_interval_never_contradict_each_other():
    rng = np.random.default_rng(2)
    n = rng.integers(0, 6, (4000, 12, 2))
    first = rng.binomial(n, rng.choice([0.0, 0.2, 0.5], (4000, 1, 2)))
    second = rng.binomial(n - first, rng.choice([0.0, 0.1, 0.5], (4000, 1, 2)))
    for found in (
        grouped_balanced_difference(first, second, n),
        grouped_difference(first[..., 0], second[..., 0], n[..., 0]),
    ):
        leaves_out_zero = (found.low > 0) | (found.high < 0)
        assert (leaves_out_zero == (found.p < 0.05)).all()
        assert 100 < leaves_out_zero.sum() < 3900
        assert ((found.low <= found.value) & (found.value <= found.high)).all()


def test_answerers_who_trade_places_trade_signs():
    first, second, n = draws((0.8, 0.6), 0.3, "mixed", 40, 5, seed=3)
    there, back = grouped_difference(first, second, n), grouped_difference(second, first, n)
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)
    assert there.p == pytest.approx(back.p)


def test_two_who_never_differ_may_yet_differ_by_what_so_many_groups_leave_open():
    found = grouped_difference([0] * 40, [0] * 40, [5] * 40)
    known = paired_test(40, 0, 0)
    assert found.value == 0
    assert found.p == 1
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.005)


def test_one_group_says_nothing_of_others():
    found = grouped_difference([4], [0], [4])
    assert (found.low, found.high, found.p) == (-1, 1, 1)
    assert found.too_few_groups


def test_no_puzzles_have_no_difference():
    found = grouped_difference([0], [0], [0])
    assert np.isnan([found.value, found.low, found.high, found.p]).all()


def test_with_one_answer_the_balanced_difference_is_the_difference():
    first, second, n = draws((0.8, 0.6), 0.3, "4", 40, 5, seed=4)
    plain = grouped_difference(first, second, n)
    both = (np.stack([0 * count, count], axis=-1) for count in (first, second, n))
    balanced = grouped_balanced_difference(*both)
    for name in ("value", "low", "high", "p", "n", "n_groups"):
        assert getattr(balanced, name) == pytest.approx(getattr(plain, name))


def test_a_balanced_difference_counts_either_answer_alike():
    n = np.tile([[9, 1]], (50, 1))
    found = grouped_balanced_difference(np.tile([[0, 1]], (50, 1)), np.tile([[1, 0]], (50, 1)), n)
    assert found.value == pytest.approx((1 - 1 / 9) / 2)


# Rates. The whole grid: python -m tests.bench.bench_clusters

CELLS = [
    (0.0, 200, "4", "beta"),
    (0.2, 50, "10", "copy"),
    (0.6, 200, "mixed", "beta"),
    (1.0, 50, "4", "beta"),
    (0.6, 900, "2", "beta"),
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("truths", [(0.5, 0.5), (0.8, 0.8), (0.8, 0.6), (0.95, 0.5)])
def test_a_differences_interval_covers_it_and_its_p_keeps_its_rate(truths, cell):
    """Where there is no difference, p is small exactly as often as the interval misses it."""
    covered = CLAIMS["difference"][0](truths, cell, 800, np.random.default_rng(5)).sum()
    assert stats.binom.ppf(0.0005, 800, 0.93) <= covered <= stats.binom.ppf(0.9995, 800, 0.97)


@pytest.mark.parametrize("truths", CLAIMS["balanced difference"][1])
def test_a_balanced_differences_interval_covers_it(truths):
    cell = (0.4, 100, "4", "copy")
    covered = CLAIMS["balanced difference"][0](truths, cell, 800, np.random.default_rng(6)).sum()
    assert stats.binom.ppf(0.0005, 800, 0.93) <= covered <= stats.binom.ppf(0.9995, 800, 0.97)


def test_a_difference_of_ten_points_is_found_as_often_as_a_test_of_group_means_finds_it():
    first, second, n = draws((0.7, 0.6), 0.3, "4", 200, 400, seed=7)
    found = (grouped_difference(first, second, n).p < 0.05).mean()
    by_means = (stats.ttest_1samp((first - second) / n, 0, axis=1).pvalue < 0.05).mean()
    assert 0.5 < by_means < 0.99
    assert found > by_means - 0.03
