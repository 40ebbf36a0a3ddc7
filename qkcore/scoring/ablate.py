"""Heads of a scored run switched off, beside control heads: the model's answers into its store.

The run must be in the store: its heads are chosen on validation puzzles, and the answers with heads
off are asked of test puzzles. Parts lie where those of scoring do, so the same call goes on where
it was stopped. Knows nothing of what the answers mean.
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from qkcore import InputError
from qkcore.asking.prompts import Prompt
from qkcore.asking.templates import Template, template_name
from qkcore.attention.load import CausalLM
from qkcore.attention.switching import KINDS, Head
from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.counting import CHUNK
from qkcore.results.object_store import Folder
from qkcore.results.parts import PART_SIZE, Part, read_part
from qkcore.results.publish import publish_ablations
from qkcore.results.raw import ablation_logits
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.scoring.engines import Engine, engine_of
from qkcore.scoring.interventions import Interventions, check_heads
from qkcore.scoring.progress import Progress
from qkcore.scoring.replacing import replacements_of
from qkcore.scoring.score import budget_for, prompts_of
from qkcore.scoring.scorer import States
from qkcore.scoring.shards import Shards, parts_folder, remove, remove_leftovers
from qkcore.statistics.control_heads import control_heads
from qkcore.wording import head_name

NUMBERS = "0.3.0"  # the version that last changed a number
KS = (1, 3, 5, 10)


@dataclass(frozen=True, slots=True)
class HeadSet:
    """Heads that are switched off together: a row of table ablations, less its answers."""

    chosen_by: str  # "chosen": the best on validation; "top": the k best; "named"
    k: int
    draw: int  # 0: the heads themselves; from 1: control heads
    heads: tuple[Head, ...]


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
    store = Path(store)
    _check_input(kind, controls, ks, limit, max_batch_tokens)
    run_id, n_candidates = _run_of(lm, puzzles, store, rope, template)
    sets = _sets_of(lm, run_id, store, heads, controls, ks)
    validation = [puzzle for puzzle in puzzles if puzzle.split == "validation"]
    places = _asked(puzzles, limit)
    prompts = prompts_of(lm, [puzzles[place] for place in places], template)
    settings = {"kind": kind, "sets": [asdict(one) for one in sets], "places": places.tolist()}
    settings |= {"version": NUMBERS, "part_size": PART_SIZE}
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]
    folder = parts_folder(store, f"{run_id}-{kind}-{key}", parts)
    shards = Shards(folder, tuple(one.puzzle.puzzle_id for one in prompts), "answered")
    layers = {layer for one in sets for layer, _ in one.heads}
    answerer = _Answerer(prompts, [one.heads for one in sets])
    with engine_of(engine, answerer) as crew:
        # Asked by one for all: the others may come when the answers are published already.
        if crew.word(lambda: [int(_is_there(store, run_id, kind, sets, places))]) == [1]:
            if crew.is_lead:
                remove_leftovers(folder)
                print(
                    f"{store} holds the answers with these heads switched off already; nothing to "
                    "do.",
                    file=sys.stderr,
                )
            return run_id
        with shards.held() if crew.is_lead else nullcontext():
            with shards.watched():
                changed = replacements_of(lm, validation, kind, template=template, layers=layers)
                answerer.asked = Interventions(lm, changed, budget_for(lm, max_batch_tokens))
                _fill(crew, answerer, shards, show_progress, None if log is None else Path(log))
                if not crew.is_lead:
                    return run_id
                logits = _together(shards.paths(), places, len(puzzles), len(sets), n_candidates)
                publish_ablations(store, run_id, _table(kind, sets, logits))
            remove(folder)
    return run_id


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
    for k in set(ks or ()):
        if list(ks or ()).count(k) > 1:
            raise InputError(f"k = {k} is asked for twice; name each number of heads once")
    if limit is not None and limit < 1:
        raise InputError(f"a limit of {limit} leaves no puzzle; give 1 or more")
    if max_batch_tokens is not None and max_batch_tokens < 1:
        raise InputError(f"{max_batch_tokens} tokens a batch hold nothing; give 1 or more")


def _run_of(
    lm: CausalLM, puzzles: Sequence[Puzzle], store: Path, rope: str, template: Template | None
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
        "model_revision": lm.revision,
        "dtype": lm.dtype,
        "puzzle_set_sha256": puzzle_set_sha256(puzzles),
        "rope": rope,
        "template": template_name(template),
    }
    is_it = np.logical_and.reduce([runs[name] == value for name, value in wanted.items()])
    if not is_it.any():
        raise StoreError(
            f"{store} holds no run of {lm.name} ({lm.dtype}) on these puzzles with rope {rope} and "
            "this template; score them first with `qkscope precompute`"
        )
    newest = runs[is_it].iloc[0]
    return str(newest["run_id"]), int(newest["n_candidates"])


def _sets_of(
    lm: CausalLM,
    run_id: str,
    store: Path,
    heads: str,
    controls: int,
    ks: Sequence[int] | None,
) -> list[HeadSet]:
    """The heads to switch off, each set followed by its controls."""
    found: list[HeadSet] = []
    for chosen_by, off in _picked(lm, run_id, store, heads, ks):
        check_heads(lm, [off])
        try:
            drawn = control_heads(off, lm.geometry.n_heads, controls)
        except InputError as error:
            if ks is not None or heads != "chosen":
                raise
            print(f"k = {len(off)} is left out: {error}.", file=sys.stderr)
            continue
        found += [HeadSet(chosen_by, len(off), draw, one) for draw, one in enumerate([off, *drawn])]
    if not found:
        raise InputError("no heads are left to switch off; give smaller numbers with --k")
    return found


def _picked(
    lm: CausalLM, run_id: str, store: Path, heads: str, ks: Sequence[int] | None
) -> list[tuple[str, tuple[Head, ...]]]:
    """How heads were picked, and which; see `ablate`.

    Raises:
        InputError: where the words are not understood, or there are not so many heads.
    """
    top = re.fullmatch(r"top(\d+)", heads)
    if ks is not None and heads != "chosen":
        raise InputError(f"--k goes with --heads chosen; heads {heads!r} are so many already")
    if heads != "chosen" and top is None:
        return [("named", named_heads(heads))]
    numbers = [int(top[1])] if top is not None else list(ks or KS)
    n_all = len(lm.geometry.head_layers) * lm.geometry.n_heads
    if ks is None and top is None:
        numbers = [k for k in numbers if k <= n_all]
    for k in numbers:
        if not 1 <= k <= n_all:
            raise InputError(f"{lm.name} has {n_all:,} heads, so there are no {k} best of them")
    with ResultStore.open(store) as opened:
        best = opened.selected(run_id, max(numbers))
    if not best:
        raise InputError(
            "the run has no validation puzzles to choose heads on; name heads, such as --heads L3H1"
        )
    return [("chosen" if k == 1 else "top", tuple(best[:k])) for k in numbers]


def named_heads(text: str) -> tuple[Head, ...]:
    """Heads as people name them.

    Raises:
        InputError: where a name is none, or comes twice.

    >>> named_heads("L15H7, L17 H8")
    ((15, 7), (17, 8))
    """
    found = []
    for name in text.split(","):
        match = re.fullmatch(r"\s*L(\d+)\s*H(\d+)\s*", name, re.IGNORECASE)
        if match is None:
            raise InputError(
                f"{name.strip()!r} names no head; write chosen, top5, or heads such as L15H7,L17H8"
            )
        head = int(match[1]), int(match[2])
        if head in found:
            raise InputError(f"{head_name(*head)} is named twice; name each head once")
        found.append(head)
    return tuple(found)


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


def _is_there(
    store: Path, run_id: str, kind: str, sets: Sequence[HeadSet], places: np.ndarray
) -> bool:
    """Whether the store holds the answers to these puzzles with just these heads switched off."""
    with ResultStore.open(store) as opened:
        there = ablation_logits(opened, run_id, kind)
    asked = {(one.chosen_by, one.k) for one in sets}
    found = {
        HeadSet(one.chosen_by, one.k, one.draw, one.heads): np.flatnonzero(
            ~np.isnan(one.logits).all(axis=-1)
        )
        for one in there
        if (one.chosen_by, one.k) in asked
    }
    return found.keys() == set(sets) and all(
        np.array_equal(answered, places) for answered in found.values()
    )


class _Answerer:
    """What works on the shards: some puzzles' answers, with each set of heads off."""

    def __init__(self, prompts: Sequence[Prompt], off: Sequence[Sequence[Head]]) -> None:
        self._prompts, self._off = prompts, off
        self.asked: Interventions | None = None  # before the first shard
        self.told: Callable[[int], object] = lambda _: None  # how many more answers there are

    def shard(self, index: int) -> tuple[Part, States]:
        """One shard's part: one of scores, with a set of heads where that has a head."""
        if self.asked is None:
            raise TypeError("no interventions were given")
        start = time.monotonic()
        prompts = self._prompts[index * PART_SIZE : (index + 1) * PART_SIZE]
        answers = self.asked.answers(prompts, self._off, self.told)
        ids = tuple(prompt.puzzle.puzzle_id for prompt in prompts)
        return Part(ids, answers.swapaxes(0, 1), answers[0], time.monotonic() - start), {}

    @property
    def n_sets(self) -> int:
        """How many answers a puzzle has."""
        return len(self._off)


def _fill(
    engine: Engine, answerer: _Answerer, shards: Shards, show_progress: bool, log: Path | None
) -> None:
    """Write the parts that are missing; at the leader, wait for those of others."""
    missing = engine.word(shards.missing)
    n_all = len(shards.puzzle_ids)
    n_sets = answerer.n_sets
    n_done = n_all - shards.n_puzzles(missing)
    is_shown = show_progress and engine.is_lead
    log = log if engine.is_lead else None
    with Progress(
        n_all * n_sets, n_done * n_sets, "answer", is_shown=is_shown, log=log
    ) as progress:
        answerer.told = progress.add
        for index, part, _ in engine.done(missing, shards.note_failure):
            shards.write(index, part)
            progress.event("part", part=index, seconds=round(part.seconds, 3))
    engine.gathered({})


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
