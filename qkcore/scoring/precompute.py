"""Score a puzzle set into a store, shard by shard; an interrupted run goes on where it stopped.

Parts lie in a folder beside the store, or where one says, named by a hash of everything that
changes the numbers, so a restart with the same settings finds them and one with others does not.
Who works on the shards, and where, is the engine's; all else stands here once. Knows nothing of
DuckDB: publishing does.
"""

import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from qkcore import InputError
from qkcore.asking.options import roles_named
from qkcore.asking.templates import Template
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import CausalLM
from qkcore.puzzles.puzzle import Puzzle, PuzzleError
from qkcore.puzzles.twin import parent_of
from qkcore.results.counting import Answers, halved
from qkcore.results.publish import (
    add_layers,
    check_accepts,
    collect,
    publish,
    remove_unfinished,
)
from qkcore.results.raw import is_beside
from qkcore.results.store import ResultStore
from qkcore.scoring.engines import Engine, Worker, engine_of
from qkcore.scoring.progress import Among, Progress, RunningAccuracy
from qkcore.scoring.scorer import Scorer, States
from qkcore.scoring.shards import Shards, parts_folder, remove, remove_leftovers
from qkcore.statistics.probes import probe_answers


def precompute(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    store: str | Path,
    *,
    puzzle_set: str,
    rope: str = "pre",
    template: Template | None = None,
    max_batch_tokens: int | None = None,
    show_progress: bool = True,
    with_texts: bool = True,
    scores: str = "float32",
    lens: bool = False,
    engine: str = "local",
    log: str | Path | None = None,
    parts: str | Path | None = None,
    external_scores: bool = False,
) -> str:
    """Score every puzzle and publish the run; returns its run_id.

    Without texts, the store gets the puzzles' ids, difficulties and answers only. Raw scores are
    kept as "float32" or "float16"; what the latter changes is printed. With external scores they
    go into Parquet files beside the store (`results.beside`), which then holds counts alone.

    With lens, the run also gets what the model would have answered after each layer, and a probe
    a layer (`layer_reading`, `statistics.probes`); a run that is in the store without is read again
    for them, and keeps its scores. A model that has no lens is scored without, and a sentence says
    why.

    The engine "torchrun" shares the work with the other processes that torchrun started, which make
    the same call; scores are the same bits. A log gets a line of JSON for what happens.

    Parts of an unfinished run lie beside the store, or in the folder or at the object store's
    address that `parts` names, such as "s3://bucket/parts".

    The same call again after an interruption scores only what is missing; after a finished run it
    does nothing.

    Raises:
        PuzzleError, StoreError, UnsupportedModelError: before anything is scored, where that can be
            known.
        InputError: when parts cannot be written, or another worker stopped; likewise.
        Interrupted: on Ctrl-C; finished parts are kept.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import ResultStore, bundled_model, generate_puzzles, load_model, precompute
    >>> lm, puzzles = load_model(bundled_model()), generate_puzzles(steps=1, distractors=0, n=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "results.duckdb")
    ...     run = precompute(lm, puzzles, path, puzzle_set="eight", show_progress=False)
    ...     with ResultStore.open(path) as store:
    ...         store.head_accuracy(run, "test").shape
    (32, 11)
    """
    _check_input(puzzles, max_batch_tokens)
    worker = Scorer(
        lm,
        puzzles,
        puzzle_set=puzzle_set,
        rope=rope,
        template=template,
        max_batch_tokens=max_batch_tokens,
        scores=scores,
    )
    with engine_of(engine, worker) as crew:
        log = None if log is None else Path(log)
        job = _Job(crew, worker, puzzles, Path(store), show_progress, log, parts, external_scores)
        return job.carried_out(lens, with_texts)


