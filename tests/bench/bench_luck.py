"""How long the luck line takes.

    python -m tests.bench.bench_luck [--puzzles 10000] [--heads 5120] [--permutations 1000]

Guessing heads on puzzles of 1 to 6 steps and 0 to 5 distractors, in groups of two, half validation
and half test, as they are counted when a run is published. Prints seconds and peak memory, and as a
ratio that holds on any machine the time of one bare matrix product of the same size.
"""

import argparse
import json
import resource
import time

import numpy as np
import pandas as pd

from qkcore.statistics.luck import luck_line


def guessing(n_puzzles: int, n_heads: int) -> tuple[np.ndarray, pd.DataFrame]:
    """(puzzle, head) int8 coin flips, and the puzzles."""
    group = np.arange(n_puzzles) // 2
    puzzles = pd.DataFrame(
        {
            "answer": np.arange(n_puzzles) % 2,
            "group": group,
            "steps": 1 + group % 6,
            "distractors": group // 6 % 6,
        }
    )
    return np.random.default_rng(0).integers(0, 2, (n_puzzles, n_heads), dtype=np.int8), puzzles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--puzzles", type=int, default=10_000)
    parser.add_argument("--heads", type=int, default=5_120)
    parser.add_argument("--permutations", type=int, default=1_000)
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    choices, puzzles = guessing(options.puzzles, options.heads)
    start = time.perf_counter()
    lines = [
        luck_line(choices[rows], puzzles[rows], options.permutations)
        for rows in (puzzles["group"] // 36 % 2 == split for split in (0, 1))
    ]
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    whole = lines[0][lines[0]["steps"].isna() & lines[0]["distractors"].isna()].iloc[0]
    answers = np.ones((options.permutations, options.puzzles), dtype=np.float32)
    right = choices.astype(np.float32)
    start = time.perf_counter()
    answers @ right
    product = time.perf_counter() - start
    figures = {
        "seconds": seconds,
        "peak GiB": memory,
        "times one matrix product of that size": seconds / product,
    }
    print(
        f"{options.puzzles:,} puzzles x {options.heads:,} heads x {options.permutations:,} "
        "permutations"
    )
    for name, figure in figures.items():
        print(f"{name}: {figure:.1f}")
    print(
        f"luck line of {int(whole['n']):,} puzzles: {whole['q50']:.3f} median, {whole['q95']:.3f} "
        "95th percentile"
    )
    if options.out:
        with open(options.out, "w") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
