"""How long publishing takes, how much memory, how large the store is, and how fast it answers.

    python -m tests.bench.bench_publish [--puzzles N --layers N --heads N] [--folder FOLDER]
        [--scores float16] [--external] [--without-pages] [--profile FILE]

Makes the parts of a run that guesses (kept in the folder for the next time where one is named),
publishes them in a process of its own, and asks the new store what pages ask: the slowest queries
of every page are printed.
"""

import argparse
import cProfile
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from qkcore.puzzles.puzzle import Puzzle
from qkcore.results import counting
from qkcore.results.beside import scores_folder
from qkcore.results.parts import PART_SIZE, Part, n_parts, part_path, write_part
from qkcore.results.publish import Run, collect, publish
from qkcore.results.reader import Reader
from tests.bench.bench_app import PAGES, ROOT
from tests.stores import guessing_puzzles, planted_run

ALLOWED = 50  # ms of a query


def made_parts(folder: Path, puzzles: list[Puzzle], n_heads: int) -> list[Path]:
    """Parts of heads that guess; those that lie there are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, paths = np.random.default_rng(0), []
    for index in range(n_parts(len(puzzles))):
        paths.append(part_path(folder, index))
        if paths[-1].exists():
            continue
        own = puzzles[index * PART_SIZE : (index + 1) * PART_SIZE]
        qk = rng.standard_normal((len(own), n_heads, 2), dtype=np.float32)
        logits = rng.standard_normal((len(own), 2), dtype=np.float32)
        write_part(paths[-1], Part(tuple(one.puzzle_id for one in own), qk, logits, seconds=1.0))
    return paths


def the_run(options: argparse.Namespace, puzzles: list[Puzzle]) -> Run:
    """The run that the parts are of."""
    return planted_run(
        puzzles,
        run_id="guess",
        puzzle_set="guess",
        n_layers=options.layers,
        n_heads=options.heads,
        n_kv_heads=options.heads // 8 or 1,
        scores=options.scores,
    )


def published(options: argparse.Namespace) -> dict[str, float]:
    """Publish as `precompute` does; seconds, and the most MiB that were resident."""
    puzzles = guessing_puzzles(options.puzzles)
    run, store = the_run(options, puzzles), options.folder / "big.duckdb"
    store.unlink(missing_ok=True)
    parts = made_parts(options.folder / "parts", puzzles, options.layers * options.heads)
    start, before = time.perf_counter(), time.process_time()
    answers = collect(run, puzzles, parts)
    collected = time.perf_counter()
    if options.scores == "float16":
        answers, _ = counting.halved(answers)
    publish(store, run, puzzles, answers, **({"is_beside": True} if options.external else {}))
    done = time.perf_counter()
    memory = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    files = [store, *scores_folder(store, run.run_id).glob("*")]
    width = 2 if options.scores == "float16" else 4
    raw = options.puzzles * options.layers * options.heads * 2 * width
    return {
        "collecting, s": round(collected - start, 1),
        "all, s": round(done - start, 1),
        "of a processor, s": round(time.process_time() - before, 1),
        "resident at most, MiB": int(memory) // 1024,
        "store, MB": round(files[0].stat().st_size / 1e6, 1),
        "share of raw scores": round(sum(file.stat().st_size for file in files) / raw, 4),
    }


@contextmanager
def named_queries():
    """A list that grows by (seconds, SQL) of each query while open."""
    asked: list[tuple[float, str]] = []
    usual = Reader._answered

    def timed(self, form, sql, parameters):
        start = time.perf_counter()
        answer = usual(self, form, sql, parameters)
        asked.append((time.perf_counter() - start, " ".join(sql.split())))
        return answer

    Reader._answered = timed
    try:
        yield asked
    finally:
        Reader._answered = usual


def slowest_queries(store: Path) -> None:
    """Print of every page how long it takes, and its slowest queries."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    os.environ["QKSCOPE_STORE"] = str(store)
    for page in PAGES:
        at = AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=600)
        at.run()
        with named_queries() as asked:
            st.cache_data.clear()
            st.cache_resource.clear()
            start = time.perf_counter()
            at = (at if page == PAGES[0] else at.switch_page(str(ROOT / page))).run()
            spent = time.perf_counter() - start
        said = [one.value for one in at.error] + [one.value for one in at.exception]
        print(f"{page}: {spent:.2f} s, {len(asked)} queries {' '.join(said)}")
        slow = sorted(asked, reverse=True)
        for seconds, sql in [one for one in slow if 1000 * one[0] > ALLOWED] or slow[:1]:
            print(f"    {1000 * seconds:6.1f} ms  {sql[:110]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--puzzles", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--scores", default="float32")
    parser.add_argument("--external", action="store_true")
    parser.add_argument("--without-pages", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--profile", type=Path, help="of cProfile, for pstats")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        profile = cProfile.Profile() if options.profile else None
        with profile or nullcontext():
            print(json.dumps(published(options), indent=1))
        if profile is not None:
            profile.dump_stats(options.profile)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder)
        puzzles = guessing_puzzles(options.puzzles)
        made_parts(options.folder / "parts", puzzles, options.layers * options.heads)
        again = [sys.executable, "-m", "tests.bench.bench_publish", *sys.argv[1:]]
        subprocess.check_call([*again, "--folder", str(options.folder), "--child"])
        if not options.without_pages:
            slowest_queries(options.folder / "big.duckdb")


if __name__ == "__main__":
    main()
