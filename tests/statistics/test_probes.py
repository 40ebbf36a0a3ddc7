"""Probes read what is there, on groups they were not fitted on; and where nothing is, nothing."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy.special import logsumexp

from qkcore.statistics import probes
from qkcore.statistics.probes import STRENGTHS, fit, probe_answers


def puzzles_of(n_groups=60, candidates=("true", "false"), size=4, seed=0):
    """Groups of `size` puzzles with random answers; every second group is test."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), size)
    return pd.DataFrame(
        {
            "candidates": [candidates] * len(group),
            "answer": rng.integers(len(candidates), size=len(group)),
            "group": [f"g{one}" for one in group],
            "split": np.where(group % 2, "test", "validation"),
            "steps": pd.array([1] * len(group), dtype="Int64"),
            "distractors": pd.array([0] * len(group), dtype="Int64"),
        }
    )


def states_of(puzzles, strength, dims=20, seed=1):
    """(puzzle, 2 layers, dim): noise, in the second layer with the answer along one direction."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(len(puzzles), 2, dims)).astype(np.float32)
    states[:, 1, 3] += strength * (puzzles["answer"].to_numpy() - 0.5)
    return states


def accuracy(said, puzzles):
    is_test = (puzzles["split"] == "test").to_numpy()
    return (said[is_test] == puzzles["answer"].to_numpy()[is_test, None]).mean(axis=0)


@pytest.mark.parametrize("dims", [20, 300])  # fewer than validation puzzles, and more
def test_what_stands_in_one_layer_is_read_there_and_the_control_reads_nothing(dims):
    puzzles = puzzles_of(n_groups=120)
    found = probe_answers(puzzles, np.arange(len(puzzles)), states_of(puzzles, 12.0, dims))
    nothing, there = accuracy(found.choices, puzzles)
    assert there > 0.9
    assert abs(nothing - 0.5) < 0.12  # three standard errors of 240 puzzles are 0.097
    assert (np.abs(accuracy(found.controls, puzzles) - 0.5) < 0.15).all()
    assert found.n_validation == 240


def test_only_test_puzzles_are_asked_and_only_those_with_states():
    puzzles = puzzles_of()
    places = np.arange(len(puzzles))[len(puzzles) // 2 :]
    found = probe_answers(puzzles, places, states_of(puzzles, 12.0)[places])
    is_asked = np.isin(np.arange(len(puzzles)), places) & (puzzles["split"] == "test").to_numpy()
    for said in (found.choices, found.controls):
        assert ((said >= 0) == is_asked[:, None]).all()


def test_a_candidate_is_known_by_its_word_and_not_by_its_place():
    puzzles = puzzles_of()
    states = states_of(puzzles, 12.0)
    places = np.arange(len(puzzles))
    turned = puzzles.copy()
    rows = places[::3]
    turned.loc[rows, "candidates"] = pd.Series([("false", "true")] * len(rows), index=rows)
    turned.loc[rows, "answer"] = 1 - turned.loc[rows, "answer"]
    as_they_were, found = (probe_answers(one, places, states).choices for one in (puzzles, turned))
    is_turned = np.isin(places, rows)[:, None] & (as_they_were >= 0)
    assert np.array_equal(found, np.where(is_turned, 1 - as_they_were, as_they_were))


def test_a_puzzle_is_never_given_a_candidate_that_it_has_not():
    three = puzzles_of(candidates=("yes", "no", "unknown"))
    three.loc[three["split"] == "test", "candidates"] = pd.Series(
        [("yes", "unheard of")] * len(three)
    )
    three.loc[three["split"] == "test", "answer"] = 0
    found = probe_answers(three, np.arange(len(three)), states_of(three, 3.0))
    assert set(found.choices[(three["split"] == "test").to_numpy()].ravel()) == {0}


def test_groups_stay_together_when_the_strength_is_chosen(monkeypatch):
    """States that name the group: within groups that says all, across groups nothing."""
    puzzles = puzzles_of(n_groups=40, size=6)
    puzzles["answer"] = np.repeat(np.random.default_rng(0).integers(2, size=40), 6)
    names = np.eye(40)[np.repeat(np.arange(40), 6)][:, None].astype(np.float32)
    found = probe_answers(puzzles, np.arange(len(puzzles)), names)
    assert found.strengths[0] <= 1e-4
    monkeypatch.setattr(probes, "_folds", lambda groups: np.arange(len(groups)) % 5)
    torn = probe_answers(puzzles, np.arange(len(puzzles)), names)
    assert torn.strengths.tolist() == [max(STRENGTHS)]


def test_without_validation_puzzles_nobody_is_asked():
    puzzles = puzzles_of().assign(split="test")
    found = probe_answers(puzzles, np.arange(len(puzzles)), states_of(puzzles, 3.0))
    assert found.n_validation == 0
    assert (found.choices == -1).all()


def test_where_one_answer_is_always_right_the_probe_says_it():
    puzzles = puzzles_of().assign(answer=1)
    found = probe_answers(puzzles, np.arange(len(puzzles)), states_of(puzzles, 3.0))
    assert set(found.choices.ravel()) == {-1, 1}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fit_is_the_least_that_an_independent_search_finds(strength, n_classes):
    rng = np.random.default_rng(n_classes)
    raw = rng.normal(size=(80, 30)) * rng.uniform(0.2, 3.0, size=30)
    features, _ = probes._standardised(raw, raw)
    target = rng.integers(n_classes, size=80)
    is_in = rng.random(80) < 0.8
    x = np.hstack([np.ones((80, 1)), features])[is_in]

    def loss(flat):
        weights = flat.reshape(-1, n_classes)
        scores = x @ weights
        own = logsumexp(scores, axis=1) - scores[np.arange(len(x)), target[is_in]]
        return own.sum() + (weights[1:] ** 2).sum() / (2 * strength)

    start = np.zeros(x.shape[1] * n_classes)
    best = optimize.minimize(loss, start, method="L-BFGS-B", options={"maxiter": 5_000}).fun
    found = fit(features, target[None], n_classes, is_in[None].astype(float), np.array([strength]))
    assert loss(found[0].ravel()) <= best + 1e-4


def test_probes_fitted_together_are_those_fitted_alone():
    rng = np.random.default_rng(0)
    features, _ = probes._standardised(*[rng.normal(size=(60, 10))] * 2)
    targets, counts = rng.integers(2, size=(3, 60)), (rng.random((3, 60)) < 0.7).astype(float)
    strengths = np.array([1e-3, 1e-2, 1e-1])
    together = fit(features, targets, 2, counts, strengths)
    for one in range(3):
        some = slice(one, one + 1)
        alone = fit(features, targets[some], 2, counts[some], strengths[some])
        np.testing.assert_allclose(together[one], alone[0], atol=1e-8)
