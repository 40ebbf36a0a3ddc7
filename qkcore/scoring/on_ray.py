"""The engine of several machines: Ray actors that hold the model, and hand their parts back.

Ray is imported when a cluster is asked for, so nothing else needs it. The process that was started
holds no model: it hands out shards, writes the parts that come back and publishes. A shard whose
actor died goes to another. Workers need the model, not the folder of parts.
"""

import logging
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from qkcore import InputError
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import Part
from qkcore.results.publish import Run, WorkedExample
from qkcore.scoring.engines import Done, Note
from qkcore.scoring.recipe import Recipe
from qkcore.scoring.scorer import Scorer, States

MOST_TRIES = 3  # of one shard


class _Actor:
    """Holds the model on a worker, from its first task on."""

    def __init__(self, recipe: Recipe, puzzles: Sequence[Puzzle], settings: dict[str, Any]) -> None:
        self._recipe, self._puzzles, self._settings = recipe, puzzles, settings
        self._scorer: Scorer | None = None
        self._reads_layers = False

    def scorer(self) -> Scorer:
        if self._scorer is None:
            lm, template = self._recipe.load()
            self._scorer = Scorer(lm, self._puzzles, template=template, **self._settings)
        return self._scorer

    def run(self) -> Run:
        return self.scorer().run

    def locate(self) -> int:
        return self.scorer().locate()

    def read_layers(self) -> frozenset[str]:
        self._reads_layers = True
        return self.scorer().read_layers()

    def shard(self, index: int, reads_layers: bool) -> tuple[Part, States]:
        if reads_layers and not self._reads_layers:
            self.read_layers()
        return self.scorer().shard(index)

    def states(self, puzzle_ids: frozenset[str]) -> States:
        return self.scorer().states(puzzle_ids)

    def example(self, layer: int, head: int) -> WorkedExample:
        return self.scorer().example(layer, head)


class RayEngine:
    """Both what scores and what shares out; see `engines`."""

    is_lead = is_alone = True

    def __init__(self, ray: ModuleType, make: Callable[[], Any], n_workers: int) -> None:
        """Begin with so many actors; the first says what the run is.

        Args:
            ray: the package, connected.
            make: starts an actor.
            n_workers: how many.
        """
        self._ray, self._make = ray, make
        self._reads_layers = False
        self._actors = [make() for _ in range(n_workers)]
        self.run = cast(Run, self._first("run"))

    def _first(self, task: str, *given: object) -> object:
        """What the first actor says; another's in its place when it died."""
        for _ in range(MOST_TRIES):
            try:
                said: object = self._ray.get(getattr(self._actors[0], task).remote(*given))
            except self._ray.exceptions.RayActorError as error:
                why = _line(error)
                self._actors[0] = self._make()
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            else:
                return said
        raise InputError(f"a worker died {MOST_TRIES} times (out of memory?): {why}")

    def locate(self) -> int:
        """As the first actor says."""
        return cast(int, self._first("locate"))

    def read_layers(self) -> frozenset[str]:
        """As the first actor says; all others read likewise."""
        self._reads_layers = True
        try:
            return cast("frozenset[str]", self._first("read_layers"))
        except InputError:
            self._reads_layers = False
            raise

    def states(self, puzzle_ids: frozenset[str]) -> States:
        """As the first actor reads them."""
        return cast(States, self._first("states", puzzle_ids))

    def example(self, layer: int, head: int) -> WorkedExample:
        """As the first actor reads it."""
        return cast(WorkedExample, self._first("example", layer, head))

    def word(self, said: Callable[[], Sequence[int]]) -> list[int]:
        """What is said: no other process asks."""
        return list(said())

    def gathered(self, states: States) -> States:
        """They came with the parts."""
        return states

    def done(self, missing: Sequence[int], note: Note) -> Done:
        """Shards as they come back; a lost one goes to another actor."""
        left, tries = deque(missing), Counter[int]()
        free, working = list(range(len(self._actors))), dict[Any, tuple[int, int]]()
        while left or working:
            while free and left:
                place, index = free.pop(), left.popleft()
                tries[index] += 1
                task = self._actors[place].shard.remote(index, self._reads_layers)
                working[task] = place, index
            (task,), _ = self._ray.wait(list(working))
            place, index = working.pop(task)
            free.append(place)
            try:
                part, states = self._ray.get(task)
            except self._ray.exceptions.RayTaskError as error:
                note(_line(error.cause), index)
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                self._lost(place, index, tries[index], error, note)
                left.append(index)
            else:
                yield index, part, states

    def _lost(self, place: int, index: int, n_tries: int, error: Exception, note: Note) -> None:
        """Put a new actor in the place of one that died."""
        why = f"lost with its worker: {_line(error)}"
        note(why, index)
        if n_tries >= MOST_TRIES:
            raise InputError(
                f"part {index} was {why} That was time {n_tries}. Finished parts are kept; see "
                "Ray's logs, then run the same command again to go on"
            ) from None
        print(f"part {index} was {why} Another worker takes it.", file=sys.stderr)
        self._ray.kill(self._actors[place])  # if it lives, its place is needed
        self._actors[place] = self._make()


def _line(error: BaseException) -> str:
    """An error's first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def ray_engine(
    recipe: Recipe,
    puzzles: Sequence[Puzzle],
    settings: dict[str, Any],
    *,
    address: str | None = None,
    n_workers: int | None = None,
    gpus_per_model: float = 0,
) -> Iterator[RayEngine]:
    """Connect to a Ray cluster, or start one on this machine, and let actors load the model.

    Args:
        recipe: of the model.
        puzzles: all of the run's.
        settings: of `Scorer`, less the template.
        address: of a cluster, "auto" for the one that this machine is in; None starts one here.
        n_workers: actors; by default as many as the cluster has GPUs (or cores) for.
        gpus_per_model: GPUs that an actor has to itself; its model is spread over several.

    Raises:
        InputError: when Ray is not there, or no such cluster, or no room in it.
    """
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError:
        raise InputError("engine ray needs Ray: pip install 'qkscope[cluster]'") from None
    # Ray would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster at {address or 'this machine'}: {_line(error)}. Start one with `ray "
            "start --head`, or leave --address out to use this machine only"
        ) from None
    signal.signal(signal.SIGTERM, on_term)  # Ray's own would end the run without a word
    try:
        n_most = _room(ray.cluster_resources(), gpus_per_model)
        if n_workers is None:
            n_workers = n_most
        if not 1 <= n_workers <= n_most:
            raise InputError(
                f"the Ray cluster has room for {n_most} workers with {gpus_per_model:g} GPUs and a "
                f"core each, so {n_workers} cannot be started; change --workers or "
                "--gpus-per-model, or add machines with `ray start --address`"
            )
        kept = ray.put(list(puzzles))
        # A core each: Ray then gives each one thread, and all machines the same bits.
        remote = ray.remote(num_cpus=1, num_gpus=gpus_per_model)(_Actor)
        yield RayEngine(ray, lambda: remote.remote(recipe, kept, settings), n_workers)
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
