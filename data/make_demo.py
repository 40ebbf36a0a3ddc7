"""Make the demo store again: generated puzzles in both styles, scored with the bundled model.

`make demo` runs it. `make demo PRONTOQA=FOLDER` adds PrOntoQA-OOD, ProofsOnly, from a folder of its
published files: scores, no texts.

Everything follows from the seed and the model's files, so the store is the same each time but for
time stamps. The store is built beside the old one and takes its place when it is whole.
"""

import os
import sys
from pathlib import Path

DATA = Path(__file__).parent
sys.path.insert(0, str(DATA.parent))

from qkcore.attention.load import load_model  # noqa: E402
from qkcore.puzzles.generate import generate_puzzles  # noqa: E402
from qkcore.puzzles.public_sets import import_puzzles  # noqa: E402
from qkcore.scoring.precompute import precompute  # noqa: E402

SEED = 2026  # the model was trained on other seeds; see reference/README.md
STEPS, DISTRACTORS = range(1, 7), range(0, 6)
PER_CELL = 200  # puzzles for each pair of steps and distractors: half validation, half test
STORE = DATA / "qkscope.duckdb"


def main(prontoqa: str | None) -> None:
    """Score every set and publish them together."""
    lm = load_model(DATA / "reference")
    fresh = STORE.with_name("fresh.duckdb")
    fresh.unlink(missing_ok=True)
    if prontoqa:
        files = sorted(Path(prontoqa).glob("*hop_ProofsOnly_random_noadj.json"))
        print(
            precompute(
                lm,
                import_puzzles("prontoqa", files),
                fresh,
                puzzle_set="prontoqa-proofs-only",
                with_texts=False,
            )
        )
    # The newest run is shown first: the made-up words, before rotary.
    for style, rope in (("everyday", "pre"), ("made-up", "post"), ("made-up", "pre")):
        puzzles = generate_puzzles(STEPS, DISTRACTORS, PER_CELL, SEED, style)
        print(precompute(lm, puzzles, fresh, puzzle_set=style, rope=rope))
    os.replace(fresh, STORE)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
