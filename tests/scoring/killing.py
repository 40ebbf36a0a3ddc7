"""Runs that are killed with SIGKILL, and finished by the same call: at planted points, or anywhere.

    python -m tests.scoring.killing FOLDER

prints a line of JSON for each planted point. A process of its own, which loads the model once and
forks for each run: pytest's has threads, and what is killed must not be pytest.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from qkcore.attention.load import CausalLM, load_model
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results import parts, publish
from qkcore.results.parts import PART_SIZE
from qkcore.scoring import precompute, scorer
from tests.same_tables import assert_same_tables
from tests.scoring.test_precompute import several

N_PARTS = 3
Call = Callable[[], object]


def killed_before(owner: object, name: str, nth: int = 1) -> None:
    """From now on the nth call of a function kills this process."""
    usual, n_calls = getattr(owner, name), [0]

    def dying(*given: object, **named: object) -> object:
        n_calls[0] += 1
        if n_calls[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*given, **named)

    setattr(owner, name, dying)


POINTS: dict[str, Call] = {
    "a shard is scored": lambda: killed_before(scorer, "score_prompts", 2),
    "a part is half written": lambda: killed_before(parts.pq, "write_table", 2),
    "a part has no name yet": lambda: killed_before(parts.os, "replace", 2),
    "a part has its name": lambda: killed_before(parts, "keep_names", 3),
    "parts are collected": lambda: killed_before(precompute, "collect"),
    "the store is copied": lambda: killed_before(publish, "_write"),
    "tables are written": lambda: killed_before(publish, "_insert", 5),
    "evidence is worked out": lambda: killed_before(publish, "keep_evidence"),
    "the store has not its place yet": lambda: killed_before(publish.os, "replace", N_PARTS + 1),
    "the store has its place": lambda: killed_before(publish, "keep_names"),
    "parts are taken away": lambda: killed_before(Path, "unlink", 5),
    "the folder is empty": lambda: killed_before(Path, "rmdir"),
    "the last folder is left": lambda: killed_before(Path, "rmdir", 2),
}


def in_a_fork(call: Call, until: Callable[[int], object] = lambda _: None) -> int:
    """The exit status of a process that makes the call; `until` is given its number meanwhile."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    until(child)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def scored(lm: CausalLM, puzzles: list[Puzzle], path: Path) -> None:
    """One run into a store."""
    precompute.precompute(lm, puzzles, path, puzzle_set="many", show_progress=False)


def begun(lm: CausalLM, puzzles: list[Puzzle], folder: Path) -> Path:
    """A store with another run, and beside it what an undisturbed run makes of it."""
    first = folder / "first.duckdb"
    precompute.precompute(lm, several(4), first, puzzle_set="few", show_progress=False)
    whole = folder / "whole.duckdb"
    shutil.copy(first, whole)
    scored(lm, puzzles, whole)
    return first


def left_in(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def main() -> None:
    """Kill a run at each point."""
    import torch

    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    lm = load_model(folder / "model")
    puzzles = several((N_PARTS - 1) * PART_SIZE + 2)
    first = folder / "first.duckdb"
    assert in_a_fork(lambda: begun(lm, puzzles, folder)) == 0
    for number, (point, plant) in enumerate(POINTS.items()):
        own = folder / str(number)
        own.mkdir()
        path = own / "s.duckdb"
        shutil.copy(first, path)

        def killed(plant: Call = plant, path: Path = path) -> None:
            plant()
            scored(lm, puzzles, path)

        status = in_a_fork(killed)
        left = left_in(own)
        again = in_a_fork(lambda path=path: scored(lm, puzzles, path))
        assert_same_tables(path, folder / "whole.duckdb")
        row = {"point": point, "status": status, "left": left, "again": again}
        print(json.dumps(row | {"at_last": left_in(own)}))


if __name__ == "__main__":
    main()
