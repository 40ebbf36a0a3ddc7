"""How long a visitor of "Try a puzzle" waits.

    python -m tests.bench.bench_live [--out FILE.json]

With the bundled model and the demo store, warm, on the server: from the click to the finished page,
in Streamlit's own runner, each time with a puzzle that was not asked before; what-if with five
variants in the same way; and loading the model in a fresh process, torch included. Medians of
several rounds. The bare scoring is measured in the same rounds, so that a busy machine shows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
LOAD = (
    "import time; t = time.perf_counter(); from qkcore.attention.load import load_model; "
    "load_model('data/reference'); print(time.perf_counter() - t)"
)


def waited(at: AppTest) -> AppTest:
    """Look until the worker has answered."""
    while any("…" in box.value for box in at.info):
        time.sleep(0.1)
        at.run()
    assert not at.exception
    return at


def seconds(act) -> float:
    """How long it takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def opened() -> AppTest:
    """The page with its first example scored."""
    at = AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=120)
    at.run()
    return waited(at.switch_page(str(ROOT / "pages/live/try_a_puzzle.py")).run())


def click(at: AppTest, key: str) -> None:
    """Press a button and wait for what it brings."""
    waited(at.button(key=key).click().run())


def rounds(at: AppTest, puzzles: list) -> dict[str, list[float]]:
    """Seconds of each thing, for each puzzle."""
    from qkcore.attention.load import load_model
    from qkcore.scoring.score import score_puzzle

    lm = load_model(ROOT / "data/reference")
    times: dict[str, list[float]] = {"click": [], "what if": [], "rerun": [], "bare": []}
    for puzzle in puzzles:
        at.text_area(key="live context").set_value(puzzle.context)
        at.text_input(key="live statement").set_value(puzzle.statement)
        # Four orders and one negation
        at.multiselect(key="live kinds").set_value(["shuffled", "negated"])
        at.run()
        times["click"].append(seconds(lambda: click(at, "live score")))
        times["what if"].append(seconds(lambda: click(at, "live try")))
        times["rerun"].append(seconds(at.run))
        times["bare"].append(seconds(lambda one=puzzle: score_puzzle(lm, one)))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    from qkcore.puzzles.generate import generate_puzzles

    loads = [
        float(
            subprocess.run(
                [sys.executable, "-c", LOAD], capture_output=True, text=True, check=True, cwd=ROOT
            ).stdout
        )
        for _ in range(3)
    ]
    puzzles = generate_puzzles(2, range(6), 4, int(time.time()))
    times = rounds(opened(), puzzles[: options.rounds])
    figures = {
        "click to finished page, ms": 1_000 * statistics.median(times["click"]),
        "what if with five variants to finished page, ms": 1_000
        * statistics.median(times["what if"]),
        "page drawn again, nothing to score, ms": 1_000 * statistics.median(times["rerun"]),
        "score_puzzle by itself, ms": 1_000 * statistics.median(times["bare"]),
        "click / score_puzzle": statistics.median(times["click"])
        / statistics.median(times["bare"]),
        "torch and model loaded in a fresh process, s": min(loads),
    }
    for name, figure in figures.items():
        print(f"{name}: {figure:.2f}")
    if options.out:
        Path(options.out).write_text(
            json.dumps(figures | {"seconds": times, "loads": loads}, indent=2)
        )


if __name__ == "__main__":
    main()
