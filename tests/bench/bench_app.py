"""How fast the results pages are.

    python -m tests.bench.bench_app [--big FILE.duckdb] [--out FILE.json]

On the demo store and on one of 10,000 puzzles x 80 layers x 64 heads, which is made first (about a
minute) and kept if --big names where. For each page, in one process: time spent in the store's
queries, time of the script when nothing is cached, and of a rerun after a click on another head
(whose answers are not cached). Then a real server and Chromium: from opening the first page on a
server that has just started to its first chart, and the server's memory after every page. The
figures that hold on any machine are the ratios to one bare query of the big store's counts.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from streamlit.testing.v1 import AppTest

from qkcore.results.reader import Reader
from qkcore.results.store import ResultStore
from tests.stores import guessing_store

ROOT = Path(__file__).parents[2]
RESULTS = "overview head_grid difficulty head_vs_model layers transfer puzzles compare".split()
PAGES = [f"pages/results/{name}.py" for name in RESULTS]
PAGES.append("pages/about/method.py")
DEMO = ROOT / "data" / "qkscope.duckdb"
BIG = (10_000, 80, 64)  # puzzles, layers, heads


@contextmanager
def timed_queries():
    """A list that grows by the seconds of each query while open."""
    spent: list[float] = []
    usual = Reader._answered

    def timed(self, *arguments):
        start = time.perf_counter()
        answer = usual(self, *arguments)
        spent.append(time.perf_counter() - start)
        return answer

    Reader._answered = timed
    try:
        yield spent
    finally:
        Reader._answered = usual


def page_times(store: Path, page: str) -> dict[str, float]:
    """Milliseconds of one page: queries, script (and of a processor's work), rerun, its queries."""
    import streamlit as st

    os.environ["QKSCOPE_STORE"] = str(store)
    at = AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=120)
    at.run()
    with timed_queries() as queries:
        st.cache_data.clear()
        st.cache_resource.clear()  # with the connection go the queries it remembers
        start, busy = time.perf_counter(), time.process_time()
        at = (at if page == PAGES[0] else at.switch_page(str(ROOT / page))).run()
        script, busy = time.perf_counter() - start, time.process_time() - busy
        in_queries, n = sum(queries), len(queries)
        at.number_input(key="layer").set_value(1).run()  # a first click, for warming up
        at.number_input(key="layer").set_value(2)
        queries.clear()
        start = time.perf_counter()
        at.run()
        rerun = time.perf_counter() - start
    if at.exception or at.error:
        raise SystemExit(f"{page}: {at.exception or at.error[0].value}")
    figures = {
        "queries": in_queries,
        "script": script,
        "script's work": busy,
        "rerun after a click": rerun,
        "its queries": sum(queries),
    }
    return {name: 1000 * seconds for name, seconds in figures.items()} | {"number of queries": n}


def bare_query(store: Path) -> float:
    """Milliseconds for the counts of every head, best of five: what one page cannot do without."""
    best = float("inf")
    kept = ResultStore.kept(store)
    run_id = kept.runs()["run_id"].iloc[0]
    for _ in range(5):
        kept._answer.cache_clear()
        start = time.perf_counter()
        kept.head_accuracy(run_id, "test")
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def cold_server(store: Path) -> dict[str, float]:
    """Seconds from opening the head grid to its first chart, and MiB after every page.

    On a server that has just started.
    """
    from playwright.sync_api import sync_playwright

    from tests.pages.test_browser import CHROMIUM, PATHS, QUIET, server_on, settle

    if CHROMIUM is None:
        print("no Chromium here: cold start and memory are left out")
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        browser.new_page().close()
        with server_on(store) as address:
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(f"{address}/head-grid")
            page.wait_for_selector("[data-testid='stVegaLiteChart'] :is(canvas, svg)")
            first_chart = time.perf_counter() - start
            for path in PATHS:
                page.goto(address + path)
                settle(page)
            memory, has_torch = memory_of(int(address.rsplit(":", 1)[1]))
        browser.close()
    return {
        "first chart on a cold server, s": first_chart,
        "memory after every page, MiB": memory,
        "torch loaded": has_torch,
    }


def memory_of(port: int) -> tuple[float, bool]:
    """(MiB resident, whether torch is loaded) of the server that was started on the port."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().split(b"\0")
            if b"streamlit" in line and str(port).encode() in line:
                status = (process / "status").read_text()
                resident = next(row for row in status.splitlines() if row.startswith("VmRSS"))
                return int(resident.split()[1]) / 1024, "libtorch" in (process / "maps").read_text()
        except OSError:
            continue
    raise SystemExit(f"no server on port {port}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--big",
        type=Path,
        help="the large store; made if it is not there (default: a temporary file)",
    )
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    folder = tempfile.mkdtemp()
    big = options.big or Path(folder) / "big.duckdb"
    if not big.exists():
        print("making the large store ...", flush=True)
        guessing_store(big, *BIG)
    figures = {}
    for name, store in (("demo", DEMO), ("big", big)):
        bare = bare_query(store)
        print(f"\n{name} store; one bare query of every head's counts: {bare:.1f} ms")
        figures[name] = {"bare query": bare}
        for page in PAGES:
            times = page_times(store, page)
            figures[name][page] = times | {"queries / bare query": times["queries"] / bare}
            print(f"{page}: " + ", ".join(f"{what} {value:.0f}" for what, value in times.items()))
        figures[name]["server"] = cold_server(store)
        for what, value in figures[name]["server"].items():
            print(f"{what}: {value:.1f}" if not isinstance(value, bool) else f"{what}: {value}")
    shutil.rmtree(folder)
    if options.out:
        Path(options.out).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
