"""Times of ways to run a model, that other work on the machine disturbs little.

A way's time is cut into laps, at each start of a forward pass, and the best of each lap over
several rounds is summed: a moment's disturbance spoils one lap of one round and not a whole way.
Ways are taken in turn. The more laps a way has, the luckier it may be: that favours small passes.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch

import torch

Ways = dict[str, Callable[[], object]]


class Seconds(NamedTuple):
    """What something took, of the processor (all threads) and by the clock."""

    processor: float
    wall: float


def best_seconds(ways: Ways, n_rounds: int, model: type[torch.nn.Module]) -> dict[str, Seconds]:
    """The time of each way in seconds, measured in turn after one round for warming up.

    Args:
        ways: what is timed; each must make the same passes every time.
        n_rounds: how often.
        model: the class whose calls are the passes.
    """
    taken: dict[str, list[list[Seconds]]] = {name: [] for name in ways}
    for round_ in range(n_rounds + 1):
        for name, way in ways.items():
            with _starts(model) as starts:
                way()
            if round_:
                taken[name].append(
                    [
                        Seconds(end.processor - start.processor, end.wall - start.wall)
                        for start, end in itertools.pairwise(starts)
                    ]
                )
    return {name: _summed(rounds) for name, rounds in taken.items()}


def _summed(rounds: list[list[Seconds]]) -> Seconds:
    """The best of each lap, summed."""
    laps = list(zip(*rounds, strict=True))
    return Seconds(
        sum(min(one.processor for one in lap) for lap in laps),
        sum(min(one.wall for one in lap) for lap in laps),
    )


@contextmanager
def _starts(model: type[torch.nn.Module]) -> Iterator[list[Seconds]]:
    """The moments at which this began, a pass began, and it all ended."""
    starts: list[Seconds] = []
    call = model.__call__

    def now() -> None:
        starts.append(Seconds(time.process_time(), time.perf_counter()))

    def noting(*args: object, **kwargs: object) -> object:
        now()
        return call(*args, **kwargs)

    now()
    with patch.object(model, "__call__", noting):
        yield starts
    now()
