import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkcore.statistics.metrics import balanced_accuracy, select_heads
from qkcore.statistics.stability import accuracy_by_size, chosen_shares


def chosen(n_right: np.ndarray) -> tuple[int, int]:
    """What `select_heads` says of (layer, head) right answers."""
    frame = pd.DataFrame(
        [
            {"layer": layer, "head": head, "accuracy": float(right)}
            for (layer, head), right in np.ndenumerate(n_right)
        ]
    )
    return select_heads(frame)[0]


def test_shares_are_those_of_choosing_anew_in_a_loop():
    rng = np.random.default_rng(0)
    n = rng.integers(1, 5, 12)
    right = rng.binomial(n, 0.6, (2, 3, 12))
    drawn = np.random.default_rng(7).multinomial(12, np.full(12, 1 / 12), size=60)
    counts = np.zeros((2, 3))
    for weights in drawn:
        counts[chosen((right * weights).sum(axis=-1))] += 1
    assert chosen_shares(right, n, n_resamples=60, seed=7) == pytest.approx(counts / 60)


def test_a_head_that_is_far_ahead_is_chosen_in_every_resample():
    right = np.random.default_rng(1).binomial(4, 0.5, (8, 8, 100))
    right[3, 5] = np.random.default_rng(2).binomial(4, 0.9, 100)
    shares = chosen_shares(right, np.full(100, 4))
    assert shares[3, 5] == 1
    assert shares.sum() == 1


def test_two_heads_as_good_as_each_other_share_the_choice_as_a_coin_would():
    rng = np.random.default_rng(3)
    first = rng.binomial(4, 0.7, 400)
    right = np.stack([first, rng.permutation(first)])  # as many right answers, of other groups
    share = chosen_shares(right, np.full(400, 4), n_resamples=1000)[0]
    assert share == pytest.approx(0.5, abs=0.07)


def test_groups_that_answer_as_one_make_the_choice_less_sure():
    """Forty contexts are forty, however many questions each asks."""
    rng = np.random.default_rng(4)
    alike = 10 * (rng.random((2, 40)) < np.array([[0.75], [0.6]]))
    alike[0, :30], alike[0, 30:] = 10, 0
    alike[1, :26], alike[1, 26:] = 0, 10
    alike[1, :12] = 10  # 26 of 40 against 30
    spread = np.array([[10 * 30 // 40] * 40, [10 * 26 // 40] * 40])
    own, others = (chosen_shares(right, np.full(40, 10), 1000)[0] for right in (alike, spread))
    gain = alike[0] - alike[1]
    theory = stats.norm.cdf((gain.sum() + 5) / (gain.std() * np.sqrt(40)))  # ties: the first
    assert own == pytest.approx(theory, abs=0.04)
    assert others == 1


def test_with_answers_heads_are_chosen_by_balanced_accuracy():
    n = np.tile([[9, 1]], (50, 1))
    constant, fair = np.tile([[9, 0]], (50, 1)), np.tile([[7, 1]], (50, 1))
    right = np.stack([constant, fair])
    assert chosen_shares(right.sum(axis=-1), n.sum(axis=-1)).tolist() == [1, 0]
    assert chosen_shares(right, n).tolist() == [0, 1]
    totals = balanced_accuracy(right.sum(axis=1), n.sum(axis=0))
    assert totals[1] > totals[0]


def planted(n_groups: int = 300):
    """Validation counts of 64 heads in groups of two, one of them good, and their test accuracy."""
    accuracy = np.full(64, 0.5)
    accuracy[20] = 0.8
    right = np.random.default_rng(5).binomial(2, accuracy[:, None], (64, n_groups))
    return right.reshape(8, 8, n_groups), np.full(n_groups, 2), accuracy.reshape(8, 8)


def test_the_more_puzzles_choose_the_better_is_the_chosen_head():
    found = accuracy_by_size(*planted()).set_index("n")
    assert found.index.tolist() == [10, 20, 50, 100, 200, 500, 600]
    assert found.loc[600, ["median", "low", "high", "same_head"]].tolist() == [0.8, 0.8, 0.8, 1.0]
    assert found.loc[10, "same_head"] < 0.6
    assert found.loc[10, "low"] == 0.5
    assert (np.diff(found["same_head"]) >= -0.02).all()
    assert found.loc[100, "median"] == 0.8


def test_a_size_is_reached_and_passed_by_less_than_a_group():
    n = np.array([3, 3, 3, 3])
    right = np.array([[3, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 3]])
    found = accuracy_by_size(right, n, np.array([0.1, 0.2, 0.3]), sizes=[1, 3, 4], n_draws=500)
    one, three = (found[found["n"] == size].iloc[0] for size in (1, 3))
    # One group decides alone, and two of the four choose the head that all of them do
    assert one["same_head"] == pytest.approx(0.5, abs=0.08)
    assert one.drop("n").tolist() == three.drop("n").tolist() != found.iloc[2].drop("n").tolist()
    assert found["n"].tolist() == [1, 3, 4, 12]


def test_all_puzzles_alone_are_one_size():
    found = accuracy_by_size(np.ones((2, 4), dtype=int), np.ones(4), np.array([0.7, 0.6]))
    assert found["n"].tolist() == [4]
    assert found["median"].tolist() == [0.7]
