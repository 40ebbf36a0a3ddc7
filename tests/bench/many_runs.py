"""A store of very many runs, made by script, and how long its results matrix takes.

python -m tests.bench.many_runs STORE [N_MODELS N_SETS]

Every model has a run on every set, each set with its twin, all with heads that guess, some with a
planted one. One small run is scored and counted in earnest a set; the others are its copies under
other names and dates, with evidence of their own made from its numbers, for a page reads of them
what it reads of real ones. Prints what `summaries` and `matrix_of` take on the fresh store, and
what each page takes there and on the demo store: its script when nothing is cached, and a rerun.
"""

import json
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np

from qkcore.puzzles.puzzle import puzzle_set_sha256
from qkcore.results.matrix import matrix_of
from qkcore.results.publish import keep_evidence
from qkcore.results.store import ResultStore
from qkcore.results.summaries import story, summaries
from tests.bench.bench_app import DEMO, PAGES, page_times
from tests.stores import planted_puzzles, planted_run, planted_scores, publish_parts, write_parts

WORK = "script's work"
SIZES = ("135M", "360M", "0.6B", "1.7B", "4B", "8B", "14B", "32B")
FAMILIES = ("SmolLM2", "Qwen3", "Llama-3.2", "gemma-3", "OLMo-2")


def model_names(n: int) -> list[str]:
    """Names as people have them, all different.

    >>> model_names(2)
    ['org/SmolLM2-135M-Instruct', 'org/SmolLM2-360M-Instruct']
    """
    names = [f"org/{family}-{size}-Instruct" for family in FAMILIES for size in SIZES]
    return [*names, *(f"org/other-{number}" for number in range(len(names), n))][:n]


def many_runs(path: Path, n_models: int = 40, n_sets: int = 12) -> Path:
    """A store of n_models x n_sets runs; every second set is the twin of the one before."""
    for number in range(n_sets):
        parent = number - number % 2
        puzzles = planted_puzzles(60 + parent)
        if number % 2:
            sha = puzzle_set_sha256(puzzles)
            puzzles = [replace(one, parent=sha, context=f"Twin. {one.context}") for one in puzzles]
        run = planted_run(
            puzzles,
            run_id=f"m0-s{number}",
            model=model_names(1)[0],
            puzzle_set=f"set-{parent}{'-twin' if number % 2 else ''}",
        )
        scores = planted_scores(puzzles, seed=number)
        parts = write_parts(path.with_suffix(f".parts{number}"), puzzles, *scores)
        publish_parts(path, run, puzzles, parts)
    _copied(path, model_names(n_models)[1:])
    return path


def _copied(path: Path, models: list[str]) -> None:
    """The first model's runs under the names of the others, with other numbers as evidence."""
    rng = np.random.default_rng(0)
    with closing(duckdb.connect(str(path))) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "select distinct table_name from duckdb_columns() where column_name = 'run_id' "
                "and table_name in (select table_name from duckdb_tables())"
            ).fetchall()
        ]
        for number, model in enumerate(models, start=1):
            for table in tables:
                own = {"run_id": f"replace(run_id, 'm0-', 'm{number}-')"}
                if table == "runs":
                    own |= {
                        "model": f"'{model}'",
                        "created_at": f"created_at - interval {number} day",
                    }
                if table == "evidence":
                    own["twin_run"] = f"replace(twin_run, 'm0-', 'm{number}-')"
                replaced = ", ".join(f"{sql} as {name}" for name, sql in own.items())
                connection.execute(
                    f"insert into {table} select * replace ({replaced}) from {table} "
                    "where run_id like 'm0-%'"
                )
        rows = connection.execute("select run_id, evidence from evidence").fetchall()
        for run_id, text in rows:
            evidence = json.loads(text)
            shift = float(rng.uniform(-0.4, 0.05))
            for name in ("value", "low", "high"):
                evidence["head"][name] += shift
            connection.execute(
                "update evidence set evidence = ? where run_id = ?", [json.dumps(evidence), run_id]
            )
        connection.execute("checkpoint")


def main() -> None:
    """Make the store if it is not there, and measure."""
    path = Path(sys.argv[1])
    n_models, n_sets = map(int, sys.argv[2:4]) if len(sys.argv) > 3 else (40, 12)
    if not path.exists():
        start = time.perf_counter()
        many_runs(path, n_models, n_sets)
        print(f"made in {time.perf_counter() - start:.1f} s, {path.stat().st_size / 1e6:.0f} MB")
    missing = keep_evidence(path)
    print(f"rows of evidence that were missing or stale: {len(missing)}")
    for look in ("first", "second"):
        start = time.perf_counter()
        with ResultStore.open(path) as store:
            opened = time.perf_counter()
            table = summaries(store)
            told = story(table)
            matrix = matrix_of(table)
        print(
            f"{look} look: opening {1000 * (opened - start):.0f} ms, summaries, story and matrix "
            f"of {len(table)} runs {1000 * (time.perf_counter() - opened):.0f} ms "
            f"({len(matrix.models)} models x {len(matrix.sets)} sets)"
        )
    print(*told)
    print(table["verdict"].value_counts().to_string())
    for page in PAGES:
        told = [f"{page}:"]
        for name, store in (("demo", DEMO), (f"{len(table)} runs", path)):
            times = page_times(store, page)
            told.append(
                f"{name}: script {times['script']:.0f} ms, of work {times[WORK]:.0f} ms "
                f"({times['number of queries']} queries), "
                f"rerun after a click {times['rerun after a click']:.0f} ms;"
            )
        print(*told, flush=True)


if __name__ == "__main__":
    main()
