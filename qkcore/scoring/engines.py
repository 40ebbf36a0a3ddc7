"""Who works on the shards of a job: this process, or all that torchrun started.

An engine is a thin loop over shards; what a shard is, where its part goes and what is made of them
stands elsewhere, once. Engines give the same bits on the same hardware with as many threads. (Ray's
is in `on_ray`, which is imported only when it is asked for.)
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from qkcore import InputError
from qkcore.results.parts import Part
from qkcore.results.publish import Run, WorkedExample
from qkcore.scoring.scorer import States

ENGINES = ("local", "torchrun", "ray")
PATIENCE = timedelta(days=30)  # that workers wait for each other; one that dies is noticed at once

Done = Iterator[tuple[int, Part, States]]  # shards, as they are done
Note = Callable[[str, int | None], None]  # keeps why a shard failed


class Sharded(Protocol):
    """What works on shards."""

    def shard(self, index: int) -> tuple[Part, States]:
        """One shard's part, and what goes with it that no part holds."""


class Worker(Protocol):
    """What an engine needs to score a run; see `Scorer`."""

    @property
    def run(self) -> Run:
        """What is scored, by which model and how."""

    def locate(self) -> int:
        """Know of every puzzle that it fits, before the first is scored."""

    def read_layers(self) -> frozenset[str]:
        """From now on read after each layer too; returns the puzzles whose states are kept."""

    def states(self, puzzle_ids: frozenset[str]) -> States:
        """States of some puzzles, which are read for them."""

    def example(self, layer: int, head: int) -> WorkedExample:
        """The run's worked example of a head."""


class Engine(Protocol):
    """Shares the shards out. One process leads: it alone holds the folder and publishes."""

    is_lead: bool
    is_alone: bool  # whether every part comes from `done` of this process

    def word(self, said: Callable[[], Sequence[int]]) -> list[int]:
        """What the leader says, asked once and heard by all."""

    def done(self, missing: Sequence[int], note: Note) -> Done:
        """Work on this process's share of the shards; gives them as they are done."""

    def gathered(self, states: States) -> States:
        """Everybody's states, at the leader; waits until all have done their share."""


class Local:
    """This process does everything."""

    is_lead = is_alone = True

    def __init__(self, worker: Sharded) -> None:
        self._worker = worker

    def word(self, said: Callable[[], Sequence[int]]) -> list[int]:
        """What is said."""
        return list(said())

    def done(self, missing: Sequence[int], note: Note) -> Done:
        """One shard after the other."""
        for index in missing:
            yield index, *self._worker.shard(index)

    def gathered(self, states: States) -> States:
        """Nobody else has any."""
        return states


class Ranks:
    """One of the processes that torchrun started; each takes every so manieth shard."""

    is_alone = False

    def __init__(self, worker: Sharded) -> None:
        self._worker = worker
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.is_lead = self.rank == 0

    def word(self, said: Callable[[], Sequence[int]]) -> list[int]:
        """What rank 0 says."""
        values = torch.tensor(list(said()) if self.is_lead else [], dtype=torch.int64)
        count = torch.tensor([len(values)])
        with _heard():
            dist.broadcast(count, src=0)
            values = values if self.is_lead else torch.zeros(int(count), dtype=torch.int64)
            if len(values):
                dist.broadcast(values, src=0)
        return [int(value) for value in values]

    def done(self, missing: Sequence[int], note: Note) -> Done:
        """This rank's share, one shard after the other."""
        for index in missing[self.rank :: self.size]:
            yield index, *self._worker.shard(index)

    def gathered(self, states: States) -> States:
        """Those of all ranks, sent to rank 0."""
        with _heard():
            if not self.is_lead:
                _send(states)
                return states
            found = dict(states)
            for rank in range(1, self.size):
                found |= _received(rank)
        return found


def _send(states: States) -> None:
    """To rank 0: how many bytes of names, the shape, then names and states."""
    names = torch.frombuffer(bytearray("\n".join(states).encode() or b"\n"), dtype=torch.uint8)
    shape = next(iter(states.values())).shape if states else (0, 0)
    dist.send(torch.tensor([len(names), len(states), *shape]), dst=0)
    if states:
        dist.send(names, dst=0)
        dist.send(torch.from_numpy(np.stack(list(states.values()))), dst=0)


def _received(rank: int) -> States:
    """What a rank sends."""
    sizes = torch.zeros(4, dtype=torch.int64)
    dist.recv(sizes, src=rank)
    n_bytes, n_states, *shape = (int(size) for size in sizes)
    if not n_states:
        return {}
    names = torch.zeros(n_bytes, dtype=torch.uint8)
    dist.recv(names, src=rank)
    states = torch.zeros(n_states, *shape)
    dist.recv(states, src=rank)
    ids = names.numpy().tobytes().decode().split("\n")
    return dict(zip(ids, states.numpy(), strict=True))


@contextmanager
def _heard() -> Iterator[None]:
    """Another process's end, as a sentence."""
    try:
        yield
    except RuntimeError:
        raise InputError(
            "another worker of this job stopped (its own message says why); finished parts are "
            "kept. Run the same command again to go on."
        ) from None


@contextmanager
def engine_of(name: str, worker: Sharded) -> Iterator[Engine]:
    """The engine of that name, with this process's worker.

    Raises:
        InputError: when it is not known, or needs what is not there.
    """
    n_started = int(os.environ.get("WORLD_SIZE", "1"))
    if name == "local":
        if "TORCHELASTIC_RUN_ID" in os.environ and n_started > 1:
            raise InputError(
                f"torchrun started {n_started} processes, and each would score everything; add "
                "--engine torchrun"
            )
        yield Local(worker)
        return
    if name != "torchrun":
        raise InputError(f"engine {name!r} is not known here; use local or torchrun")
    require_torchrun()
    with _heard():
        _meet()
    try:
        yield Ranks(worker)
    finally:
        dist.destroy_process_group()


def require_torchrun(command: str = "COMMAND") -> None:
    """Know that torchrun has started this process.

    Args:
        command: what was asked for, such as "reproduce".

    Raises:
        InputError: when it has not; says how it is done.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        raise InputError(
            "engine torchrun is for what torchrun starts: torchrun --nproc-per-node 2 -m qkcore "
            f"{command} --engine torchrun ..."
        )


_meetings = itertools.count()  # of this process; all ranks meet in the same order


def _meet() -> None:
    """Join the other ranks, under a name that no earlier meeting had.

    torchrun's own store outlives its workers: after a restart, and for a process's second command,
    the addresses of an earlier meeting would still be there.
    """
    name = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-{next(_meetings)}"
    dist.init_process_group(
        "gloo",
        store=PrefixStore(name, _store()),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=PATIENCE,
    )


@cache
def _store() -> TCPStore:
    """Where ranks find each other: torchrun's own, or one that rank 0 holds as long as it lives."""
    is_torchruns = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        int(os.environ["WORLD_SIZE"]),
        is_master=os.environ["RANK"] == "0" and not is_torchruns,
        timeout=PATIENCE,
    )


def own_device() -> str | None:
    """The GPU of this process among those that torchrun started on a machine; None: no matter."""
    if "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    return None
