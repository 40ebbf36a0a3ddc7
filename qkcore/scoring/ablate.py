"""Heads of a scored run switched off, beside control heads: the model's answers into its store.

The run must be in the store: its heads are chosen on validation puzzles, and the answers with heads
off are asked of test puzzles. Parts lie where those of scoring do, so the same call goes on where
it was stopped. Knows nothing of what the answers mean.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import pyarrow as pa

from qkcore import InputError
from qkcore.asking.templates import Template
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import CausalLM
from qkcore.attention.switching import KINDS
from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.counting import CHUNK
from qkcore.results.object_store import Folder
from qkcore.results.parts import PART_SIZE, read_part
from qkcore.results.publish import publish_ablations
from qkcore.results.raw import ablation_logits
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.scoring.answerer import Answerer, AskedModel, Plan
from qkcore.scoring.engines import Engine, engine_of
from qkcore.scoring.head_sets import HeadSet, sets_of
from qkcore.scoring.progress import Progress
from qkcore.scoring.shards import Shards, parts_folder, remove, remove_leftovers

NUMBERS = "0.3.0"  # the version that last changed a number


class Worker(Protocol):
    """What an engine needs to answer a plan; see `Answerer`."""

    @property
    def model(self) -> AskedModel:
        """The model, and how it is asked."""

    def accept(self, plan: Plan) -> int:
        """Know of a plan that it can be carried out, before the first shard."""


def ablate(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    store: str | Path,
    *,
    heads: str = "chosen",
    kind: str = "mean",
    controls: int = 20,
    ks: Sequence[int] | None = None,
    rope: str = "pre",
    template: Template | None = None,
    limit: int | None = None,
    max_batch_tokens: int | None = None,
    show_progress: bool = True,
    engine: str = "local",
    log: str | Path | None = None,
    parts: str | Path | None = None,
) -> str:
    """Ask a run's test puzzles with heads switched off; returns its run_id.

    The same call again after an interruption asks only what is missing; where the store holds all
    of it, it does nothing and says so.

    Args:
        lm: the model of the run.
        puzzles: of the run, all of them.
        store: that holds the run.
        heads: "chosen" for the k heads that are best on validation puzzles, with k each of `ks`;
            "top5" for the five best; or names such as "L15H7,L17H8".
        kind: what takes the place of a head's output, on every token: "mean" over the tokens of
            validation puzzles, "zero", "resample" (the output at a random token of them), or
            "knock-out": the answer's token does not see the statement's end in that head.
        controls: sets of as many random heads of the same layers; fewer where there are no more.
        ks: by default 1, 3, 5 and 10, without those for which a layer has too few heads.
        rope: of the run; decides which heads are chosen, nothing else.
        template: of the run.
        limit: so many test puzzles at most, in whole groups that are spread evenly over the set.
        max_batch_tokens: padded tokens in one pass.
        show_progress: whether to show a bar, or a line a minute where there is no terminal.
        engine: "local", or "torchrun" to share the work with what torchrun started.
        log: a file that gets a line of JSON for what happens.
        parts: a folder, or an address at an object store, where parts lie until all are there; by
            default beside the store.

    Raises:
        InputError, StoreError, UnsupportedModelError: before anything is computed, where that can
            be known.
        Interrupted: on Ctrl-C; finished parts are kept.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import (
    ...     ResultStore, ablate, bundled_model, generate_puzzles, load_model, precompute
    ... )
    >>> lm, puzzles = load_model(bundled_model()), generate_puzzles(steps=1, distractors=0, n=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "results.duckdb")
    ...     run = precompute(lm, puzzles, path, puzzle_set="eight", show_progress=False)
    ...     same = ablate(lm, puzzles, path, ks=[1], kind="zero", show_progress=False)
    ...     with ResultStore.open(path) as store:
    ...         same == run, store.has_ablations(run)
    (True, True)
    """
    _check_input(kind, controls, ks, limit, max_batch_tokens)
    worker = Answerer(lm, puzzles, template=template, max_batch_tokens=max_batch_tokens)
    with engine_of(engine, worker) as crew:
        return ablate_by(
            crew,
            puzzles,
            store,
            worker=worker,
            heads=heads,
            kind=kind,
            controls=controls,
            ks=ks,
            rope=rope,
            limit=limit,
            show_progress=show_progress,
            log=log,
            parts=parts,
        )


def ablate_by(
    engine: Engine,
    puzzles: Sequence[Puzzle],
    store: str | Path,
    *,
    worker: Worker | None = None,
    heads: str = "chosen",
    kind: str = "mean",
    controls: int = 20,
    ks: Sequence[int] | None = None,
    rope: str = "pre",
    limit: int | None = None,
    show_progress: bool = True,
    log: str | Path | None = None,
    parts: str | Path | None = None,
) -> str:
    """`ablate` by an engine that is there already.

    Without a worker, the engine's own know the model: they load it themselves (Ray).
    """
    _check_input(kind, controls, ks, limit, None)
    worker = cast(Worker, engine) if worker is None else worker
    store, model = Path(store), worker.model
    run_id, n_candidates = _run_of(model, puzzles, store, rope)
    sets = sets_of(model, run_id, store, heads, controls, ks)
    places = _asked(puzzles, limit)
    job = _Job(engine, worker, store, run_id, kind, sets, places)
    shown = show_progress and engine.is_lead, None if log is None else Path(log)
    return job.carried_out(puzzles, n_candidates, parts, *shown)


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be answered, by whom, and where it goes."""

    engine: Engine
    worker: Worker
    store: Path
    run_id: str
    kind: str
    sets: Sequence[HeadSet]
    places: np.ndarray  # of the puzzles that are asked

    def carried_out(
        self,
        puzzles: Sequence[Puzzle],
        n_candidates: int,
        parts: str | Path | None,
        is_shown: bool,
        log: Path | None,
    ) -> str:
        """Answer what is missing and publish; returns the run's id."""
        crew = self.engine
        folder = parts_folder(self.store, f"{self.run_id}-{self.kind}-{self._key()}", parts)
        # Asked by one for all: the others may come when the answers are published already.
        if crew.word(lambda: [int(self._is_there())]) == [1]:
            if crew.is_lead:
                remove_leftovers(folder)
                print(
                    f"{self.store} holds the answers with these heads switched off already; "
                    "nothing to do.",
                    file=sys.stderr,
                )
            return self.run_id
        places = tuple(self.places.tolist())
        self.worker.accept(Plan(self.kind, places, tuple(one.heads for one in self.sets)))
        ids = tuple(puzzles[at].puzzle_id for at in places)
        shards = Shards(folder, ids, "answered")
        refusals = (UnsupportedModelError,) if crew.is_alone else ()
        with shards.held() if crew.is_lead else nullcontext():
            with shards.watched(refusals):
                self._fill(shards, is_shown, log if crew.is_lead else None)
                if not crew.is_lead:
                    return self.run_id
                n_sets = len(self.sets)
                logits = _together(shards.paths(), self.places, len(puzzles), n_sets, n_candidates)
                publish_ablations(self.store, self.run_id, _table(self.kind, self.sets, logits))
            remove(folder)
        return self.run_id

    def _key(self) -> str:
        """A hash of all that changes the answers, besides the run."""
        sets = [asdict(one) for one in self.sets]
        settings = {"kind": self.kind, "sets": sets, "places": self.places.tolist()}
        settings |= {"version": NUMBERS, "part_size": PART_SIZE}
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]

    def _is_there(self) -> bool:
        """Whether the store holds the answers to these puzzles with just these heads off."""
        with ResultStore.open(self.store) as opened:
            there = ablation_logits(opened, self.run_id, self.kind)
        asked = {(one.chosen_by, one.k) for one in self.sets}
        found = {
            HeadSet(one.chosen_by, one.k, one.draw, one.heads): np.flatnonzero(
                ~np.isnan(one.logits).all(axis=-1)
            )
            for one in there
            if (one.chosen_by, one.k) in asked
        }
        return found.keys() == set(self.sets) and all(
            np.array_equal(answered, self.places) for answered in found.values()
        )

    def _fill(self, shards: Shards, is_shown: bool, log: Path | None) -> None:
        """Write the parts that are missing; at the leader, wait for those of others."""
        engine, n_sets = self.engine, len(self.sets)
        missing = engine.word(shards.missing)
        n_all = len(shards.puzzle_ids)
        n_done = n_all - shards.n_puzzles(missing)
        with Progress(
            n_all * n_sets, n_done * n_sets, "answer", is_shown=is_shown, log=log
        ) as progress:

            def note(why: str, index: int | None) -> None:
                shards.note_failure(why, index)
                progress.event("failed", part=index, why=why)

            if is_here := isinstance(self.worker, Answerer):
                self.worker.told = progress.add
            for index, part, _ in engine.done(missing, note):
                shards.write(index, part)
                if not is_here:
                    progress.add(len(part.puzzle_ids) * n_sets)
                progress.event("part", part=index, seconds=round(part.seconds, 3))
        engine.gathered({})