def precompute_by(
    engine: Engine,
    puzzles: Sequence[Puzzle],
    store: str | Path,
    *,
    worker: Worker | None = None,
    among: Among | None = None,
    show_progress: bool = True,
    with_texts: bool = True,
    lens: bool = False,
    log: Path | None = None,
    parts: str | Path | None = None,
    external_scores: bool = False,
) -> str:
    """`precompute` by an engine that is there already.

    Without a worker, the engine's own know the run: they load the model themselves (Ray). Among
    others, progress says which run this is and how long all will take.
    """
    _check_input(puzzles, None)
    worker = cast(Worker, engine) if worker is None else worker
    job = _Job(
        engine, worker, puzzles, Path(store), show_progress, log, parts, external_scores, among
    )
    return job.carried_out(lens, with_texts)


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done, by whom, and where it goes."""

    engine: Engine
    worker: Worker
    puzzles: Sequence[Puzzle]
    store: Path
    show_progress: bool
    log: Path | None
    parts: str | Path | None = None  # where parts lie; None: beside the store
    external_scores: bool = False
    among: Among | None = None  # where the run is one of many

    def carried_out(self, lens: bool, with_texts: bool) -> str:
        """Score what is missing and publish; returns the run's id."""
        run, engine = self.worker.run, self.engine
        check_accepts(self.store, run.puzzle_set, run.puzzle_set_sha256)
        folder = parts_folder(self.store, run.run_id, self.parts)
        # Asked by one for all: the others may come when the run is published already.
        is_published, has_layers = engine.word(lambda: _published(self.store, run.run_id))
        probed = self._probed() if lens and not has_layers else None
        if is_published and probed is None:
            if engine.is_lead:
                remove_leftovers(folder)
                remove_unfinished(self.store)
                _say(f"{self.store} holds this run already; nothing to do.")
                self._say_where_scores_are()
            return run.run_id
        if is_published and engine.is_lead:
            _say(f"{self.store} holds this run without lens; its puzzles are read again.")
            self._say_where_scores_are()
        self.worker.locate()
        ids = tuple(puzzle.puzzle_id for puzzle in self.puzzles)
        shards = Shards(folder, ids, with_lens=probed is not None)
        with shards.held() if engine.is_lead else nullcontext():
            with shards.watched((UnsupportedModelError,) if engine.is_alone else ()):
                states = self._scored(shards)
                if not engine.is_lead:
                    return run.run_id
                answers = self._answers(shards, states, probed)
                with closing(answers.qk):
                    if is_published:
                        add_layers(self.store, run, answers)
                    else:
                        self._publish(answers, with_texts)
            remove(folder)
        return run.run_id

    def _say_where_scores_are(self) -> None:
        """Of a run that is there, where that is not where they are asked for."""
        with ResultStore.open(self.store) as store:
            if self.external_scores and not is_beside(store, self.worker.run.run_id):
                _say(
                    "Its raw scores are inside the store and stay there: --external-scores is for "
                    "runs that are still to be scored. To have them outside, score into another "
                    "--store."
                )

    def _probed(self) -> frozenset[str] | None:
        """Puzzles that are probed; None, and a sentence, where the model has no lens."""
        try:
            return self.worker.read_layers()
        except UnsupportedModelError as error:
            if self.engine.is_lead:
                _say(f"{error}; it is scored without lens and probes.")
            return None

    def _scored(self, shards: Shards) -> States:
        """Write the parts that are missing; returns the states that were read on the way."""
        engine, states = self.engine, States()
        before = shards.stamps()
        missing = engine.word(shards.missing)
        n_all = len(shards.puzzle_ids)
        n_before = n_all - shards.n_puzzles(missing)
        with Progress(
            n_all,
            n_before,
            "puzzle",
            is_shown=self.show_progress and engine.is_lead,
            log=self.log if engine.is_lead else None,
            accuracy=RunningAccuracy(self.puzzles, self.worker.run.layers_with_heads),
            among=self.among,
        ) as progress:

            def note(why: str, index: int | None) -> None:
                shards.note_failure(why, index)
                progress.event("failed", part=index, why=why)

            for index, part, found in engine.done(missing, note):
                shards.write(index, part)
                states |= found
                progress.count(part)
                if engine.is_alone:
                    progress.add(len(part.puzzle_ids))
                else:
                    progress.reach(n_before + shards.n_new(missing, before))
                progress.event("part", part=index, seconds=round(part.seconds, 3))
            states = engine.gathered(states)
            if engine.is_lead:
                progress.reach(n_all)
        return states

    def _answers(self, shards: Shards, states: States, probed: frozenset[str] | None) -> Answers:
        """What heads and model say, from all parts; with what is read after each layer if asked."""
        puzzles = self.puzzles
        # A file to publish through lies on this machine, wherever the parts are.
        spool = None if isinstance(shards.folder, Path) else self.store.parent
        answers = collect(self.worker.run, puzzles, shards.paths(), spool)
        if probed is None:
            return answers
        if again := probed - set(states):
            _say(
                f"{len(again):,} puzzles that were scored before are read again for the probes: "
                "hidden states are not kept in files."
            )
            states |= self.worker.states(again)
        places = [at for at, one in enumerate(puzzles) if one.puzzle_id in states]
        kept = [states[puzzles[at].puzzle_id] for at in places]
        return replace(answers, probes=probe_answers(answers.puzzles, np.array(places), kept))

    def _publish(self, answers: Answers, with_texts: bool) -> None:
        """Put a run into the store that is not there yet."""
        run = self.worker.run
        if run.scores == "float16":
            answers, effect = halved(answers)
            _say(f"{effect}.")
        has_test = any(puzzle.split == "test" for puzzle in self.puzzles)
        example = None
        # The example shows one key and a query a candidate.
        is_shown = with_texts and has_test and roles_named(run.template) == "answer"
        if is_shown and (best := answers.best_head):
            example = self.worker.example(*best)
        publish(self.store, run, self.puzzles, answers, with_texts, example, self.external_scores)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _published(store: Path, run_id: str) -> list[int]:
    """(1 or 0) whether the store holds the run, and whether with what is read after each layer."""
    if not store.exists():
        return [0, 0]
    with ResultStore.open(store) as opened:
        is_there = run_id in set(opened.runs()["run_id"])
        return [int(is_there), int(is_there and opened.has_layers(run_id))]


def _check_input(puzzles: Sequence[Puzzle], max_batch_tokens: int | None) -> None:
    if max_batch_tokens is not None and max_batch_tokens < 1:
        raise InputError(f"{max_batch_tokens} tokens a batch hold nothing; give 1 or more")
    parent_of(puzzles)  # one, or none
    for puzzle in puzzles:
        if puzzle.answer is None:
            raise PuzzleError(
                f"puzzle {puzzle.puzzle_id!r} has no answer, so nothing can be counted right; give "
                "its answer or leave it out"
            )
