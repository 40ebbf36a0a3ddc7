"""A protocol carried out on one model: sets, estimate, runs, heads switched off, what is written.

Each run is a `precompute` into OUT/results.duckdb, so the same call goes on where it was stopped.
Who scores is handed in (`Crew`), for engines differ in that. Knows nothing of how a report looks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkcore import InputError
from qkcore.protocol.folder import SETS, STORE
from qkcore.protocol.frozen import Protocol
from qkcore.protocol.sets import PuzzleSet, Sets
from qkcore.puzzles.puzzle import save_puzzles
from qkcore.results.store import ResultStore

if TYPE_CHECKING:
    from qkcore.attention.load import CausalLM

WAIT = 1.0  # seconds between looks for a run that another process publishes


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works, and whether this process speaks for all."""

    score: Callable[[PuzzleSet, Path], str]  # a set into a store; its run's id
    # Heads of a set's run switched off, asked as `ablate` is
    switch_off: Callable[[PuzzleSet, Path, dict[str, Any]], str]
    lm: "CausalLM | None"  # None: workers elsewhere have the model
    engine: str
    is_lead: bool
    batch_tokens: int | None = None
    show_progress: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """What is in the store, and how it came there."""

    sets: Sets
    run_ids: tuple[str, ...]  # of each set
    left_out: tuple[str, ...]  # what the protocol asks for and this engine or model cannot do


def keep_sets(sets: Sets, out: Path) -> None:
    """Put the sets into OUT/sets, so that others can score them too.

    Raises:
        InputError: when the folder cannot be made.
    """
    try:
        (out / SETS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); name another folder") from None
    for one in sets.sets:
        save_puzzles(one.puzzles, out / SETS / f"{one.name}.jsonl")


def carry_out(
    protocol: Protocol, sets: Sets, out: Path, crew: Crew, say: Callable[[str], None]
) -> Done:
    """Score what is missing and switch heads off where the protocol asks for it."""
    store = out / STORE
    missing = _missing(store, sets.sets, crew)
    if missing and crew.lm is not None and crew.is_lead:
        from qkcore.protocol.estimate import estimate

        say(estimate(crew.lm, missing, protocol, crew.batch_tokens).sentence)
    elif missing and crew.is_lead:
        say("Nothing is estimated: the model is with its workers.")
    run_ids = []
    for number, one in enumerate(sets.sets, start=1):
        if crew.is_lead:
            say(f"{number} of {len(sets.sets)}: {one.name}, {len(one.puzzles):,} puzzles")
        run_ids.append(crew.score(one, store))
    left_out = _ablations(protocol, sets.sets, run_ids, store, crew, say)
    return Done(sets, tuple(run_ids), left_out)


def _missing(store: Path, sets: Sequence[PuzzleSet], crew: Crew) -> list[PuzzleSet]:
    """Sets that this model has no finished run on."""
    if not store.exists():
        return list(sets)
    with ResultStore.open(store) as opened:
        runs = opened.runs()
    if crew.lm is not None:
        runs = runs[(runs["model_revision"] == crew.lm.revision) & (runs["dtype"] == crew.lm.dtype)]
    return [one for one in sets if one.sha256 not in set(runs["puzzle_set_sha256"])]


def _ablations(
    protocol: Protocol,
    sets: Sequence[PuzzleSet],
    run_ids: Sequence[str],
    store: Path,
    crew: Crew,
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """Chosen heads switched off; returns what could not be done, in sentences."""
    wanted = [
        (one, run_id)
        for one, run_id in zip(sets, run_ids, strict=True)
        if one.name in protocol.ablation.sets
    ]
    left_out = []
    for one, run_id in wanted:
        if not crew.is_lead:
            _wait_for(store, run_id)
        with ResultStore.open(store) as opened:
            is_done = opened.has_ablations(run_id)
            runs = opened.runs()
            n_heads = int(runs[runs["run_id"] == run_id].iloc[0]["n_heads"])
        if is_done:
            continue
        if crew.is_lead:
            say(f"{one.name}: the chosen head switched off, beside control heads")
        if why := _ablated(protocol, one, store, crew, n_heads):
            left_out.append(f"{one.name}: no heads were switched off: {why}.")
    return tuple(left_out)


def _ablated(
    protocol: Protocol, one: PuzzleSet, store: Path, crew: Crew, n_heads: int
) -> str | None:
    """Why not, where the model does not let its heads be switched off."""
    from qkcore.attention.geometry import UnsupportedModelError

    asked = protocol.ablation
    if n_heads <= asked.n_heads:
        return "a layer has no other heads to compare with"
    settings: dict[str, Any] = {
        "kind": asked.kind,
        "controls": asked.n_controls,
        "ks": [asked.n_heads],
        "rope": protocol.reading,
        "limit": asked.n_test,
        "show_progress": crew.show_progress,
    }
    try:
        crew.switch_off(one, store, settings)
    except UnsupportedModelError as error:
        return str(error)
    return None


def _wait_for(store: Path, run_id: str) -> None:
    """Until the leading process has published the run; torchrun ends this one if that dies."""
    while True:
        if store.exists():
            with ResultStore.open(store) as opened:
                if run_id in set(opened.runs()["run_id"]):
                    return
        time.sleep(WAIT)
