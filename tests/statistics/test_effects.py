"""Effects of heads switched off, against plain counts, sums and resampling of groups."""

import numpy as np
import pytest
from scipy import stats

from qkcore.statistics.calibration import pairwise_auc
from qkcore.statistics.effects import MEASURES, Effect, ability, effects
from qkcore.statistics.evidence import Measured


def drawn(rng, n_groups=50, n_candidates=2, share_of_first=0.5, n_draws=4):
    """answer, group, plain and off logits of puzzles in groups that are answered alike."""
    group = np.repeat(np.arange(n_groups), 4)
    first = rng.random(len(group)) < share_of_first
    answer = np.where(first, 0, rng.integers(1, n_candidates, len(group)))
    clue = rng.normal(1.0, 1.0, n_groups)[group]
    plain = rng.normal(size=(len(group), n_candidates))
    plain[np.arange(len(group)), answer] += clue
    off = plain + rng.normal(scale=0.7, size=(n_draws, *plain.shape))
    off[0, np.arange(len(group)), answer] -= 0.5 * clue
    return answer, group, plain, off


def test_changes_are_what_plain_counting_gives():
    rng = np.random.default_rng(0)
    answer, group, plain, off = drawn(rng)
    offset = np.array([0.0, 0.4])
    found = effects(plain, off, answer, group, offset)
    assert list(found) == [name for name in MEASURES if "balanced" not in name]
    for name, moved in (("accuracy", 0 * offset), ("calibrated_accuracy", offset)):
        before, *after = (
            np.mean([(row + moved).argmax() == a for row, a in zip(logits, answer, strict=True)])
            for logits in (plain, *off)
        )
        assert found[name].before == pytest.approx(before)
        assert found[name].change.value == pytest.approx(after[0] - before)
        assert found[name].controls == pytest.approx([one - before for one in after[1:]])
    margin = [
        np.mean([row[a] - row[1 - a] for row, a in zip(logits, answer, strict=True)])
        for logits in (plain, *off)
    ]
    own = found["logit_difference"]
    assert own.before == pytest.approx(margin[0])
    assert own.after == pytest.approx(margin[1])
    assert own.controls == pytest.approx([one - margin[0] for one in margin[2:]])


@pytest.mark.parametrize("n_candidates", [2, 3])
def test_the_area_is_pairwise_auc_and_contributions_do_not_move_it(n_candidates):
    rng = np.random.default_rng(1)
    answer, group, plain, off = drawn(rng, n_candidates=n_candidates)
    found = effects(plain, off, answer, group, np.zeros(n_candidates))["auc"]
    areas = [float(pairwise_auc(logits, answer)) for logits in (plain, *off)]
    assert found.before == pytest.approx(areas[0])
    assert found.after == pytest.approx(areas[1])
    assert found.controls == pytest.approx([one - areas[0] for one in areas[2:]])
    assert ability(plain, answer, group).value == pytest.approx(areas[0])


def test_with_imbalanced_answers_every_answer_counts_alike():
    rng = np.random.default_rng(2)
    answer, group, plain, off = drawn(rng, share_of_first=0.8)
    found = effects(plain, off, answer, group, np.zeros(2), is_balanced=True)
    assert list(found) == list(MEASURES)
    right = [logits.argmax(axis=1) == answer for logits in (plain, *off)]
    shares = [np.mean([one[answer == which].mean() for which in (0, 1)]) for one in right]
    own = found["balanced_accuracy"]
    assert own.before == pytest.approx(shares[0])
    assert own.after == pytest.approx(shares[1])
    assert own.controls == pytest.approx([one - shares[0] for one in shares[2:]])
    leaning = effects(plain, off + np.array([0.0, 5.0]), answer, group, np.zeros(2), True)
    assert leaning["auc"] == found["auc"]  # whatever the lean
    moved = leaning["logit_difference"]
    assert moved.change.value == pytest.approx(found["logit_difference"].change.value)
    assert leaning["accuracy"].after < found["accuracy"].after


