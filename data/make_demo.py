"""Make the demo store again: generated puzzles, scored with the bundled model. `make demo` runs it.

Everything follows from the seed and the model's files, so the store is the same each time but for time stamps. The
store is built beside the old one and takes its place when it is whole.
"""

import os
import sys
from pathlib import Path

DATA = Path(__file__).parent
sys.path.insert(0, str(DATA.parent))

from qkcore.generate import generate_puzzles  # noqa: E402
from qkcore.models import load_model  # noqa: E402
from qkcore.precompute import run  # noqa: E402

SEED = 2026  # the model was trained on other seeds; see data/reference/README.md
STEPS, DISTRACTORS = range(0, 4), range(0, 4)
PER_CELL = 200  # puzzles for each pair of steps and distractors: half validation, half test
STORE = DATA / "qkscope.duckdb"


def main() -> None:
    """Score the made-up set and publish it."""
    lm = load_model(DATA / "reference")
    puzzles = generate_puzzles(STEPS, DISTRACTORS, PER_CELL, SEED, "made-up")
    fresh = STORE.with_name("fresh.duckdb")
    fresh.unlink(missing_ok=True)
    for rope in ("post", "pre"):  # the newest run is the one shown first
        print(run(lm, puzzles, fresh, puzzle_set="made-up", rope=rope))
    os.replace(fresh, STORE)


if __name__ == "__main__":
    main()
