"""How many tokens a pass: `python -m tests.bench.bench_batches --model MODEL [--sets FOLDER]`.

Scores the same puzzles with each of several fixed budgets, in turn and several times over, and
prints the time of each as a multiple of the quickest, with the share of tokens that is padding.
Time is the processor's, of all threads, the best of each pass over several rounds
(tests/bench/laps). Sets: generated puzzles in both styles, and of a folder with the published
samples (prontoqa_ood, pararule_plus, multi_logieval) as many as are asked for, spread over their
contexts. The default (BATCH_TOKENS of qkcore.scoring.score) is marked.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from qkcore import generate_puzzles, import_puzzles, load_model
from qkcore.asking.prompts import Prompt
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import batches_of, groups_of, n_row_tokens
from qkcore.puzzles.puzzle import Puzzle
from qkcore.scoring.score import budget_for, prompts_of, score_prompts
from tests.bench.laps import best_seconds

BUDGETS = (256, 512, 1_024, 2_048, 4_096)
FILES = {
    "prontoqa": ("prontoqa", "prontoqa_ood/2hop_ProofsOnly_random_noadj.json"),
    "pararule": ("pararule", "pararule_plus/PARARULE_Plus_Depth3_shuffled_test.jsonl"),
    "multilogieval": ("multilogieval", "multi_logieval"),
}


def published_sets(folder: Path | None, n: int) -> dict[str, list[Puzzle]]:
    """At most n puzzles of each published sample in a folder."""
    files = FILES.items() if folder else ()
    return {
        name: spread(import_puzzles(format, [folder / path]), n) for name, (format, path) in files
    }


def spread(puzzles: Sequence[Puzzle], n: int) -> list[Puzzle]:
    """About n puzzles: all of some contexts, evenly spaced among them.

    A context's puzzles stay together, as a row holds them.
    """
    by_group: dict[str, list[Puzzle]] = {}
    for one in puzzles:
        by_group.setdefault(one.group, []).append(one)
    groups = list(by_group.values())
    n_groups = max(1, round(n * len(groups) / len(puzzles)))
    places = {place * len(groups) // n_groups for place in range(n_groups)}
    return [one for place in sorted(places) for one in groups[place]]


def sets_of(folder: Path | None, n: int) -> dict[str, list[Puzzle]]:
    """Puzzles by set, about n of each."""
    made = {
        style: generate_puzzles(range(1, 5), range(0, 4), max(2, n // 16), style=style)[:n]
        for style in ("made-up", "everyday")
    }
    return made | published_sets(folder, n)


def padding(prompts: list[Prompt], max_tokens: int) -> float:
    """The share of all tokens in the passes that is padding."""
    filled = passed = 0
    for batch in batches_of(prompts, groups_of(prompts), max_tokens):
        sizes = [n_row_tokens([prompts[index] for index in group]) for group in batch]
        filled += sum(sizes)
        passed += len(sizes) * max(sizes)
    return 1 - filled / passed


def scored(lm: CausalLM, prompts: list[Prompt], max_tokens: int) -> None:
    """All of them once."""
    for _ in score_prompts(lm, prompts, max_batch_tokens=max_tokens):
        pass


def main() -> None:
    """Print a line a set and budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="data/reference")
    parser.add_argument("--sets", type=Path)
    parser.add_argument("--n", type=int, default=48, help="puzzles of a set")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lm = load_model(options.model)
    default = budget_for(lm).max_tokens
    for name, puzzles in sets_of(options.sets, options.n).items():
        prompts = prompts_of(lm, puzzles)
        ways = {str(one): partial(scored, lm, prompts, one) for one in BUDGETS}
        time_of = best_seconds(ways, options.rounds, type(lm.model))
        best = min(took.processor for took in time_of.values())
        for budget in BUDGETS:
            took = time_of[str(budget)].processor
            mark = " (default)" if budget == default else ""
            print(
                f"{name}: {budget:>5} tokens a pass{mark}: {took / best:.2f} of the "
                f"quickest, {1000 * took / len(prompts):.0f} ms a puzzle, "
                f"{100 * padding(prompts, budget):.1f} % padding",
                flush=True,
            )


if __name__ == "__main__":
    main()
