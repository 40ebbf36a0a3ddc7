"""Make the demo store again: `make demo SETS=FOLDER`, on the sets and the models that there are.

SETS holds the published files of PARARULE-Plus, PrOntoQA-OOD and Multi-LogiEval in folders
`pararule_plus`, `prontoqa_ood` and `multi_logieval`. Their twins and the generated sets are made
here. Scored are SmolLM2-135M-Instruct (as `make app` brings it), Gemma 3 270M where GEMMA=FILE.gguf
names it, and the bundled model. Where a set or a model is not there, its runs are left out.

Everything follows from the seed and the files, so the store holds the same numbers each time. It is
built beside the old one and takes its place when it is whole; an interrupted run goes on.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).parent
sys.path.insert(0, str(DATA.parent))

from qkcore.attention.load import CausalLM, load_model  # noqa: E402
from qkcore.bundled import real_model  # noqa: E402
from qkcore.puzzles.balance import balance_puzzles  # noqa: E402
from qkcore.puzzles.generate import generate_puzzles  # noqa: E402
from qkcore.puzzles.public_sets import import_puzzles  # noqa: E402
from qkcore.puzzles.puzzle import Puzzle  # noqa: E402
from qkcore.results.store import ResultStore  # noqa: E402
from qkcore.scoring.ablate import ablate  # noqa: E402
from qkcore.scoring.precompute import precompute  # noqa: E402
from qkcore.sharing.excerpt import chosen_runs, copy_runs  # noqa: E402

SEED = 2026  # the bundled model was trained on other seeds; see reference/README.md
STEPS, DISTRACTORS = range(1, 7), range(0, 6)
PER_CELL = 40  # puzzles for each pair of steps and distractors: half validation, half test
STORE = DATA / "qkscope.duckdb"
FOLDERS = {
    "pararule-plus": ("pararule", "pararule_plus", "*.jsonl"),
    "prontoqa": ("prontoqa", "prontoqa_ood", "*hop_ProofsOnly_random_noadj.json"),
    "multi-logieval": ("multilogieval", "multi_logieval", "**/*.json"),
}
# A model, its runs (set and reading), and which sets are looked into
Job = tuple[Callable[[], CausalLM], list[tuple[str, str]], dict[str, int]]
PER_CONTEXT = {"pararule-plus-twin": 2, "prontoqa-twin": 1}  # statements of each kind in a twin
REAL = (
    "everyday",
    "made-up",
    "multi-logieval",
    "prontoqa-twin",
    "prontoqa",
    "pararule-plus-twin",
    "pararule-plus",
)
# Where SmolLM2, and the bundled model on made-up, are asked after each layer and with heads off
# of at most so many test puzzles.
LOOKED_INTO = {"pararule-plus": 360, "pararule-plus-twin": 360, "made-up": 120}
SWITCHED_OFF = (1, 5)  # so many of the best heads, beside control heads
TOY = (("prontoqa", "pre"), ("everyday", "pre"), ("made-up", "post"), ("made-up", "pre"))


def puzzle_sets(folder: Path) -> dict[str, list[Puzzle]]:
    """All sets that can be had, by name."""
    made = {
        style: generate_puzzles(STEPS, DISTRACTORS, PER_CELL, SEED, style)
        for style in ("everyday", "made-up")
    }
    for name, (kind, subfolder, pattern) in FOLDERS.items():
        files = sorted((folder / subfolder).glob(pattern))
        if files:
            made[name] = import_puzzles(kind, files)
        else:
            print(f"{folder / subfolder} holds no {pattern}; left out", file=sys.stderr)
    for name, per_context in PER_CONTEXT.items():
        if parent := made.get(name.removesuffix("-twin")):
            made[name] = balance_puzzles(parent, per_context=per_context, seed=SEED).puzzles
    return made


def score(
    lm: CausalLM, name: str, puzzles: list[Puzzle], store: Path, rope: str, n_ablated: int
) -> None:
    """Score a set; where heads are switched off, its layers are looked into as well."""
    begun = time.monotonic()
    run_id = precompute(lm, puzzles, store, puzzle_set=name, rope=rope, lens=n_ablated > 0)
    if n_ablated and not has_ablations(store, run_id):
        ablate(lm, puzzles, store, ks=SWITCHED_OFF, limit=n_ablated, rope=rope)
    print(f"{run_id}: {len(puzzles):,} puzzles, {time.monotonic() - begun:.0f} s", flush=True)


def has_ablations(store: Path, run_id: str) -> bool:
    """Whether heads of a run have been switched off before."""
    with ResultStore.open(store) as opened:
        return opened.has_ablations(run_id)


def main(sets: Path, gemma: Path | None, store: Path) -> None:
    """Score every set and publish the runs together; the last is what the dashboard opens on."""
    begun = time.monotonic()
    made = puzzle_sets(sets)
    fresh = store.with_name("fresh.duckdb")
    of_real = [(name, "pre") for name in REAL]
    jobs: list[Job] = [(lambda: load_model(DATA / "reference"), list(TOY), {"made-up": 360})]
    if gemma:
        jobs.append((lambda: load_model(gemma), of_real, {}))
    if path := real_model():
        jobs.append((lambda: load_model(path), of_real, LOOKED_INTO))
    for load, runs, looked_into in jobs:
        lm = load()
        for name, rope in runs:
            if name in made:
                n_ablated = looked_into.get(name, 0) if rope == "pre" else 0
                score(lm, name, made[name], fresh, rope, n_ablated)
    compact = store.with_name("compact.duckdb")
    compact.unlink(missing_ok=True)
    copy_runs(fresh, compact, chosen_runs(fresh))  # what publishing runs one by one left free
    os.replace(compact, store)
    fresh.unlink()
    print(f"{store.name}: {store.stat().st_size / 1e6:.1f} MB in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--gemma", type=Path, metavar="FILE.gguf")
    parser.add_argument("--store", type=Path, default=STORE, metavar="FILE.duckdb")
    options = parser.parse_args()
    main(options.sets, options.gemma, options.store)
