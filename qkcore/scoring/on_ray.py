"""The engine of several machines: Ray actors that hold the model, and hand their parts back.

The process that was started holds no model: it hands out shards, writes the parts that come back
and publishes. A shard whose actor died goes to another. Workers need the model, not the folder of
parts. What they do with it is a `Scorer`'s or an `Answerer`'s.
"""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any, TypeVar, cast

from qkcore import InputError
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import Part
from qkcore.results.publish import Run, WorkedExample
from qkcore.scoring.answerer import Answerer, AskedModel, Plan
from qkcore.scoring.engines import Done, Note, Sharded
from qkcore.scoring.ray_cluster import HERE, Cluster, connected, first_line
from qkcore.scoring.recipe import Recipe
from qkcore.scoring.scorer import Scorer, States

MOST_TRIES = 3  # of one shard

Told = tuple[str, tuple[object, ...]]  # a method of a worker, and what it is given


class _Actor:
    """Holds the model on a worker, from its first task on."""

    def __init__(
        self,
        make: Callable[..., Sharded],
        recipe: Recipe,
        puzzles: Sequence[Puzzle],
        settings: dict[str, Any],
    ) -> None:
        self._make, self._recipe = make, recipe
        self._puzzles, self._settings = puzzles, settings
        self._worker: Sharded | None = None
        self._n_heard = 0

    def worker(self) -> Sharded:
        if self._worker is None:
            lm, template = self._recipe.load()
            self._worker = self._make(lm, self._puzzles, template=template, **self._settings)
        return self._worker

    def known(self, name: str) -> object:
        return getattr(self.worker(), name)

    def said(self, task: str, *given: object) -> object:
        return getattr(self.worker(), task)(*given)

    def hear(self, told: Sequence[Told]) -> object:
        """What the worker says to the last of what all are told, if that is new to it."""
        said = None
        for task, given in told[self._n_heard :]:
            said = self.said(task, *given)
            self._n_heard += 1
        return said

    def shard(self, index: int, told: Sequence[Told]) -> tuple[Part, States]:
        self.hear(told)
        return self.worker().shard(index)


class Actors:
    """Workers of any kind, and what shares the shards out among them; see `engines`."""

    is_lead = is_alone = True

    def __init__(self, ray: ModuleType, make: Callable[[], Any], n_workers: int) -> None:
        """Begin with so many actors; the first speaks for all.

        Args:
            ray: the package, connected.
            make: starts an actor.
            n_workers: how many.
        """
        self._ray, self._make = ray, make
        self._told: tuple[Told, ...] = ()  # what every worker hears before its next shard
        self._actors = [make() for _ in range(n_workers)]

    def end(self) -> None:
        """Make room for others."""
        for actor in self._actors:
            self._ray.kill(actor)

    def _first(self, task: str, *given: object) -> object:
        """What the first actor says; another's in its place when it died."""
        for _ in range(MOST_TRIES):
            try:
                said: object = self._ray.get(getattr(self._actors[0], task).remote(*given))
            except self._ray.exceptions.RayActorError as error:
                why = first_line(error)
                self._actors[0] = self._make()
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            else:
                return said
        raise InputError(f"a worker died {MOST_TRIES} times (out of memory?): {why}")

    def _tell(self, task: str, *given: object) -> object:
        """What the first actor says to what all hear; they hear nothing that it refuses."""
        before = self._told
        self._told = (*before, (task, given))
        try:
            return self._first("hear", self._told)
        except InputError:
            self._told = before
            raise

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
                task = self._actors[place].shard.remote(index, self._told)
                working[task] = place, index
            (task,), _ = self._ray.wait(list(working))
            place, index = working.pop(task)
            free.append(place)
            try:
                part, states = self._ray.get(task)
            except self._ray.exceptions.RayTaskError as error:
                note(first_line(error.cause), index)
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                self._lost(place, index, tries[index], error, note)
                left.append(index)
            else:
                yield index, part, states

    def _lost(self, place: int, index: int, n_tries: int, error: Exception, note: Note) -> None:
        """Put a new actor in the place of one that died."""
        why = f"lost with its worker: {first_line(error)}"
        note(why, index)
        if n_tries >= MOST_TRIES:
            raise InputError(
                f"part {index} was {why} That was time {n_tries}. Finished parts are kept; see "
                "Ray's logs, then run the same command again to go on"
            ) from None
        print(f"part {index} was {why} Another worker takes it.", file=sys.stderr)
        self._ray.kill(self._actors[place])  # if it lives, its place is needed
        self._actors[place] = self._make()


