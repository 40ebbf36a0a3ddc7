"""Simulated clusters: small cases worked out by hand, and properties that any case must have."""

import random
from math import inf

import pytest

from qkcore import InputError
from qkcore.planning.cluster import MOST_TRIES, dealt, handed_out, lifetimes
from qkcore.scoring import on_ray

RULES = [dealt, handed_out]


def lives(*seconds):
    """Workers that live so long, in the order in which they start; all later ones for ever."""
    left = list(seconds)
    return lambda: left.pop(0) if left else inf


@pytest.mark.parametrize("rule", RULES)
def test_two_workers_share_four_shards(rule):
    # One worker does two of 10 s after 5 s of loading, and so does the other.
    found = rule([10, 10, 10, 10], 2, lives(), 5)
    assert (found.makespan, found.ideal, found.work) == (25, 25, 40)
    assert (found.lost, found.loading, found.n_failures, found.n_starts) == (0, 10, 0, 1)


def test_when_one_of_torchruns_dies_all_stop_and_begin_again():
    # Worker 0 has shards 0 and 2, worker 1 shards 1 and 3. Loading ends at 5, shards 0 and 1 at 15.
    # At 19 a worker dies: 4 s of shard 2 and of shard 3 are lost. Both load until 24, end at 34.
    found = dealt([10, 10, 10, 10], 2, lives(19, inf), 5)
    assert (found.makespan, found.lost, found.loading) == (34, 8, 20)
    assert (found.n_failures, found.n_starts) == (1, 2)


def test_when_one_of_rays_dies_another_takes_its_shard():
    # Loading ends at 5; two shards end at 15. The worker that dies at 19 loses 4 s. The other ends
    # its second at 25; the new one loads from 19 to 24 and does the lost shard until 34.
    for first in (lives(19, inf), lives(inf, 19)):
        found = handed_out([10, 10, 10, 10], 2, first, 5)
        assert (found.makespan, found.lost, found.loading) == (34, 4, 15)
        assert (found.n_failures, found.n_starts) == (1, 1)


def test_a_lost_shard_waits_for_the_others_with_ray():
    # One worker: 10 s, then lost after 2 s of the second, and that comes after the third.
    found = handed_out([10, 10, 10], 1, lives(12, 15))
    # The new worker does the third until 22 and dies at 27, 5 s into the second again.
    assert (found.makespan, found.lost, found.n_failures) == (37, 7, 2)


def test_ray_stops_when_one_shard_was_lost_three_times_and_begins_again_with_what_is_missing():
    # Two shards of 10 s: the first is done, the second lost after 1, 2 and 3 s, then all is well.
    found = handed_out([10, 10], 1, lives(11, 2, 3), 0)
    assert (found.makespan, found.lost) == (10 + 1 + 2 + 3 + 10, 6)
    assert (found.n_failures, found.n_starts) == (3, 2)
    assert MOST_TRIES == on_ray.MOST_TRIES


def test_a_worker_that_dies_while_it_loads_has_lost_no_shard():
    found = dealt([10], 1, lives(3), 5)
    assert (found.makespan, found.lost, found.loading) == (18, 0, 8)
    found = handed_out([10], 1, lives(3), 5)
    assert (found.makespan, found.lost, found.loading) == (18, 0, 8)


def test_one_long_shard_is_waited_for_and_the_static_split_may_be_uneven():
    # torchrun's worker 0 gets 30 and 10, worker 1 gets 1 and 1; Ray's second worker takes the rest.
    assert dealt([30, 1, 10, 1], 2, lives()).makespan == 40
    assert handed_out([30, 1, 10, 1], 2, lives()).makespan == 30


@pytest.mark.parametrize("rule", RULES)
def test_time_that_all_workers_have_is_work_loading_loss_and_waiting(rule):
    rng = random.Random(1)
    for seed in range(40):
        shards = [rng.uniform(1, 9) for _ in range(rng.randint(1, 60))]
        n_workers, loading = rng.randint(1, 8), rng.uniform(0, 4)
        found = rule(shards, n_workers, lifetimes(80, seed), loading)
        again = rule(shards, n_workers, lifetimes(80, seed), loading)
        assert found == again
        assert found.work == pytest.approx(sum(shards))
        assert found.makespan >= max(shards)
        busy = found.work + found.lost + found.loading
        assert busy <= n_workers * found.makespan * (1 + 1e-9)
        if n_workers == 1:  # and one worker never waits
            assert busy == pytest.approx(found.makespan)
        if not found.n_failures:
            assert (found.lost, found.n_starts) == (0, 1)


@pytest.mark.parametrize("rule", RULES)
def test_workers_that_never_finish_a_shard_are_said(rule):
    with pytest.raises(InputError, match="workers die before a shard is done"):
        rule([10], 1, lambda: 1.0)
    with pytest.raises(InputError, match="above 0"):
        lifetimes(0, 1)
