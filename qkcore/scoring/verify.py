"""Whether what is kept of a run is whole, and what the model says when it is asked again.

Parts are hashed anew and compared with what they say of themselves; some are scored again, in the
same batches, so that on the same hardware every bit has to come out the same. Changes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qkcore import InputError
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import Part
from qkcore.results.publish import Run
from qkcore.results.raw import head_scores, model_logits
from qkcore.results.store import ResultStore
from qkcore.scoring.scorer import Scorer
from qkcore.scoring.shards import Shards, parts_folder


def verified(
    worker: Scorer,
    puzzles: Sequence[Puzzle],
    store: Path,
    sample: int,
    parts: str | Path | None = None,
) -> list[str]:
    """Sentences that say what is right of a run, unfinished or in the store.

    Args:
        worker: of the run.
        puzzles: of the run.
        store: that holds the run, or beside which its parts lie.
        sample: how many parts are scored again, spread over the run.
        parts: where else its parts lie, a folder or an address.

    Raises:
        InputError: saying what is wrong, or that there is no such run.
    """
    if sample < 0:
        raise InputError(f"--sample {sample} asks for nothing; give 0 or more")
    run = worker.run
    ids = tuple(puzzle.puzzle_id for puzzle in puzzles)
    shards = Shards(parts_folder(store, run.run_id, parts), ids)
    if shards.folder.is_dir():
        return _of_parts(worker, shards, sample)
    if store.exists():
        with ResultStore.open(store) as opened:
            if run.run_id in set(opened.runs()["run_id"]):
                chosen = _spread(range(len(shards)), sample)
                kept = _kept(opened, run)
                again = _again(worker, [_rows(kept, shards, index) for index in chosen], chosen)
                return [f"{store} holds run {run.run_id}, {len(ids):,} puzzles", again]
    raise InputError(
        f"{store} holds no run {run.run_id}, finished or not; were the settings others?"
    )


def _of_parts(worker: Scorer, shards: Shards, sample: int) -> list[str]:
    """Of a run whose parts lie beside the store."""
    found = [shards.checked(index) for index in range(len(shards))]
    whole = [index for index, one in enumerate(found) if isinstance(one, Part)]
    wrong = [f"{path.name} {one}" for path, one in zip(shards.paths(), found, strict=True)
             if isinstance(one, str) and one]  # fmt: skip
    if wrong:
        raise InputError(
            f"{len(wrong):,} of {len(wrong) + len(whole):,} parts in {shards.folder} will not do: "
            f"{'; '.join(wrong[:5])}{'; ...' if len(wrong) > 5 else ''}. The command that began "
            "the run scores their puzzles again"
        )
    said = (
        f"{shards.folder}: {len(whole):,} of {len(shards):,} parts are there, and each holds what "
        "its hash says"
    )
    chosen = _spread(whole, sample)
    kept = [part for part in (found[index] for index in chosen) if isinstance(part, Part)]
    return [said, _again(worker, [(part.qk, part.logits) for part in kept], chosen)]


def _spread(indices: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly spread.

    >>> _spread(range(10), 2), _spread([4], 2), _spread([], 2)
    ([0, 9], [4], [])
    """
    n = min(most, len(indices))
    return [indices[round(one)] for one in np.linspace(0, len(indices) - 1, n)] if n else []


def _kept(store: ResultStore, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """(puzzle, layer * head, candidate) scores and (puzzle, candidate) logits of a stored run."""
    heads = [(layer, head) for layer in run.layers_with_heads for head in range(run.n_heads)]
    return head_scores(store, run.run_id, heads), model_logits(store, run.run_id)


def _rows(
    kept: tuple[np.ndarray, np.ndarray], shards: Shards, index: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = shards.rows(index)
    return kept[0][rows], kept[1][rows]


def _again(
    worker: Scorer, kept: Sequence[tuple[np.ndarray, np.ndarray]], chosen: Sequence[int]
) -> str:
    """What comes of scoring some parts again.

    Raises:
        InputError: when they differ by more than rounding.
    """
    if not chosen:
        return "no part was scored again"
    n_same, furthest, n_puzzles = 0, 0.0, 0
    for index, was in zip(chosen, kept, strict=True):
        part, _ = worker.shard(index)
        is_half = worker.run.scores == "float16"
        qk = part.qk.astype(np.float16).astype(np.float32) if is_half else part.qk
        n_puzzles += len(qk)
        apart = [_apart(old, new) for old, new in zip(was, (qk, part.logits), strict=True)]
        n_same += max(apart) == 0
        furthest = max(furthest, *apart)
    said = f"{len(chosen)} parts ({n_puzzles:,} puzzles) were scored again"
    if n_same == len(chosen):
        return f"{said}: every bit is the same"
    if furthest > worker.tolerance:
        raise InputError(
            f"{said}, and scores differ by up to {furthest:.1e} of the largest (at most "
            f"{worker.tolerance:.0e} is rounding): they are not this model's, or were changed. "
            "Score the puzzles into another store and compare"
        )
    return (
        f"{said}: {n_same} have the same bits, the others differ by up to {furthest:.1e} of the "
        "largest score, which is rounding (other hardware, or another number of threads)"
    )


def _apart(old: np.ndarray, new: np.ndarray) -> float:
    """The largest difference, as a share of the largest value; infinite where shapes differ.

    >>> _apart(np.array([1.0, np.nan]), np.array([1.5, np.nan]))
    0.5
    """
    n = new.shape[-1]
    if old[..., :n].shape != new.shape or not np.array_equal(np.isnan(old[..., :n]), np.isnan(new)):
        return float("inf")
    difference = np.nanmax(np.abs(old[..., :n] - new), initial=0.0)
    return float(difference / max(np.nanmax(np.abs(old), initial=0.0), 1e-12))
