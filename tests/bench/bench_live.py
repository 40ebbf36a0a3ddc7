"""How long a visitor of "Try a puzzle" waits.

    python -m tests.bench.bench_live [--real] [--rounds N] [--out FILE.json]

With the bundled model (or SmolLM2, `--real`) and the demo store, warm, on the server: from the
click to the finished page, in Streamlit's own runner, each time with a puzzle that was not asked
before; what-if with a few and with all kinds of changes in the same way; the head in view switched
off, beside others of its layer; and loading the model in a fresh process, torch included. Medians
of several rounds. The bare scoring is measured in the same rounds, so that a busy machine shows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
LOAD = (
    "import time; t = time.perf_counter(); from qkcore.attention.load import load_model; "
    "load_model({model!r}); print(time.perf_counter() - t)"
)
FEW, MANY = ["shuffled", "negated"], ["negated", "dropped", "distractors", "shuffled", "renamed"]


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


def rounds(at: AppTest, puzzles: list, model: str) -> dict[str, list[float]]:
    """Seconds of each thing, for each puzzle."""
    from qkcore.attention.load import load_model
    from qkcore.puzzles.variants import variants
    from qkcore.scoring.score import prompts_of, score_puzzle

    lm = load_model(model)
    names = ("click", "what if", "rerun", "bare", "what if, all kinds", "changes", "tokens", "off")
    times: dict[str, list[float]] = {name: [] for name in names}
    for puzzle in puzzles:
        at.text_area(key="live context").set_value(puzzle.context)
        at.text_input(key="live statement").set_value(puzzle.statement)
        at.multiselect(key="live kinds").set_value(FEW)  # four orders and one negation
        at.run()
        times["click"].append(seconds(lambda: click(at, "live score")))
        times["what if"].append(seconds(lambda: click(at, "live try")))
        switch = at.toggle(key="off").set_value(True)
        times["off"].append(seconds(lambda one=switch: waited(one.run())))
        at.toggle(key="off").set_value(False).run()
        times["rerun"].append(seconds(at.run))
        times["bare"].append(seconds(lambda one=puzzle: score_puzzle(lm, one)))
        at.multiselect(key="live kinds").set_value(MANY)
        at.run()
        times["what if, all kinds"].append(seconds(lambda: click(at, "live try")))
        times["changes"].append(len(variants(puzzle, MANY)[0]))
        times["tokens"].append(len(prompts_of(lm, [puzzle])[0].tokens))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--real", action="store_true", help="SmolLM2 in place of the bundled model")
    options = parser.parse_args()
    from qkcore.bundled import bundled_model, real_model
    from qkcore.puzzles.generate import generate_puzzles

    os.environ["QKSCOPE_REAL_MODEL"] = "true" if options.real else "false"
    model = str(real_model() if options.real else bundled_model())

    loads = [
        float(
            subprocess.run(
                [sys.executable, "-c", LOAD.format(model=model)],
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
            ).stdout
        )
        for _ in range(3)
    ]
    puzzles = generate_puzzles(2, range(6), 4, int(time.time()))
    times = rounds(opened(), puzzles[: options.rounds], model)
    figures = {
        "click to finished page, ms": 1_000 * statistics.median(times["click"]),
        "what if with five variants to finished page, ms": 1_000
        * statistics.median(times["what if"]),
        "what if with all kinds of changes to finished page, ms": 1_000
        * statistics.median(times["what if, all kinds"]),
        "changes of all kinds": statistics.median(times["changes"]),
        "tokens of a prompt": statistics.median(times["tokens"]),
        "head switched off to finished page, ms": 1_000 * statistics.median(times["off"]),
        "the same for the first time, which reads the mean, ms": 1_000 * times["off"][0],
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
