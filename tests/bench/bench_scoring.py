"""What scoring costs beside a bare forward pass.

    python -m tests.bench.bench_scoring [--out FILE.json]

A 12-layer, 12-head random Llama of about 110M parameters, 32 prompts of 140 to 260 tokens, two
threads. Every ratio is of times measured in turn in one process, the best of several rounds each,
so a noisy machine disturbs both alike. Peak memory is that of a fresh process for each way. Beside
ours stand hooks and, where they are installed, TransformerLens and nnsight (they are no
dependencies: use an environment of their own), which must first give the same scores.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from functools import partial

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from qkcore.attention.load import CausalLM, vouch_for
from qkcore.scoring.score import prompts_of, score_puzzles
from tests.bench.other_ways import BATCH_TOKENS, hooked, library_ways, passes
from tests.tiny import puzzle, tiny_tokenizer

CANDIDATES = {2: ("true", "false"), 5: ("true", "false", "yes", "no", "unknown")}


def big_model() -> CausalLM:
    """About 110M parameters.

    The vocabulary is that of a real model, so the output layer has its usual share.
    """
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    return vouch_for(LlamaForCausalLM(config).eval(), tiny_tokenizer(), "110M")


def puzzles_of(n: int, n_candidates: int = 2) -> list:
    """Puzzles whose prompts have 140 to 260 tokens."""
    rng = random.Random(0)
    words = "Max is a wumpus. Every wumpus is a tumpus. Tumpuses are not metallic. "
    return [
        puzzle(
            puzzle_id=str(number),
            context=f"{number} " + words * rng.randint(7, 14),
            candidates=CANDIDATES[n_candidates],
            answer=0,
        )
        for number in range(n)
    ]


def bare(lm: CausalLM, puzzles: list) -> None:
    """The prompts in the same batches through the model.

    With the logits of the last token and nothing else.
    """
    for one in passes(prompts_of(lm, puzzles), [None]):
        with torch.inference_mode():
            lm.model(
                input_ids=one.ids, attention_mask=one.mask, logits_to_keep=one.last, use_cache=False
            )


def ours(lm: CausalLM, puzzles: list) -> None:
    """The project's own way."""
    for _ in score_puzzles(lm, puzzles, max_batch_tokens=BATCH_TOKENS):
        pass


def check_agreement(lm: CausalLM, puzzles: list, ways: dict) -> None:
    """Stop when another way gives other scores: a ratio of times would then mean nothing."""
    expected = [torch.tensor(scores.qk) for scores in score_puzzles(lm, puzzles)]
    for name, way in ways.items():
        difference = max(
            float((a - b).abs().max() / b.abs().max())
            for a, b in zip(way(puzzles), expected, strict=True)
        )
        print(f"{name}: scores differ from ours by {difference:.0e} of the largest")
        if difference > 1e-4:
            sys.exit(f"{name} does not compute the same scores; nothing is timed")


def one_by_one(lm: CausalLM, puzzles: list) -> None:
    """Every statement in a row of its own, in batches of the same budget."""
    for number, one in enumerate(puzzles):
        puzzles[number] = puzzle(
            one.statement, puzzle_id=one.puzzle_id, context=f"{one.context} {number}"
        )
    ours(lm, puzzles)


def seconds(ways: dict, n_rounds: int) -> dict[str, float]:
    """The best time of each way, measured in turn after one round for warming up."""
    best = dict.fromkeys(ways, float("inf"))
    for round_ in range(n_rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if round_:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def peak_memory(way: str) -> int:
    """Peak resident memory (KiB) of a fresh process that goes one way over the puzzles."""
    line = [sys.executable, "-m", "tests.bench.bench_scoring", "--only", way]
    return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()[-1])


def statements_about_one_context() -> list:
    """Ten short statements about a context of about 150 tokens."""
    context = "Max is a wumpus. Every wumpus is a tumpus. Tumpuses are not metallic. " * 8
    statements = [
        f"Max is {verb}{what}."
        for verb in ("", "not ")
        for what in ("metallic", "true", "false", "a", "or")
    ]
    return [
        puzzle(statement, puzzle_id=statement, context=context.strip()) for statement in statements
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", choices=("bare", "ours"), help="go one way once and print the peak memory"
    )
    options = parser.parse_args()
    torch.set_num_threads(2)
    lm = big_model()
    puzzles = puzzles_of(32)
    if options.only:
        {"bare": bare, "ours": ours}[options.only](lm, puzzles)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    five, packed = puzzles_of(32, 5), statements_about_one_context()
    n_tokens = sorted(len(prompt.tokens) for prompt in prompts_of(lm, puzzles))
    (n_context,) = {prompt.n_context for prompt in prompts_of(lm, packed)}
    print(
        f"{n_tokens[0]} to {n_tokens[-1]} tokens a prompt; {n_context} tokens of context for the "
        "packed statements"
    )
    others = {"hooks": hooked(lm)} | library_ways(lm)
    check_agreement(lm, puzzles[:4], others)
    time_of = seconds(
        {
            "bare": lambda: bare(lm, puzzles),
            "two": lambda: ours(lm, puzzles),
            "five": lambda: ours(lm, five),
            "packed": lambda: ours(lm, packed),
            "unpacked": lambda: one_by_one(lm, list(packed)),
        }
        | {name: partial(way, puzzles) for name, way in others.items()},
        options.rounds,
    )
    figures = {
        "scoring two candidates / bare forward": time_of["two"] / time_of["bare"],
        "scoring five candidates / bare forward": time_of["five"] / time_of["bare"],
        **{
            f"two passes with {name} / bare forward": time_of[name] / time_of["bare"]
            for name in others
        },
        **{f"two passes with {name} / ours": time_of[name] / time_of["two"] for name in others},
        "ten statements of one context, unpacked / packed": time_of["unpacked"] / time_of["packed"],
        "peak memory, ours / bare forward": peak_memory("ours") / peak_memory("bare"),
    }
    for name, figure in figures.items():
        print(f"{name}: {figure:.2f}")
    if options.out:
        with open(options.out, "w") as file:
            json.dump(figures | {"seconds": time_of}, file, indent=2)


if __name__ == "__main__":
    main()