def _check_input(
    kind: str,
    controls: int,
    ks: Sequence[int] | None,
    limit: int | None,
    max_batch_tokens: int | None,
) -> None:
    if kind not in KINDS:
        raise InputError(f"kind {kind!r} is not known; use one of {', '.join(KINDS)}")
    if controls < 1:
        raise InputError(f"{controls} control sets say nothing of an effect; give 1 or more")
    for k in sorted(set(ks or ())):
        if k < 1:
            raise InputError(f"k = {k} switches no head off; write numbers from 1 on")
        if list(ks or ()).count(k) > 1:
            raise InputError(f"k = {k} is asked for twice; name each number of heads once")
    if limit is not None and limit < 1:
        raise InputError(f"a limit of {limit} leaves no puzzle; give 1 or more")
    if max_batch_tokens is not None and max_batch_tokens < 1:
        raise InputError(f"{max_batch_tokens} tokens a batch hold nothing; give 1 or more")


def _run_of(
    model: AskedModel, puzzles: Sequence[Puzzle], store: Path, rope: str
) -> tuple[str, int]:
    """The newest run of this model on these puzzles, read and asked like this.

    Returns:
        Its id, and how many candidates its puzzles have at most.

    Raises:
        StoreError: where there is none.
    """
    with ResultStore.open(store) as opened:
        runs = opened.runs()
    wanted = {
        "model_revision": model.revision,
        "dtype": model.dtype,
        "puzzle_set_sha256": puzzle_set_sha256(puzzles),
        "rope": rope,
        "template": model.template,
    }
    is_it = np.logical_and.reduce([runs[name] == value for name, value in wanted.items()])
    if not is_it.any():
        raise StoreError(
            f"{store} holds no run of {model.name} ({model.dtype}) on these puzzles with rope "
            f"{rope} and this template; score them first with `qkscope precompute`"
        )
    newest = runs[is_it].iloc[0]
    return str(newest["run_id"]), int(newest["n_candidates"])