class RayEngine(Actors):
    """Both what scores and what shares out; see `Scorer`."""

    def __init__(self, ray: ModuleType, make: Callable[[], Any], n_workers: int) -> None:
        """Begin, and ask the first actor what the run is."""
        super().__init__(ray, make, n_workers)
        self.run = cast(Run, self._first("known", "run"))

    def locate(self) -> int:
        """As the first actor says."""
        return cast(int, self._first("said", "locate"))

    def read_layers(self) -> frozenset[str]:
        """As the first actor says; all others read likewise."""
        return cast("frozenset[str]", self._tell("read_layers"))

    def states(self, puzzle_ids: frozenset[str]) -> States:
        """As the first actor reads them."""
        return cast(States, self._first("said", "states", puzzle_ids))

    def example(self, layer: int, head: int) -> WorkedExample:
        """As the first actor reads it."""
        return cast(WorkedExample, self._first("said", "example", layer, head))


class RayAnswerers(Actors):
    """Both what answers with heads switched off and what shares out; see `Answerer`."""

    def __init__(self, ray: ModuleType, make: Callable[[], Any], n_workers: int) -> None:
        """Begin, and ask the first actor what the model is."""
        super().__init__(ray, make, n_workers)
        self.model = cast(AskedModel, self._first("known", "model"))

    def accept(self, plan: Plan) -> int:
        """As the first actor says; all others answer the same plan."""
        return cast(int, self._tell("accept", plan))


Crew = TypeVar("Crew", bound=Actors)  # an engine, and what else it can be asked


def ray_engine(
    recipe: Recipe, puzzles: Sequence[Puzzle], settings: dict[str, Any], cluster: Cluster = HERE
) -> AbstractContextManager[RayEngine]:
    """Connect to a Ray cluster, or start one on this machine, and let actors load and score.

    Args:
        recipe: of the model.
        puzzles: all of the run's.
        settings: of `Scorer`, less the template.
        cluster: where, and how many at once.

    Raises:
        InputError: when Ray is not there, or no such cluster, or no room in it.
    """
    return _at_work(RayEngine, Scorer, recipe, puzzles, settings, cluster)


def ray_answerers(
    recipe: Recipe, puzzles: Sequence[Puzzle], settings: dict[str, Any], cluster: Cluster = HERE
) -> AbstractContextManager[RayAnswerers]:
    """Likewise, for a model that answers with heads switched off.

    Args:
        recipe: as of `ray_engine`,
        puzzles: likewise,
        settings: of `Answerer`, less the template.
        cluster: where, and how many at once.

    Raises:
        InputError: as `ray_engine`.
    """
    return _at_work(RayAnswerers, Answerer, recipe, puzzles, settings, cluster)


@contextmanager
def _at_work(
    kind: type[Crew],
    make: Callable[..., Sharded],
    recipe: Recipe,
    puzzles: Sequence[Puzzle],
    settings: dict[str, Any],
    cluster: Cluster,
) -> Iterator[Crew]:
    """An engine of this kind, whose actors end with the block."""
    with connected(cluster) as ray:
        start = starting(ray, cluster, make, recipe, puzzles, settings)
        engine = kind(ray, start, cluster.n_actors(ray.cluster_resources()))
        try:
            yield engine
        finally:
            engine.end()


def starting(
    ray: ModuleType,
    cluster: Cluster,
    make: Callable[..., Sharded],
    recipe: Recipe,
    puzzles: Sequence[Puzzle],
    settings: dict[str, Any],
) -> Callable[[], Any]:
    """What starts an actor.

    Args:
        ray: the package, connected.
        cluster: says how many GPUs an actor has.
        make: `Scorer` or `Answerer`.
        recipe: of the model.
        puzzles: all of the run's.
        settings: of what is made, less the template.
    """
    kept = ray.put(list(puzzles))
    # A core each: Ray then gives each one thread, and all machines the same bits.
    remote = ray.remote(num_cpus=1, num_gpus=cluster.gpus_per_model)(_Actor)
    return lambda: remote.remote(make, recipe, kept, settings)
