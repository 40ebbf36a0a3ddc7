"""What lens and probes cost: `python -m tests.bench.bench_lens [--sets FOLDER] [--n N]`.

The bundled model, and SmolLM2-135M-Instruct where it is installed, on generated puzzles and the
published samples that a folder holds (as tests/bench/bench_batches). The same puzzles are scored
without and with what is read after each layer, in turn; of each the processor's time (all threads),
the best of several rounds. Fitting the probes, which is done once a run, stands by itself and added
on. Peak memory is that of a fresh process each.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from qkcore import load_model
from qkcore.attention.load import CausalLM
from qkcore.bundled import REAL_MODEL, bundled_model, real_model
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.counting import answers_of
from qkcore.results.scores import Scores
from qkcore.scoring.layer_reading import layer_reader
from qkcore.scoring.score import prompts_of, score_prompts
from qkcore.scoring.scorer import part_of
from qkcore.statistics.probes import probe_answers
from tests.bench.bench_batches import sets_of

MOST = 1.15  # times scoring without


def scored(lm: CausalLM, puzzles: list[Puzzle], with_lens: bool) -> list[Scores]:
    """All puzzles, as precompute scores them."""
    reader = layer_reader(lm, puzzles) if with_lens else None
    return list(score_prompts(lm, prompts_of(lm, puzzles), reader=reader))


def probes_fitted(puzzles: list[Puzzle], found: list[Scores]) -> None:
    """The probes of a run, from its scores."""
    part = part_of(found, 1.0)
    answers = answers_of(puzzles, part.qk, part.logits, found[0].qk.shape[1])
    probe_answers(answers.puzzles, np.arange(len(puzzles)), [one.states for one in found])


def models() -> dict[str, str]:
    """What is there."""
    real = {REAL_MODEL: REAL_MODEL} if real_model() else {}
    return {"bundled": str(bundled_model())} | real


def peak_memory(model: str, way: str, options: argparse.Namespace) -> int:
    """Peak resident memory (MiB) of a fresh process that goes one way over the first set."""
    line = [sys.executable, "-m", "tests.bench.bench_lens", "--only", model, way]
    line += ["--n", str(options.n), *(["--sets", str(options.sets)] if options.sets else [])]
    line += [word for name in options.set or () for word in ("--set", name)]
    printed = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return int(printed.split()[-1]) // 1024


def go_one_way(model: str, way: str, puzzles: list[Puzzle]) -> None:
    """Score, and print the peak memory in KiB."""
    found = scored(load_model(models()[model]), puzzles, way == "with")
    if way == "with":
        probes_fitted(puzzles, found)
    # Not ru_maxrss, which a process has from the one that started it
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(peak)


def main() -> None:
    """Print a line a model and set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=Path)
    parser.add_argument("--n", type=int, default=96, help="puzzles of a set")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", action="append", help="bundled, or the other; default: both")
    parser.add_argument("--set", action="append", help="its name; default: all")
    parser.add_argument("--only", nargs=2, metavar=("MODEL", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sets = sets_of(options.sets, options.n)
    sets = {name: sets[name] for name in options.set or sets}
    if options.only:
        go_one_way(*options.only, puzzles=list(sets.values())[-1])
        return
    for model in options.model or models():
        lm = load_model(models()[model])
        for name, puzzles in sets.items():
            scored(lm, puzzles[:8], with_lens=True)  # warm
            took: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(options.rounds):
                for with_lens, times in took.items():
                    start = time.process_time()
                    found = scored(lm, puzzles, with_lens)
                    times.append(time.process_time() - start)
            start = time.process_time()
            probes_fitted(puzzles, found)
            fitting = time.process_time() - start
            without, with_lens_s = min(took[False]), min(took[True])
            ratio = with_lens_s / without
            print(
                f"{model}, {name}, {len(puzzles)} puzzles: {without:.2f} s without, "
                f"{with_lens_s:.2f} s with lens ({ratio:.2f}; at most {MOST} is asked), probes "
                f"{fitting:.2f} s more ({(with_lens_s + fitting) / without:.2f})",
                flush=True,
            )
        peaks = {way: peak_memory(model, way, options) for way in ("without", "with")}
        print(f"{model}: peak memory {peaks['without']} MiB without, {peaks['with']} MiB with")


if __name__ == "__main__":
    main()
