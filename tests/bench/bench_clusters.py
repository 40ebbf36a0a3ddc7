"""How often intervals of grouped puzzles cover the truth, over a grid of made-up answers.

    python -m tests.bench.bench_clusters [--runs 2000] [--only accuracy] [--all]

Prints a line a cell that lies outside of 93 to 97 % (with --all every one), and how many do: for
accuracies (also of answerers who are right on one of a statement and its denial), for differences
of two answerers, and for balanced accuracies of answerers who lean.
Every cell is a correlation within groups, a number of groups and their sizes.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from qkcore.statistics.clusters import grouped_accuracy, grouped_balanced_accuracy
from qkcore.statistics.paired import grouped_balanced_difference, grouped_difference
from tests.statistics.groups import SIZES, marks, opposed, sizes, summed

CORRELATIONS, N_GROUPS = (0.0, 0.2, 0.6, 1.0), (20, 50, 200, 900)
Cell = tuple[float, int, str, str]  # correlation, groups, their sizes, how they are alike


def cells() -> Iterator[Cell]:
    for correlation in CORRELATIONS:
        for n_groups in N_GROUPS:
            for kind in SIZES:
                if kind == "1" and correlation > 0:
                    continue
                for how in ("beta", "copy") if 0 < correlation < 1 else ("beta",):
                    yield correlation, n_groups, kind, how


def accuracy(truth: float, cell: Cell, n_runs: int, rng) -> np.ndarray:
    """(run,) bool: is the truth in the interval? Likewise for the claims below."""
    correlation, n_groups, kind, how = cell
    n = sizes(kind, n_groups)
    found = grouped_accuracy(summed(marks(truth, correlation, n, n_runs, rng, how), n), n)
    return (found.low <= truth) & (truth <= found.high)


def opposing(truth: float, cell: Cell, n_runs: int, rng) -> np.ndarray:
    """Of someone who says the same to a statement and its denial; correlation: how often not."""
    correlation, n_groups, kind, _ = cell
    n = sizes(kind, n_groups)
    found = grouped_accuracy(summed(opposed(truth, 1 - correlation, n, n_runs, rng), n), n)
    return (found.low <= truth) & (truth <= found.high)


def difference(truths: tuple[float, float], cell: Cell, n_runs: int, rng) -> np.ndarray:
    correlation, n_groups, kind, how = cell
    n = sizes(kind, n_groups)
    first, second = (marks(truth, correlation, n, n_runs, rng, how) for truth in truths)
    found = grouped_difference(summed(first & ~second, n), summed(~first & second, n), n)
    return (found.low <= truths[0] - truths[1]) & (truths[0] - truths[1] <= found.high)


def by_answer(
    truths: tuple[float, float], cell: Cell, n_runs: int, rng
) -> tuple[np.ndarray, np.ndarray]:
    """(run, group, answer) right answers of someone who leans, and (group, answer) puzzles.

    He is right this often where the first answer is right, and where the second is.
    """
    correlation, n_groups, kind, how = cell
    n = sizes(kind, n_groups)
    halves = np.stack([(n + np.arange(n_groups) % 2) // 2, (n + 1 - np.arange(n_groups) % 2) // 2])
    right = []
    for half, truth in zip(halves, truths, strict=True):
        has_any = half > 0
        own = np.zeros((n_runs, n_groups), dtype=int)
        own[:, has_any] = summed(
            marks(truth, correlation, half[has_any], n_runs, rng, how), half[has_any]
        )
        right.append(own)
    return np.stack(right, axis=-1), halves.T


def balanced(truths: tuple[float, float], cell: Cell, n_runs: int, rng) -> np.ndarray:
    right, n = by_answer(truths, cell, n_runs, rng)
    found, truth = grouped_balanced_accuracy(right, n), np.mean(truths)
    return (found.low <= truth) & (truth <= found.high)


def balanced_difference(truths: tuple[float, ...], cell: Cell, n_runs: int, rng) -> np.ndarray:
    """Truths: of the first and the second answerer at one answer, and at the other."""
    correlation, n_groups, kind, how = cell
    n = sizes(kind, n_groups)
    only = []
    for answer in (0, 1):
        first, second = (
            marks(truth, correlation, n, n_runs, rng, how)
            for truth in truths[2 * answer : 2 * answer + 2]
        )
        only.append((summed(first & ~second, n), summed(~first & second, n)))
    first, second = (np.stack([pair[who] for pair in only], axis=-1) for who in (0, 1))
    found = grouped_balanced_difference(first, second, np.stack([n, n], axis=-1))
    truth = (truths[0] - truths[1] + truths[2] - truths[3]) / 2
    return (found.low <= truth) & (truth <= found.high)


CLAIMS: dict[str, tuple[Callable, tuple]] = {
    "accuracy": (accuracy, (0.5, 0.8, 0.95)),
    "accuracy, opposed in pairs": (opposing, (0.5, 0.6, 0.8)),
    "difference": (difference, ((0.5, 0.5), (0.8, 0.8), (0.95, 0.95), (0.8, 0.6), (0.95, 0.5))),
    "balanced": (balanced, ((0.5, 0.5), (0.9, 0.1), (0.95, 0.6))),
    "balanced difference": (balanced_difference, ((0.5,) * 4, (0.9, 0.5, 0.6, 0.5))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--only", choices=CLAIMS)
    parser.add_argument("--all", action="store_true", help="print every cell")
    options = parser.parse_args()
    for name in [options.only] if options.only else CLAIMS:
        claim, truths = CLAIMS[name]
        n_below = n_above = n_cells = 0
        for truth in truths:
            for cell in cells():
                rng = np.random.default_rng(1)
                n_runs = options.runs if cell[1] < 900 else max(500, options.runs // 4)
                share = claim(truth, cell, n_runs, rng).mean()
                error = 2 * np.sqrt(0.05 * 0.95 / n_runs)
                is_below, is_above = share < 0.93 - error, share > 0.97 + error
                n_below, n_above, n_cells = n_below + is_below, n_above + is_above, n_cells + 1
                if options.all or is_below or is_above:
                    print(f"{name} {truth}: {100 * share:5.1f} %  {cell}", flush=True)
        print(f"{name}: {n_cells} cells, {n_below} below 93 %, {n_above} above 97 %", flush=True)


if __name__ == "__main__":
    main()
