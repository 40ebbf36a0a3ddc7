"""Agreement of two sets of marks, by counting pairs and by ranking in plain Python."""

import numpy as np
import pytest

from qkcore.statistics.agreement import rank_correlation, share_equal


def ranks(values):
    """The mean of the places that a value and its equals take when sorted."""
    ordered = sorted(values)
    return [
        sum(place for place, one in enumerate(ordered) if one == value) / ordered.count(value)
        for value in values
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_correlation_is_that_of_ranks_with_equals_sharing_theirs(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 6, size=(2, 40))  # many equals
    expected = np.corrcoef(ranks(one.tolist()), ranks(other.tolist()))[0, 1]
    assert rank_correlation(one, other) == pytest.approx(expected)


def test_ranks_do_not_change_with_what_keeps_their_order():
    one = np.random.default_rng(0).normal(size=30)
    assert rank_correlation(one, np.exp(one)) == pytest.approx(1)
    assert rank_correlation(one, -(one**3)) == pytest.approx(-1)


def test_unrelated_heads_have_no_rank_correlation_on_average():
    rng = np.random.default_rng(1)
    found = [rank_correlation(*rng.normal(size=(2, 32))) for _ in range(400)]
    # Of 32 unrelated ranks, rho has variance 1 / 31.
    assert abs(np.mean(found)) < 4 * (1 / 31 / 400) ** 0.5
    assert np.var(found) == pytest.approx(1 / 31, rel=0.25)


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_heads_that_do_not_differ_have_no_rank(values):
    assert rank_correlation(np.array(values), np.arange(len(values))) is None


def test_shares_of_equal_answers_are_counted_head_by_head():
    rng = np.random.default_rng(0)
    one, other = rng.integers(-1, 3, size=(2, 50, 4))
    expected = [
        sum(int(one[row, head] == other[row, head]) for row in range(50)) / 50 for head in range(4)
    ]
    assert share_equal(one, other).tolist() == expected
    assert np.isnan(share_equal(one[:0], other[:0])).all()
