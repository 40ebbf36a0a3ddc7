"""Score a puzzle set into a store, part by part; an interrupted run goes on where it stopped.

Parts lie in a folder beside the store, named by a hash of everything that changes the numbers, so a
restart with the same settings finds them and one with others does not. Knows nothing of DuckDB:
publishing does.
"""

import fcntl
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from qkcore import InputError
from qkcore.asking.prompts import Prompt
from qkcore.asking.templates import Chat, Template, template_name
from qkcore.attention.load import CausalLM
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, puzzle_set_sha256
from qkcore.puzzles.twin import parent_of
from qkcore.results.counting import halved
from qkcore.results.parts import PART_SIZE, Part, is_done, part_path, write_part
from qkcore.results.publish import Run, check_accepts, collect, publish
from qkcore.results.scores import Scores
from qkcore.results.store import ResultStore
from qkcore.scoring.score import budget_for, prompts_of, score_prompts
from qkcore.scoring.worked_example import worked_example

# The version that last changed a number: part of a run's name, so that newer ones go on with it.
NUMBERS = "0.1.0"


class Interrupted(InputError):
    """The run was stopped; the message says what is kept and how to go on."""


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
) -> str:
    """Score every puzzle and publish the run; returns its run_id.

    Without texts, the store gets the puzzles' ids, difficulties and answers only. Raw scores are
    kept as "float32" or "float16"; what the latter changes is printed.

    The same call again after an interruption scores only what is missing; after a finished run it
    does nothing.

    Raises:
        PuzzleError, StoreError, UnsupportedModelError: before anything is scored, where that can be
            known.
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
    store = Path(store)
    settings = _describe(lm, puzzles, puzzle_set, rope, template, scores)
    check_accepts(store, puzzle_set, settings.puzzle_set_sha256)
    _check_input(puzzles, max_batch_tokens)
    if _is_published(store, settings.run_id):
        print(f"{store} holds this run already; nothing to do.", file=sys.stderr)
        return settings.run_id
    # Every puzzle is known to fit before the first is scored.
    prompts = prompts_of(lm, puzzles, template)
    folder = store.with_name(store.name + ".parts") / settings.run_id
    with only_worker(folder):
        try:
            parts = _score_parts(lm, prompts, folder, rope, max_batch_tokens, show_progress)
            answers = collect(settings, puzzles, parts)
            if scores == "float16":
                answers, effect = halved(answers)
                print(f"{effect}.", file=sys.stderr)
            has_test = any(puzzle.split == "test" for puzzle in puzzles)
            example = None
            if with_texts and has_test and (best := answers.best_head):
                example = worked_example(lm, prompts, *best, rope)
            publish(store, settings, puzzles, answers, with_texts, example)
        except KeyboardInterrupt:
            n_kept = len(list(folder.glob("part-*.parquet"))) * PART_SIZE
            raise Interrupted(
                f"stopped; {min(n_kept, len(puzzles)):,} of {len(puzzles):,} puzzles are scored "
                f"and kept in {folder}. Run the same command again to go on."
            ) from None
        shutil.rmtree(folder)
    with suppress(OSError):  # not empty: another run's parts are in it
        folder.parent.rmdir()
    return settings.run_id


def _describe(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    puzzle_set: str,
    rope: str,
    template: Template | None,
    scores: str,
) -> Run:
    decisive = {
        "model_revision": lm.revision,
        "dtype": lm.dtype,
        "puzzle_set_sha256": puzzle_set_sha256(puzzles),
        "rope": rope,
        "template": template_name(template),
    }
    names = {
        "model": lm.name,
        "puzzle_set": puzzle_set,
        "version": NUMBERS,
        "part_size": PART_SIZE,
    }
    if scores != "float32":
        names["scores"] = scores
    # A chat's words may lie in a file outside of the revision, or hold a date.
    if isinstance(template, Chat) and puzzles:
        text = template.prompt_text(lm.tokenizer, puzzles[0]).text
        names["chat"] = f"{lm.tokenizer.chat_template} {text}"
    key = hashlib.sha256(json.dumps(decisive | names, sort_keys=True).encode()).hexdigest()[:8]
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{lm.name} {puzzle_set} {rope}").strip("-.").lower()
    return Run(
        run_id=f"{slug[:80]}-{key}",
        model=lm.name,
        puzzle_set=puzzle_set,
        n_layers=lm.geometry.n_layers,
        n_heads=lm.geometry.n_heads,
        n_kv_heads=lm.geometry.n_kv_heads,
        scores=scores,
        head_layers=lm.geometry.head_layers if lm.geometry.has_absent_layers else None,
        **decisive,
    )


def _is_published(store: Path, run_id: str) -> bool:
    if not store.exists():
        return False
    with ResultStore.open(store) as opened:
        return run_id in set(opened.runs()["run_id"])


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


@contextmanager
def only_worker(folder: Path) -> Iterator[None]:
    """Hold the run's folder; a second process on the same run is turned away."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another process is scoring this run in {folder}; wait for it, or stop it"
            ) from None
        yield


def _score_parts(
    lm: CausalLM,
    prompts: Sequence[Prompt],
    folder: Path,
    rope: str,
    max_batch_tokens: int | None,
    show_progress: bool,
) -> list[Path]:
    """Write the parts that are missing; returns where all of them are."""
    starts = range(0, len(prompts), PART_SIZE)
    slices = [prompts[start : start + PART_SIZE] for start in starts]
    paths = [part_path(folder, index) for index in range(len(slices))]
    missing = [
        index
        for index, part in enumerate(slices)
        if not is_done(paths[index], [prompt.puzzle.puzzle_id for prompt in part])
    ]
    n_all = len(prompts)
    n_done = n_all - sum(len(slices[index]) for index in missing)
    if n_done:
        print(f"{n_done:,} of {n_all:,} puzzles were scored before; going on.", file=sys.stderr)
    # Shared by all parts: memory that ran out once is not tried again.
    budget = budget_for(lm, max_batch_tokens)
    with tqdm(total=n_all, initial=n_done, unit="puzzle", disable=not show_progress) as progress:
        for index in missing:
            start = time.monotonic()
            scores = list(score_prompts(lm, slices[index], rope=rope, max_batch_tokens=budget))
            write_part(paths[index], part_of(scores, time.monotonic() - start))
            progress.update(len(scores))
    return paths


def part_of(scores: Sequence[Scores], seconds: float) -> Part:
    """Scores of puzzles as the arrays that a part holds; candidates that a puzzle lacks are NaN."""
    n_layers, n_heads, _ = scores[0].qk.shape
    most = max(len(one.logits) for one in scores)
    qk = np.full((len(scores), n_layers * n_heads, most), np.nan, dtype=np.float32)
    logits = np.full((len(scores), most), np.nan, dtype=np.float32)
    for index, one in enumerate(scores):
        n_candidates = len(one.logits)
        qk[index, :, :n_candidates] = one.qk.reshape(-1, n_candidates)
        logits[index, :n_candidates] = one.logits
    return Part(tuple(one.puzzle.puzzle_id for one in scores), qk, logits, seconds)
