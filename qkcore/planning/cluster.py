"""A cluster with failures, simulated by the rules of the engines: when does the last shard end?

Two rules. torchrun's: shards that are missing are dealt out once, every worker takes every so
manieth, and when one dies all stop and begin again with what is missing. Ray's: a free worker takes
the next shard, a worker that dies is replaced, its shard goes to the end of the line, and one that
was lost three times stops the run, which begins again. Finished shards are kept, always. Workers
only: the leader, the network and publishing never fail here. Checked by hand in
tests/planning/test_cluster.py.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from qkcore import InputError

MOST_TRIES = 3  # of one shard, as qkcore.scoring.on_ray has it (a test compares)
MOST_FAILURES = 20_000  # after so many it is said that the run never ends


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run. Seconds; those of `work`, `lost` and `loading` of all workers."""

    makespan: float  # from the start to the last shard's end
    work: float  # of all shards, each once
    lost: float  # of shards that were under way when something died: done again
    loading: float  # of models, in all starts
    n_workers: int
    n_failures: int
    n_starts: int  # of the whole run; 1 when nothing stopped it
    ideal: float  # one loading, no failure, and all workers busy to the end


def dealt(
    shards: Sequence[float], n_workers: int, lifetime: Callable[[], float], loading: float = 0.0
) -> Outcome:
    """A run by torchrun's rule.

    Args:
        shards: seconds of each.
        n_workers: how many.
        lifetime: seconds until a worker dies, drawn for every worker at every start.
        loading: seconds from a start until a worker begins with its first shard.

    Raises:
        InputError: when it would never end.
    """
    missing, now, lost, loaded = list(range(len(shards))), 0.0, 0.0, 0.0
    n_starts = n_failures = 0
    while True:
        n_starts += 1
        deaths = [lifetime() for _ in range(n_workers)]
        died = min(deaths)
        ends: dict[int, float] = {}  # shard: seconds after the start
        last = loading
        for rank in range(n_workers):
            end = loading
            for index in missing[rank::n_workers]:
                ends[index] = end = end + shards[index]
            last = max(last, end)
        if died >= last:
            loaded += n_workers * loading
            ideal = loading + sum(shards) / n_workers
            return Outcome(
                now + last, sum(shards), lost, loaded, n_workers, n_failures, n_starts, ideal
            )
        n_failures += 1
        loaded += n_workers * min(loading, died)
        lost += sum(
            died - (end - shards[index])
            for index, end in ends.items()
            if end - shards[index] < died < end
        )
        missing = [index for index in missing if ends[index] > died]
        now += died
        _check_ends(n_failures)


def handed_out(
    shards: Sequence[float],
    n_workers: int,
    lifetime: Callable[[], float],
    loading: float = 0.0,
    most_tries: int = MOST_TRIES,
) -> Outcome:
    """A run by Ray's rule.

    A worker dies at work or while it loads for it, never while it waits.

    Args:
        shards: seconds of each.
        n_workers: how many.
        lifetime: seconds of work until a worker dies, drawn for each worker when it starts.
        loading: seconds from a worker's start until it begins with its first shard.
        most_tries: of one shard, before the run stops and begins again.

    Raises:
        InputError: when it would never end.
    """
    missing, now, lost, loaded = set(range(len(shards))), 0.0, 0.0, 0.0
    n_starts = n_failures = 0
    while True:
        n_starts += 1
        one = _Start(shards, sorted(missing), n_workers, lifetime, loading, most_tries)
        is_done = one.carried_out()
        now, lost, loaded = now + one.now, lost + one.lost, loaded + one.loaded
        n_failures += one.n_failures
        missing -= one.done
        if is_done:
            ideal = loading + sum(shards) / n_workers
            return Outcome(now, sum(shards), lost, loaded, n_workers, n_failures, n_starts, ideal)
        _check_ends(n_failures)


class _Start:
    """From one start by Ray's rule to the end, or until a shard was lost too often."""

    def __init__(
        self,
        shards: Sequence[float],
        missing: Sequence[int],
        n_workers: int,
        lifetime: Callable[[], float],
        loading: float,
        most_tries: int,
    ) -> None:
        self._shards, self._lifetime, self._loading = shards, lifetime, loading
        self._most_tries = most_tries
        self._left, self._tries = deque(missing), dict.fromkeys(missing, 0)
        self._life = [lifetime() for _ in range(n_workers)]  # seconds of work left to each
        self._to_load = [loading] * n_workers
        # (when, worker, shard, began, whether it is lost)
        self._events: list[tuple[float, int, int, float, bool]] = []
        self.now = self.lost = self.loaded = 0.0
        self.n_failures = 0
        self.done: set[int] = set()

    def carried_out(self) -> bool:
        """Whether all shards were done; else one was lost too often."""
        free = list(range(len(self._life)))
        while self._left or self._events:
            while free and self._left:
                self._begin(free.pop(), self._left.popleft())
            self.now, worker, index, began, is_lost = heapq.heappop(self._events)
            free.append(worker)
            if not is_lost:
                self.done.add(index)
                continue
            self.n_failures += 1
            self.lost += max(0.0, self.now - began)
            if self._tries[index] >= self._most_tries:
                self.lost += sum(max(0.0, self.now - event[3]) for event in self._events)
                return False
            self._left.append(index)
            self._life[worker] = self._lifetime()
            self._to_load[worker] = self._loading
            _check_ends(self.n_failures)
        return True

    def _begin(self, worker: int, index: int) -> None:
        """A worker takes a shard: when that ends, and how."""
        self._tries[index] += 1
        needed = self._to_load[worker] + self._shards[index]
        began = self.now + self._to_load[worker]
        lives = self._life[worker]
        self.loaded += min(self._to_load[worker], lives)
        is_lost = lives < needed
        self._life[worker], self._to_load[worker] = lives - needed, 0.0
        event = (self.now + min(lives, needed), worker, index, began, is_lost)
        heapq.heappush(self._events, event)


def lifetimes(between: float | None, seed: int) -> Callable[[], float]:
    """Draws of how long a worker lives: exponential, so an old one dies no sooner than a new one.

    Args:
        between: seconds between two failures of one worker, on average; None: it never dies.
        seed: of the draws.

    Raises:
        InputError: when the time is not above 0.
    """
    if between is None:
        return lambda: inf
    if not between > 0:
        raise InputError(f"{between:g} between failures must be above 0")
    rng = np.random.default_rng(seed)
    return lambda: float(rng.exponential(between))


def _check_ends(n_failures: int) -> None:
    if n_failures >= MOST_FAILURES:
        raise InputError(
            f"after {n_failures:,} failures the run has not ended: workers die before a shard is "
            "done; make the time between failures longer than a few shards"
        )
