"""Many runs as one job: every model of a list on every puzzle set in every reading.

Each model is loaded once for all its runs that are left. One that cannot be loaded or scored is
noted, and the others go on. A sweep keeps nothing of its own: what is done is in the store, what is
under way lies in parts beside it, so the same file again goes on.
"""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch

from qkcore import InputError
from qkcore.puzzles.puzzle import save_puzzles
from qkcore.results.reader import StoreError
from qkcore.scoring.engines import Engine, Worker, engine_of
from qkcore.scoring.on_ray import ray_engine
from qkcore.scoring.precompute import precompute_by
from qkcore.scoring.progress import Among
from qkcore.scoring.ray_cluster import Cluster
from qkcore.scoring.scorer import Scorer
from qkcore.scoring.shards import Interrupted
from qkcore.scoring.sweep_file import SweepFile
from qkcore.scoring.sweep_plan import Planned, runs_in, speed_of, speeds

if TYPE_CHECKING:
    from qkcore.asking.templates import Template
    from qkcore.attention.load import CausalLM

DONE, THERE, FAILED = "done", "already there", "failed"
Crew: TypeAlias = tuple[Engine, Worker]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run."""

    run: Planned
    what: str  # DONE, THERE or FAILED
    why: str = ""  # it failed


@dataclass(frozen=True, slots=True)
class Sweep:
    """A file's runs, and where they go."""

    file: SweepFile
    runs: Sequence[Planned]
    store: Path
    show_progress: bool = True
    with_texts: bool = True
    log: Path | None = None

    def carried_out(self) -> list[Outcome]:
        """Score all runs that are left; returns what came of each, in order.

        Raises:
            StoreError: when the store cannot be written, for then no other run could be kept.
            Interrupted: on Ctrl-C; finished runs and parts are kept.
        """
        found: list[Outcome] = []
        try:
            for one in self.file.sets:
                if one.is_new:
                    save_puzzles(one.puzzles, one.path)
            for model in self.file.models:
                runs = [one for one in self.runs if one.model is model]
                found += [Outcome(one, THERE) for one in runs if one.is_there]
                if left := [one for one in runs if not one.is_there]:
                    found += self._of_model(left)
                    _free()
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped; finished runs are in {self.store}. Run the same command again to go on."
            ) from None
        return sorted(found, key=lambda one: one.run.number)

    def _of_model(self, left: Sequence[Planned]) -> list[Outcome]:
        """Score the runs of one model, which is loaded once; by Ray, its actors load it a run."""
        model = left[0].model
        if self.file.engine == "ray":
            return [self._scored(one, self._by_ray) for one in left]
        self._say(f"loading {model.label} for {len(left):,} {'run' if len(left) == 1 else 'runs'}")
        try:
            lm, template = model.recipe.load()
        except Exception as error:  # whatever it is, the other models are scored
            why = f"{_line(error)} ({model.where})"
            self._say(f"{model.label} failed: {why}")
            return [Outcome(one, FAILED, why) for one in left]
        return [self._scored(one, partial(self._here, lm, template)) for one in left]

    def _scored(
        self, one: Planned, crew_of: Callable[[Planned], AbstractContextManager[Crew]]
    ) -> Outcome:
        """Score one run and publish it, unless the store turns out to hold it."""
        try:
            with crew_of(one) as (engine, worker):
                # Known now for sure; another sweep may have finished it meanwhile.
                if worker.run.run_id in runs_in(self.store, self.file.lens):
                    return Outcome(one, THERE)
                precompute_by(
                    engine,
                    one.puzzle_set.puzzles,
                    self.store,
                    worker=worker,
                    among=Among(one.place, self._seconds_after(one)),
                    show_progress=self.show_progress,
                    with_texts=self.with_texts,
                    lens=self.file.lens,
                    log=self.log,
                )
        except StoreError:
            raise
        except Interrupted as error:
            raise Interrupted(f"{one.place} was {error}") from None
        except Exception as error:  # whatever it is, the other runs are scored
            self._say(f"{one.place} failed: {_line(error)}")
            return Outcome(one, FAILED, _line(error))
        return Outcome(one, DONE)

    @contextmanager
    def _here(self, lm: "CausalLM", template: "Template | None", one: Planned) -> Iterator[Crew]:
        """This process, with a model that is loaded."""
        worker = Scorer(
            lm,
            one.puzzle_set.puzzles,
            puzzle_set=one.puzzle_set.name,
            rope=one.rope,
            template=template,
            scores=self.file.scores,
        )
        with engine_of("local", worker) as engine:
            yield engine, worker

    @contextmanager
    def _by_ray(self, one: Planned) -> Iterator[Crew]:
        """Ray's actors, as the file asks for them."""
        settings = {"puzzle_set": one.puzzle_set.name, "rope": one.rope}
        with ray_engine(
            one.model.recipe,
            one.puzzle_set.puzzles,
            settings | {"scores": self.file.scores},
            Cluster(self.file.address, self.file.workers, self.file.gpus_per_model),
        ) as engine:
            yield engine, engine

    def _seconds_after(self, one: Planned) -> Callable[[float], float]:
        """How long the later runs take: of the same model at its speed, of others as known."""
        known = speeds(self.store)
        later = [run for run in self.runs[one.number :] if not run.is_there]

        def seconds(speed: float) -> float:
            return sum(
                run.n_puzzles
                / (speed if run.model is one.model else speed_of(run.model, known) or speed)
                for run in later
            )

        return seconds

    def _say(self, sentence: str) -> None:
        if self.show_progress:
            print(sentence, file=sys.stderr, flush=True)


def _line(error: Exception) -> str:
    """Why something failed, in a line."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if isinstance(error, InputError) else f"{type(error).__name__}: {line}"


def _free() -> None:
    """Give the memory of a model back before the next one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def table_of(outcomes: Sequence[Outcome]) -> list[str]:
    """The end of a sweep, a line a run, and how many of each in the last."""
    lines = [
        f"{one.what:15}{one.run.title}: {one.why or f'{one.run.n_puzzles:,} puzzles'}"
        for one in outcomes
    ]
    counts = [f"{sum(one.what == what for one in outcomes):,} {what}" for what in (DONE, THERE)]
    n_failed = sum(one.what == FAILED for one in outcomes)
    runs = "run" if len(outcomes) == 1 else "runs"
    return [*lines, f"{len(outcomes):,} {runs}: {', '.join(counts)}, {n_failed:,} {FAILED}."]
