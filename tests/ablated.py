"""Stores of tests/stores.py with heads switched off: planted, so what must be said is known."""

from pathlib import Path

import duckdb
import numpy as np

from qkcore.results.raw import model_logits, puzzle_rows
from qkcore.results.store import ResultStore
from tests.stores import PLANTED, planted_store

CHUNK = 256  # places of the puzzle set in a row of the table
Heads = tuple[tuple[int, int], ...]


def ablated_store(path: Path, kind: str = "used", n_groups: int = 160, **changes) -> Path:
    """A store of one run whose planted head is "used" by the model, or "idle".

    With it off, and with three heads off, and 20 draws of controls, who do nothing either way.
    """
    planted_store(path, n_groups, **changes)
    run_id = changes.get("run_id", "planted-1")
    rng = np.random.default_rng(0)
    with ResultStore.open(path) as store:
        plain, puzzles = model_logits(store, run_id), puzzle_rows(store, run_id)
    is_test = (puzzles["split"] == "test").to_numpy()
    for k in (1, 3):
        heads = (PLANTED, (1, 0), (2, 3))[:k]
        off = plain + rng.normal(scale=0.05, size=(21, *plain.shape))
        if kind == "used":
            off[0] = rng.normal(size=plain.shape)
        off[:, ~is_test] = np.nan
        draws = [heads] + [tuple((layer, draw % 2) for layer, _ in heads) for draw in range(20)]
        plant(path, run_id, off, draws)
    return path


def plant(
    path: Path,
    run_id: str,
    off: np.ndarray,
    draws: list[Heads],
    kind: str = "mean",
    chosen_by: str = "top",
) -> None:
    """Put logits into table ablations.

    Args:
        path: of the store.
        run_id: of the run.
        off: (draw, puzzle, candidate) logits; draw 0 is the heads themselves.
        draws: which heads are off in each.
        kind: how they are switched off.
        chosen_by: how they were picked.
    """
    with duckdb.connect(str(path)) as connection:
        for draw, (heads, logits) in enumerate(zip(draws, off.astype(np.float32), strict=True)):
            layers, numbers = ([one[which] for one in heads] for which in (0, 1))
            for first in range(0, len(logits), CHUNK):
                row = [run_id, kind, chosen_by, len(heads), draw, layers, numbers, first]
                values = logits[first : first + CHUNK].ravel().tolist()
                marks = ", ".join("?" * (len(row) + 1))
                connection.execute(f"insert into ablations values ({marks})", [*row, values])
