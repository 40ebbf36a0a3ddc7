"""A cluster of 1, 8 and 64 workers with failures, on shard times that a real run took.

    python -m tests.bench.simulate_cluster [--parts FOLDER | --log FILE] [--mtbf-hours H] ...

Shard times are drawn from the seconds that the parts in a folder carry, or the lines of a log of
`precompute --log-file`; without either, the bundled model scores generated puzzles first. They are
scaled to a mean, for another model or machine. Both engines' rules are simulated many times
(`qkcore.planning.cluster`); printed are the middle of the times against the ideal, and how much
work was done twice.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from qkcore.planning.cluster import dealt, handed_out, lifetimes
from qkcore.scoring.progress import in_words

RULES = {"torchrun": dealt, "ray": handed_out}


def of_parts(folder: Path) -> list[float]:
    """Seconds of every part in a folder."""
    return [
        float(pq.read_schema(path).metadata[b"seconds"])
        for path in sorted(folder.glob("part-*.parquet"))
    ]


def of_log(log: Path) -> list[float]:
    """Seconds of every part that a log names."""
    rows = map(json.loads, log.read_text().splitlines())
    return [row["seconds"] for row in rows if row["event"] == "part"]


def of_a_run() -> list[float]:
    """Seconds of the shards of generated puzzles, by the bundled model."""
    import torch

    from qkcore import generate_puzzles, load_model
    from qkcore.bundled import bundled_model
    from qkcore.scoring.scorer import Scorer

    torch.set_num_threads(1)
    puzzles = generate_puzzles(steps=range(1, 5), distractors=range(4), n=40)
    scorer = Scorer(load_model(bundled_model()), puzzles, puzzle_set="made")
    scorer.locate()
    found = []
    for index in range(len(puzzles) // 64):
        start = time.process_time()
        scorer.shard(index)
        found.append(time.process_time() - start)
    return found[1:]  # the first warms up


def main() -> None:
    """A line a number of workers and engine."""
    options = _options()
    if options.parts:
        found = of_parts(options.parts)
    else:
        found = of_log(options.log) if options.log else of_a_run()
    seen = np.array(found)
    print(f"{len(seen)} shards seen: mean {seen.mean():.3f} s, from {seen.min():.3f} to "
          f"{seen.max():.3f} s, scaled to a mean of {options.mean:g} s")  # fmt: skip
    rng = np.random.default_rng(options.seed)
    shards = rng.choice(seen * options.mean / seen.mean(), options.shards)
    for n_workers in options.workers:
        for name, rule in RULES.items():
            draw = lifetimes(options.mtbf_hours * 3600, options.seed)
            runs = [rule(shards, n_workers, draw, options.loading) for _ in range(options.runs)]
            spans = np.quantile([run.makespan for run in runs], [0.5, 0.95])
            twice = np.mean([run.lost / run.work for run in runs])
            print(f"{n_workers:>3} workers, {name}: {in_words(spans[0])} (95 in 100 within "
                  f"{in_words(spans[1])}), {spans[0] / runs[0].ideal:.3f} of the ideal "
                  f"{in_words(runs[0].ideal)}; {np.mean([run.n_failures for run in runs]):.1f} "
                  f"failures, {twice:.2%} of the work done twice", flush=True)  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--mean", type=float, default=60.0, help="seconds of a shard, scaled to")
    parser.add_argument("--shards", type=int, default=1_563, help="100,000 puzzles")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--mtbf-hours", type=float, default=24.0, help="of one worker")
    parser.add_argument("--loading", type=float, default=120.0, help="seconds of a start")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
