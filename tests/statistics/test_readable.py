"""At which layers an answer can be read: planted layers are found, guesses are not named."""

import numpy as np
import pytest

from qkcore.statistics.clusters import grouped_accuracy
from qkcore.statistics.readable import above_guessing, accuracies, first, leads, score_p

N_LAYERS = 12


def set_of(rng, n_groups=60, size=4, alike=0.5):
    """Answers in groups, and a function that gives marks of an accuracy, alike within groups."""
    group = np.repeat(np.arange(n_groups), size)
    answer = rng.integers(0, 2, len(group))

    def marks(accuracy):
        by_group = rng.random(n_groups) < accuracy
        return np.where(
            rng.random(n_groups * size) < alike, by_group[group], rng.random(len(group)) < accuracy
        )

    return group, answer, marks


def named(rng, accuracy_at, alike=0.5):
    """(layer,) bool of a made-up lens whose layers have these accuracies."""
    group, answer, marks = set_of(rng, alike=alike)
    is_right = np.stack([marks(accuracy) for accuracy in accuracy_at], axis=1)
    majority = (answer == 0)[:, None]
    return above_guessing(is_right, [majority], 0.5, len(accuracy_at), group)


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_where_all_layers_guess_none_is_named_in_95_of_100_sets(alike):
    rng = np.random.default_rng(1)
    n_named = sum(named(rng, [0.5] * N_LAYERS, alike).any() for _ in range(300))
    assert n_named <= 22  # 5 % of 300 and two standard errors


def test_layers_that_lean_are_not_named_either():
    rng, n_named = np.random.default_rng(2), 0
    for _ in range(200):
        group, answer, _ = set_of(rng)
        lean = np.linspace(0.05, 0.95, N_LAYERS)
        is_right = (rng.random((len(answer), N_LAYERS)) < lean) == answer[:, None]
        majority = (answer == 0)[:, None]
        n_named += above_guessing(is_right, [majority], 0.5, N_LAYERS, group).any()
    assert n_named <= 16


def test_a_lens_that_reads_from_layer_5_on_is_first_found_there():
    rng = np.random.default_rng(3)
    found = [
        first(np.arange(N_LAYERS), named(rng, [0.5] * 5 + [0.85] * (N_LAYERS - 5)))
        for _ in range(100)
    ]
    assert found.count(5) >= 95
    assert all(layer is not None and layer <= 6 for layer in found)


def test_a_layer_no_better_than_its_control_is_not_named():
    rng = np.random.default_rng(4)
    group, answer, marks = set_of(rng, alike=0.0)
    is_right = np.stack([marks(0.8), marks(0.8)], axis=1)
    control = np.stack([is_right[:, 0], marks(0.5)], axis=1)
    majority = (answer == 0)[:, None]
    assert above_guessing(is_right, [majority, control], 0.5, 2, group).tolist() == [False, True]


def test_where_one_answer_is_common_being_as_right_as_it_is_no_reading():
    group = np.arange(400)
    answer = (group % 4 == 0).astype(int)  # one in four is the second
    always = (answer == 0)[:, None]
    assert not above_guessing(always, [always], 0.5, 1, group).any()
    assert not above_guessing(always, [always], 0.5, 1, group, answer).any()
    assert above_guessing(np.ones((400, 1), bool), [always], 0.5, 1, group, answer).all()


def test_one_group_alone_says_nothing():
    marks = np.ones((40, 2), dtype=bool)
    assert not above_guessing(marks, [~marks[:, :1]], 0.5, 2, np.zeros(40, int)).any()


def test_accuracies_and_leads_are_those_of_each_layer_by_itself():
    rng = np.random.default_rng(5)
    group, answer, marks = set_of(rng)
    is_right = np.stack([marks(0.6), marks(0.7), marks(0.9)], axis=1)
    found = accuracies(is_right, group)
    for layer in range(3):
        counts = np.bincount(group, weights=is_right[:, layer])
        alone = grouped_accuracy(counts, np.bincount(group))
        assert found.low[layer] == pytest.approx(float(alone.low))
    assert found.value == pytest.approx(is_right.mean(axis=0))
    lead = leads(is_right, is_right[:, :1], group)
    assert lead.value == pytest.approx(is_right.mean(axis=0) - is_right[:, 0].mean())
    balanced = accuracies(is_right, group, answer).value
    by_answer = [is_right[answer == one].mean(axis=0) for one in (0, 1)]
    assert balanced == pytest.approx(np.mean(by_answer, axis=0))


def test_the_score_tests_p_is_that_of_the_binomial():
    from scipy import stats

    found = accuracies((np.arange(2000) < 1060)[:, None], np.arange(2000))
    exact = stats.binomtest(1060, 2000, 0.5, alternative="greater").pvalue
    assert float(score_p(found, 0.5)[0]) == pytest.approx(exact, rel=0.1)
