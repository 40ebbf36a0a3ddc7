"""What scoring costs beside a bare forward pass.

    python -m tests.bench.bench_scoring [--model NAME] [--sets FOLDER] [--n N] [--out FILE.json]

Two models: a 12-layer, 12-head random Llama of about 110M parameters, and SmolLM2-135M-Instruct
where it is installed. On made prompts of 140 to 370 tokens (as the tokenizer cuts them), and on the
published samples that a folder holds (as tests/bench/bench_batches). The bare forward is the best
that a user could do: prompts sorted by length in batches of 1, 2, 4, 8, 16 or 32, whichever is
quickest, with the logits of the last token only. Every ratio is of times measured in turn in one
process, the best of each pass over several rounds (tests/bench/laps); the processor's time, of all
threads, stands beside the wall clock's. Peak memory is that of a fresh process for each way. Beside
ours stand hooks and, where they are installed, TransformerLens and nnsight (they are no
dependencies: use an environment of their own), which must first give the same scores.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from qkcore import load_model
from qkcore.attention.load import CausalLM, vouch_for
from qkcore.bundled import REAL_MODEL, real_model
from qkcore.scoring.score import budget_for, prompts_of, score_puzzles
from tests.bench.bench_batches import padding, published_sets
from tests.bench.laps import Seconds, best_seconds
from tests.bench.other_ways import hooked, library_ways, passes
from tests.tiny import puzzle, tiny_tokenizer

CANDIDATES = {2: ("true", "false"), 5: ("true", "false", "yes", "no", "unknown")}
N_ROWS = (1, 2, 4, 8, 16, 32)  # prompts in a batch of the bare forward


def big_model(tokenizer=None) -> CausalLM:
    """About 110M parameters.

    The vocabulary is that of a real model, so the output layer has its usual share.
    """
    tokenizer = tokenizer or tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=max(32_000, len(tokenizer)),
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    return vouch_for(LlamaForCausalLM(config).eval(), tokenizer, "110M")


def puzzles_of(n: int, n_candidates: int = 2) -> list:
    """Puzzles whose prompts have 140 to 370 tokens."""
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


def bare(lm: CausalLM, puzzles: list, n_rows: int = 8) -> None:
    """The prompts sorted by length, so many a batch, through the model.

    With the logits of the last token and nothing else, and a mask where there is padding.
    """
    for one in passes(prompts_of(lm, puzzles), [None], n_rows):
        mask = None if bool(one.mask.all()) else one.mask
        with torch.inference_mode():
            lm.model(
                input_ids=one.ids, attention_mask=mask, logits_to_keep=one.last, use_cache=False
            )


def ours(lm: CausalLM, puzzles: list) -> None:
    """The project's own way, as it is by default."""
    for _ in score_puzzles(lm, puzzles):
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


def ratio(time_of: dict[str, Seconds], name: str, bares: list[str]) -> Seconds:
    """A way's time as a multiple of the quickest of others, of the processor and by the clock."""
    return Seconds(
        time_of[name].processor / min(time_of[one].processor for one in bares),
        time_of[name].wall / min(time_of[one].wall for one in bares),
    )


def beside_bare(lm: CausalLM, puzzles: list, n_rounds: int) -> dict[str, float]:
    """Scoring two candidates against the best bare forward, and the padding in our passes."""
    bares = {f"bare {n}": partial(bare, lm, puzzles, n) for n in N_ROWS}
    ways = bares | {"ours": partial(ours, lm, puzzles)}
    time_of = best_seconds(ways, n_rounds, type(lm.model))
    found = ratio(time_of, "ours", list(bares))
    quickest = min(bares, key=lambda name: time_of[name].processor)
    return {
        "ours / best bare forward": found.processor,
        "by the clock": found.wall,
        "ms a puzzle": 1_000 * time_of["ours"].processor / len(puzzles),
        "rows of the best bare forward": int(quickest.split()[1]),
        "padding": padding(prompts_of(lm, puzzles), budget_for(lm).max_tokens),
    }


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


def models() -> dict[str, CausalLM]:
    """The made model, and the real one where it is here; both with the real one's tokenizer."""
    path = real_model()
    if path is None:
        return {"110M": big_model()}
    real = load_model(path)
    return {"110M": big_model(real.tokenizer), REAL_MODEL: real}


def show_other_ways(lm: CausalLM, n_rounds: int) -> dict[str, float]:
    """Five candidates, packed statements, libraries and memory, on the made prompts."""
    puzzles, five, packed = puzzles_of(32), puzzles_of(32, 5), statements_about_one_context()
    others = {"hooks": hooked(lm)} | library_ways(lm)
    check_agreement(lm, puzzles[:4], others)
    bares = {f"bare {n}": partial(bare, lm, puzzles, n) for n in N_ROWS}
    ways = {
        "two": partial(ours, lm, puzzles),
        "five": partial(ours, lm, five),
        "packed": partial(ours, lm, packed),
        "unpacked": lambda: one_by_one(lm, list(packed)),
    }
    theirs = {name: partial(way, puzzles) for name, way in others.items()}
    time_of = best_seconds(bares | ways | theirs, n_rounds, type(lm.model))

    def of_bare(name: str) -> float:
        return ratio(time_of, name, list(bares)).processor

    return {
        "scoring five candidates / best bare forward": of_bare("five"),
        **{f"two passes with {name} / best bare forward": of_bare(name) for name in others},
        **{
            f"two passes with {name} / ours": ratio(time_of, name, ["two"]).processor
            for name in others
        },
        "ten statements of one context, unpacked / packed": ratio(
            time_of, "unpacked", ["packed"]
        ).processor,
        "peak memory, ours / bare forward": peak_memory("ours") / peak_memory("bare"),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", help=f"110M or {REAL_MODEL}; both if left out")
    parser.add_argument("--sets", type=Path, help="a folder with the published samples")
    parser.add_argument("--n", type=int, default=32, help="puzzles of a set")
    parser.add_argument("--only-sets", action="store_true", help="no libraries and no memory")
    parser.add_argument(
        "--only", choices=("bare", "ours"), help="go one way once and print the peak memory"
    )
    return parser.parse_args()


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    if options.only:
        {"bare": bare, "ours": ours}[options.only](big_model(), puzzles_of(32))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    figures: dict[str, dict[str, float]] = {}
    sets = {"made": puzzles_of(options.n)} | published_sets(options.sets, options.n)
    for model, lm in models().items():
        if options.model not in (None, model):
            continue
        for name, puzzles in sets.items():
            figures[f"{model}, {name}"] = beside_bare(lm, puzzles, options.rounds)
            show(f"{model}, {name}", figures)
    if not options.only_sets:
        figures["other ways"] = show_other_ways(big_model(), options.rounds)
        show("other ways", figures)
    if options.out:
        Path(options.out).write_text(json.dumps(figures, indent=2) + "\n")


def show(name: str, figures: dict[str, dict[str, float]]) -> None:
    """One line of figures."""
    listed = ", ".join(f"{what} {figure:.3f}" for what, figure in figures[name].items())
    print(f"{name}: {listed}", flush=True)


if __name__ == "__main__":
    main()
