"""Ray's machines: connected, or started on this one, and how many models they have room for.

Ray is imported when a cluster is asked for, so nothing else needs it. Knows nothing of what its
actors do; that is `on_ray`.
"""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from qkcore import InputError


@dataclass(frozen=True, slots=True)
class Cluster:
    """Ray's machines, and how many models work on them at once."""

    address: str | None = None  # "auto" for the one that this machine is in; None starts one here
    n_workers: int | None = None  # actors; None: as many as there are GPUs (or cores) for
    gpus_per_model: float = 0  # that an actor has to itself; its model is spread over several

    def n_actors(self, there: dict[str, float]) -> int:
        """How many actors to start where there is so much.

        Raises:
            InputError: when there is no room for them.
        """
        n_most = _room(there, self.gpus_per_model)
        n_workers = n_most if self.n_workers is None else self.n_workers
        if not 1 <= n_workers <= n_most:
            raise InputError(
                f"the Ray cluster has room for {n_most} workers with {self.gpus_per_model:g} GPUs "
                f"and a core each, so {n_workers} cannot be started; change --workers or "
                "--gpus-per-model, or add machines with `ray start --address`"
            )
        return n_workers


HERE = Cluster()  # a core each of this machine


@contextmanager
def connected(cluster: Cluster) -> Iterator[ModuleType]:
    """The package, connected to a cluster; where that is none, to one on this machine.

    Without an address, where Ray is connected already, that is used and stays.

    Raises:
        InputError: when Ray is not there, or no such cluster.
    """
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError:
        raise InputError("engine ray needs Ray: pip install 'qkscope[cluster]'") from None
    if cluster.address is None and ray.is_initialized():
        yield ray
        return
    # Ray would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=cluster.address or "local",
            include_dashboard=None if cluster.address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster at {cluster.address or 'this machine'}: {first_line(error)}. Start "
            "one with `ray start --head`, or leave --address out to use this machine only"
        ) from None
    signal.signal(signal.SIGTERM, on_term)  # Ray's own would end the run without a word
    try:
        yield ray
    finally:
        ray.shutdown()


def _room(there: dict[str, float], gpus_per_model: float) -> int:
    """How many actors a cluster of these resources has room for.

    >>> _room({"CPU": 16.0, "GPU": 8.0}, 2), _room({"CPU": 16.0}, 0), _room({"CPU": 16.0}, 1)
    (4, 16, 0)
    """
    n_most = int(there.get("CPU", 0))
    if gpus_per_model > 0:
        n_most = min(n_most, int(there.get("GPU", 0) / gpus_per_model))
    return n_most


def first_line(error: BaseException) -> str:
    """An error's first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
