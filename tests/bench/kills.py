"""Runs killed with SIGKILL at random moments: `python -m tests.bench.kills FOLDER [N] [SEED]`.

Each run is killed up to five times, at moments spread over the time that an undisturbed one takes,
and then let through; its store must be that one's, table by table, with nothing beside it. Prints
what each kill met. FOLDER is made; it must not exist.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import torch

from qkcore.attention.load import load_model
from qkcore.bundled import bundled_model
from qkcore.results.parts import PART_SIZE
from tests.same_tables import assert_same_tables
from tests.scoring.killing import begun, in_a_fork, left_in, scored
from tests.scoring.test_precompute import several

KILLS_A_RUN = 5


def met(names: list[str]) -> str:
    """What a kill met, from what it left."""
    if any(name.startswith(".") for name in names):
        return "publishing"
    if any(name.endswith(".tmp") for name in names):
        return "writing a part"
    n_parts = sum(name.endswith(".parquet") for name in names)
    return f"{n_parts} parts there" if n_parts else "nothing done yet"


def is_published(path: Path) -> bool:
    """Whether the second run is in the store."""
    with duckdb.connect(str(path), read_only=True) as store:
        return store.execute("select count(*) from runs").fetchall() == [(2,)]


def main() -> None:
    """Kill, finish, compare."""
    folder = Path(sys.argv[1])
    n_kills, seed = (int(one) for one in [*sys.argv[2:4], *"50 0".split()[len(sys.argv) - 2 :]])
    torch.set_num_threads(1)
    chance, kills = random.Random(seed), Counter[str]()
    folder.mkdir()
    lm, puzzles = load_model(bundled_model()), several(6 * PART_SIZE + 2)
    assert in_a_fork(lambda: begun(lm, puzzles, folder)) == 0
    start = time.monotonic()
    shutil.copy(folder / "first.duckdb", folder / "timed.duckdb")
    assert in_a_fork(lambda: scored(lm, puzzles, folder / "timed.duckdb")) == 0
    whole = time.monotonic() - start
    n_runs = 0
    while kills.total() < n_kills:
        own = folder / f"run{n_runs}"
        own.mkdir()
        path = own / "s.duckdb"
        shutil.copy(folder / "first.duckdb", path)
        for _ in range(KILLS_A_RUN):

            def kill(child: int) -> None:
                time.sleep(chance.uniform(0, whole))
                os.kill(child, signal.SIGKILL)

            if in_a_fork(lambda path=path: scored(lm, puzzles, path), kill) == -signal.SIGKILL:
                kills["clearing up" if is_published(path) else met(left_in(own))] += 1
            if is_published(path):  # killing who finds nothing to do shows nothing
                break
        assert in_a_fork(lambda path=path: scored(lm, puzzles, path)) == 0
        assert_same_tables(path, folder / "whole.duckdb")
        assert left_in(own) == ["s.duckdb"], left_in(own)
        shutil.rmtree(own)
        n_runs += 1
    print(f"an undisturbed run takes {whole:.1f} s; {kills.total()} kills in {n_runs} runs met:")
    for what, n in sorted(kills.items()):
        print(f"  {what}: {n}")
    print("each run ended with the same tables, and nothing beside its store")


if __name__ == "__main__":
    main()