def test_candidates_that_a_puzzle_lacks_change_nothing():
    rng = np.random.default_rng(3)
    answer, group, plain, off = drawn(rng)
    wider, wider_off = (
        np.concatenate([one, np.full((*one.shape[:-1], 1), np.nan)], axis=-1)
        for one in (plain, off)
    )
    one = effects(plain, off, answer, group, np.zeros(2))
    other = effects(wider, wider_off, answer, group, np.zeros(3))
    assert one == other


def test_without_two_answers_there_is_no_area():
    rng = np.random.default_rng(4)
    _, group, plain, off = drawn(rng)
    assert "auc" not in effects(plain, off, np.zeros(len(group), int), group, np.zeros(2))


def test_heads_that_change_nothing_change_nothing_but_are_not_known_to_the_last_digit():
    rng = np.random.default_rng(5)
    answer, group, plain, _ = drawn(rng)
    found = effects(plain, np.stack([plain] * 3), answer, group, np.zeros(2))
    for name, effect in found.items():
        assert effect.change.value == 0, name
        assert effect.n_as_harmful == 2, name
        assert effect.p == 1, name
    assert found["auc"].change.low == pytest.approx(-stats.t.ppf(0.975, 49) * 0.5 / 50)
    assert found["logit_difference"].change == Measured(0.0, 0.0, 0.0)


@pytest.mark.parametrize("measure", ["auc", "logit_difference"])
@pytest.mark.parametrize("share_of_first", [0.5, 0.8])
def test_intervals_are_as_wide_as_drawing_groups_anew_says(measure, share_of_first):
    rng = np.random.default_rng(6)
    answer, group, plain, off = drawn(rng, n_groups=100, share_of_first=share_of_first)
    is_balanced = share_of_first > 0.5
    own = effects(plain, off, answer, group, np.zeros(2), is_balanced)[measure].change
    again = []
    for _ in range(300):
        picked = rng.integers(0, 100, 100)
        rows = np.concatenate([np.flatnonzero(group == one) for one in picked])
        anew = effects(
            plain[rows],
            off[:1, rows],
            answer[rows],
            np.repeat(np.arange(100), 4),
            np.zeros(2),
            is_balanced,
        )
        again.append(anew[measure].change.value)
    half = stats.t.ppf(0.975, 99) * np.std(again)
    assert (own.high - own.low) / 2 == pytest.approx(half, rel=0.15)


@pytest.mark.parametrize("measure", ["auc", "logit_difference", "calibrated_accuracy"])
def test_intervals_cover_the_truth(measure):
    rng = np.random.default_rng(7)
    offset = np.array([0.0, 0.2])
    many = drawn(np.random.default_rng(8), n_groups=20_000)
    truth = effects(many[2], many[3][:1], many[0], many[1], offset)[measure].change.value
    n_covered = 0
    for _ in range(300):
        answer, group, plain, off = drawn(rng, n_groups=30, n_draws=1)
        change = effects(plain, off, answer, group, offset)[measure].change
        n_covered += change.low <= truth <= change.high
    assert 0.92 <= n_covered / 300 <= 0.985


def test_a_rank_counts_controls_that_lose_as_much():
    effect = Effect(0.8, Measured(-0.1, -0.2, 0.0), (-0.2, -0.1, -0.05, 0.1))
    assert effect.n_as_harmful == 2
    assert effect.p == pytest.approx(3 / 5)
    assert effect.loss == Measured(0.1, -0.0, 0.2)
    assert effect.spread[1] == pytest.approx(-0.075)
    assert np.isnan(Effect(0.8, Measured(-0.1, -0.2, 0.0), ()).spread).all()


def test_one_group_says_nothing():
    rng = np.random.default_rng(9)
    answer, group, plain, off = drawn(rng, n_groups=1)
    answer = np.array([0, 1, 0, 1])
    found = effects(plain, off, answer, group, np.zeros(2))
    assert np.isnan(found["auc"].change.low)
    assert np.isnan(found["logit_difference"].change.high)