def _asked(puzzles: Sequence[Puzzle], limit: int | None) -> np.ndarray:
    """(asked,) places of the test puzzles that are asked: all, or whole groups spread evenly.

    Raises:
        InputError: where there are no test puzzles.
    """
    groups: dict[str, list[int]] = {}
    for place, puzzle in enumerate(puzzles):
        if puzzle.split == "test":
            groups.setdefault(puzzle.group, []).append(place)
    members = list(groups.values())
    n_test = sum(map(len, members))
    if not members:
        raise InputError("there are no test puzzles to ask; give some the split 'test'")
    n = len(members)
    if limit is not None and limit < n_test:
        n = max(1, limit * n // n_test)
    while True:
        spread = (np.arange(n) * len(members) // n).tolist()
        chosen = sorted(place for index in spread for place in members[index])
        if limit is None or len(chosen) <= limit or n == 1:
            return np.array(chosen)
        n -= 1


def _together(
    paths: Sequence[Folder], places: np.ndarray, n_puzzles: int, n_sets: int, n_candidates: int
) -> np.ndarray:
    """(set, puzzle, candidate) answers of all parts; NaN for puzzles that were not asked."""
    logits = np.full((n_sets, n_puzzles, n_candidates), np.nan, dtype=np.float32)
    start = 0
    for path in paths:
        found = read_part(path).qk
        asked = places[start : start + len(found)]
        logits[:, asked, : found.shape[-1]] = found.swapaxes(0, 1)
        start += len(found)
    return logits


def _table(kind: str, sets: Sequence[HeadSet], logits: np.ndarray) -> pa.Table:
    """Rows of table ablations: each set's answers to some consecutive puzzles."""
    rows = [
        {
            "kind": kind,
            "chosen_by": one.chosen_by,
            "k": one.k,
            "draw": one.draw,
            "layers": [layer for layer, _ in one.heads],
            "heads": [head for _, head in one.heads],
            "first_place": first,
            "logit": answers[first : first + CHUNK].ravel(),
        }
        for one, answers in zip(sets, logits, strict=True)
        for first in range(0, len(answers), CHUNK)
    ]
    return pa.Table.from_pylist(rows)
