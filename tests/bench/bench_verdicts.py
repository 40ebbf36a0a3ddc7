"""How often planted heads get their verdict.

    python -m tests.bench.bench_verdicts [--runs 200]

Prints a line a kind of made-up run: the verdicts on what is left of the gap (of runs made by
tests/statistics/planted), then those on whether the model uses the head (planted_heads).
"""

import argparse
from collections import Counter

import numpy as np

from qkcore.statistics.usage import usage
from qkcore.statistics.verdicts import verdict
from tests.statistics.planted import evidence_on
from tests.statistics.planted_heads import KINDS, switched

RUNS = {
    "logical": {"rule_works": False},
    "logical, 30 groups": {"n_groups": 30, "rule_works": False},
    "word": {},
    "word, with a twin": {"twin": True},
    "constant": {},
    "guess": {"rule_works": False},
    "calibration": {"rule_works": False},
    "word, model knows half as much": {"strength": 0.8},
    "word, model knows half as much, 30 groups": {"strength": 0.8, "n_groups": 30},
}


def show(what: str, names: Counter) -> None:
    print(f"{what}: " + ", ".join(f"{name} {n}" for name, n in names.most_common()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    n_runs = parser.parse_args().runs
    for what, more in RUNS.items():
        kind = what.partition(",")[0]
        rngs = (np.random.default_rng(seed) for seed in range(n_runs))
        show(what, Counter(verdict(evidence_on(kind, rng, **more)).name for rng in rngs))
    for kind in KINDS:
        rngs = (np.random.default_rng(seed) for seed in range(n_runs))
        show(f"switched off, {kind}", Counter(usage(switched(kind, rng)).name for rng in rngs))
    rngs = [np.random.default_rng(seed) for seed in range(n_runs)]
    for kind in ("used", "idle"):
        names = Counter(usage(switched(kind, rng, 40)).name for rng in rngs)
        show(f"switched off, {kind}, 20 groups", names)


if __name__ == "__main__":
    main()
