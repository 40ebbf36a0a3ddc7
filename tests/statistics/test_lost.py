"""What is lost on the way: planted losses are recovered, and their growth; chance loses nothing."""

import numpy as np
import pytest

from qkcore.statistics.lost import Growth, growth, loss, lost_by_chance, slope


def test_lost_and_found_are_counted():
    middle = np.array([1, 1, 1, 0, 0, 1], dtype=bool)
    end = np.array([1, 0, 0, 1, 0, 1], dtype=bool)
    answer = np.array([0, 0, 1, 1, 1, 1])
    found = loss(middle, end, np.arange(6), answer)
    assert (found.lost.value, found.found.value) == (2 / 6, 1 / 6)
    assert found.net.value == pytest.approx(found.middle.value - found.output.value)
    balanced = loss(middle, end, np.arange(6), answer, is_balanced=True)
    assert balanced.lost.value == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_by_chance_is_what_independent_answers_lose():
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 2, 200_000)
    middle = rng.random(200_000) < np.where(answer == 0, 0.9, 0.6)
    end = rng.random(200_000) < np.where(answer == 0, 0.3, 0.8)  # both lean
    assert lost_by_chance(middle, end, answer) == pytest.approx((middle & ~end).mean(), abs=0.003)


def planted(rng, lost_at, n_groups=90, size=4, found=0.0, alike=0.5):
    """(middle, end, steps, group): a share that depends on steps is lost, groups answer alike."""
    group = np.repeat(np.arange(n_groups), size)
    steps = (1 + group % len(lost_at)).astype(float)
    share = np.array(lost_at)[group % len(lost_at)]
    draw = np.where(
        rng.random(len(group)) < alike, rng.random(n_groups)[group], rng.random(len(group))
    )
    middle = rng.random(len(group)) >= found
    return middle, np.where(draw < share, False, True), steps, group


def test_a_fifth_that_is_lost_is_recovered_with_its_interval():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(300):
        middle, end, _, group = planted(rng, [0.2])
        found = loss(middle, end, group, np.zeros(len(group), int))
        inside += found.lost.low <= 0.2 <= found.lost.high
        assert found.net.low > 0
        assert found.found.value == 0
    assert 0.92 <= inside / 300 <= 0.985


def test_two_who_guess_lose_no_more_than_they_find_in_95_of_100_sets():
    rng, claimed = np.random.default_rng(2), 0
    for _ in range(300):
        group = np.repeat(np.arange(60), 4)
        middle, end = rng.random((2, len(group))) < 0.5
        found = loss(middle, end, group, rng.integers(0, 2, len(group)))
        claimed += found.p < 0.05
        assert found.by_chance == pytest.approx(0.25, abs=0.1)
    assert claimed <= 22


@pytest.mark.parametrize("size", [1, 4])
def test_a_loss_that_grows_is_seen_to_grow(size):
    rng, seen, inside = np.random.default_rng(3), 0, 0
    for _ in range(200):
        found = growth(*planted(rng, [0.1, 0.25, 0.4], 240 // size, size))
        assert isinstance(found, Growth)
        seen += found.lost.low > 0
        inside += found.lost.low <= 0.15 <= found.lost.high
    assert seen >= 180
    assert 0.92 <= inside / 200 <= 0.99


@pytest.mark.parametrize(("n_groups", "alike"), [(24, 1.0), (24, 0.3), (90, 1.0), (90, 0.0)])
def test_a_loss_that_does_not_grow_is_seldom_said_to(n_groups, alike):
    rng, claimed, n_said = np.random.default_rng(4), 0, 0
    for _ in range(300):
        found = growth(*planted(rng, [0.3, 0.3, 0.3], n_groups, alike=alike))
        if isinstance(found, Growth):
            n_said += 1
            claimed += found.lost.p < 0.05
    assert n_said > 200
    assert claimed / n_said <= 0.08


def test_harder_puzzles_that_are_merely_guessed_do_not_lose_more_than_they_find():
    rng, net = np.random.default_rng(5), 0
    for _ in range(200):
        group = np.arange(300)
        steps = 1.0 + group % 3
        knows = rng.random((2, 300)) < 1.2 - 0.35 * steps  # both know less with each step
        middle, end = np.where(knows, True, rng.random((2, 300)) < 0.5)
        found = growth(middle, end, steps, group)
        assert isinstance(found, Growth)
        net += found.lost.low > 0 and found.net.low > 0
    assert net <= 14


def test_the_slope_and_its_jackknife_are_those_of_lines_drawn_anew():
    rng = np.random.default_rng(6)
    group = rng.permutation(np.repeat(np.arange(25), 3))
    steps, values = rng.integers(1, 5, 75).astype(float), rng.random(75)
    weights = rng.random(75) + 0.5

    def line(rows):
        return np.polyfit(steps[rows], values[rows], 1, w=np.sqrt(weights[rows]))[0]

    found = slope(values, steps, group, weights)
    own = line(np.arange(75))
    without = np.array([line(np.flatnonzero(group != one)) for one in range(25)])
    error = np.sqrt(24 / 25 * ((without - own) ** 2).sum())
    assert found.value == pytest.approx(own)
    assert (found.high - found.low) / 2 == pytest.approx(2.0639 * error, rel=1e-4)  # t of 24
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize(
    ("steps", "n_groups", "lost", "reason"),
    [
        (np.full(120, np.nan), 120, 0.5, "do not say how many steps"),
        (np.full(120, 2.0), 120, 0.5, "all puzzles take as many steps"),
        (np.tile([1.0, 2.0], 60), 12, 0.5, "fewer than 20 contexts"),
        (np.tile([1.0, 2.0], 60), 120, 0.0, "lost, or kept, in fewer than 5 contexts"),
        (np.tile([1.0, 2.0], 60), 120, 1.0, "lost, or kept, in fewer than 5 contexts"),
        (np.array([1.0] * 119 + [2.0]), 120, 0.5, "all but one context"),
    ],
)
def test_what_cannot_be_said_comes_with_its_reason(steps, n_groups, lost, reason):
    rng = np.random.default_rng(7)
    end = rng.random(120) >= lost
    group = np.repeat(np.arange(n_groups), 120 // n_groups)
    found = growth(np.ones(120, bool), end, steps, group)
    assert isinstance(found, str)
    assert reason in found


def test_puzzles_that_do_not_say_their_steps_are_left_out_of_growth():
    rng = np.random.default_rng(8)
    middle, end, steps, group = planted(rng, [0.1, 0.4])
    more = np.concatenate([steps, np.full(40, np.nan)])
    with_others = growth(
        np.concatenate([middle, np.ones(40, bool)]),
        np.concatenate([end, np.zeros(40, bool)]),
        more,
        np.concatenate([group, 500 + np.arange(40)]),
    )
    assert with_others == growth(middle, end, steps, group)
