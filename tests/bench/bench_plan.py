"""A plan held against runs: `python -m tests.bench.bench_plan [--n N] [--threads N] [--publish]`.

Calibrates operations a second on one model (a random Llama of 110M parameters) and bandwidth on one
copy of memory, then predicts others: the bundled toy, SmolLM2-135M-Instruct where it is installed,
random Llamas of other widths, and the first one on longer prompts. Every model is scored in turn
for several rounds; its time is the processor's (all threads), the best round. Prints predicted over
measured, whatever it is. --publish measures what publishing takes instead, in a process of its own,
and what a part takes on disk; --characters how many characters the public sets in a folder have
a token of SmolLM2's.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from qkcore import load_model
from qkcore.attention.load import CausalLM, vouch_for
from qkcore.bundled import bundled_model, real_model
from qkcore.planning.asked import Asked, counted
from qkcore.planning.cost import cost_of
from qkcore.planning.cost import publishing as publishing_of
from qkcore.planning.machine import given_machine
from qkcore.planning.plan import Plan
from qkcore.planning.shape import shape_of_model
from qkcore.scoring.score import budget_for, prompts_of, score_prompts
from tests.bench.bench_batches import published_sets
from tests.bench.bench_scoring import big_model, puzzles_of
from tests.tiny import puzzle, tiny_tokenizer

WIDTHS = {"random, 25M": (384, 6, 6), "random, 300M": (1_280, 12, 10)}  # hidden, layers, heads


def random_model(name: str, tokenizer) -> CausalLM:
    """A random Llama with the vocabulary of `big_model`."""
    hidden, layers, heads = WIDTHS[name]
    config = LlamaConfig(
        vocab_size=max(32_000, len(tokenizer)),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    return vouch_for(LlamaForCausalLM(config).eval(), tokenizer, name)


def longer(puzzles: list) -> list:
    """The same with contexts three times as long."""
    return [
        puzzle(one.statement, puzzle_id=one.puzzle_id, context=f"{one.context} " * 3)
        for one in puzzles
    ]


def seconds(lm: CausalLM, puzzles: list, n_rounds: int) -> float:
    """Of the processor, for scoring all of them once; the best round after one to warm up."""
    prompts, taken = prompts_of(lm, puzzles), []
    for _ in range(n_rounds + 1):
        start = time.process_time()
        for _ in score_prompts(lm, prompts):
            pass
        taken.append(time.process_time() - start)
    return min(taken[1:])


def asked_of(lm: CausalLM, puzzles: list) -> Asked:
    """What the plan counts."""
    return counted(puzzles, lm.tokenizer, budget_for(lm).max_tokens)


def planned(lm: CausalLM, puzzles: list, tflops: float, bandwidth: float) -> Plan:
    """The plan, made from the model's saved configuration as the command makes it."""
    with tempfile.TemporaryDirectory() as folder:
        lm.model.config.save_pretrained(folder)
        shape = shape_of_model(folder)
    asked = asked_of(lm, puzzles)
    machine = given_machine(tflops, 16, bandwidth, 1, is_cpu=True)
    return Plan(shape, asked, cost_of(shape, asked, "float32"), machine, "float32")


def copied_gb() -> float:
    """GB a second that copying 256 MB reads and writes; the best of ten."""
    source, best = torch.ones(2**26), 0.0
    target = torch.empty_like(source)
    for _ in range(10):
        start = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * source.numel() * 4 / (time.perf_counter() - start) / 1e9)
    return best


def main() -> None:
    """Calibrate on one, predict the others."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.characters:
        characters_a_token(options.characters)
        return
    if options.published:
        publish_once(*options.published)
        return
    if options.publish:
        publishing()
        return
    path = real_model()
    real = None if path is None else load_model(path)
    tokenizer = tiny_tokenizer() if real is None else real.tokenizer
    known, puzzles = big_model(tokenizer), puzzles_of(options.n)
    bandwidth = copied_gb()
    took = seconds(known, puzzles, options.rounds)
    tflops = planned(known, puzzles, 1.0, bandwidth).multiplying / took
    print(f"110M: {took:.2f} s for {options.n} puzzles: {1_000 * tflops:.1f} GFLOP/s with what "
          f"scoring adds; copying: {bandwidth:.1f} GB/s", flush=True)  # fmt: skip
    others = {"110M, longer prompts": (known, longer(puzzles))}
    others |= {"bundled toy": (load_model(bundled_model()), puzzles)}
    others |= {} if real is None else {"SmolLM2-135M-Instruct": (real, puzzles)}
    others |= {
        name: (random_model(name, tokenizer), puzzles)
        for name in WIDTHS
        if options.only in (None, name)
    }
    for name, (lm, asked) in others.items():
        if options.only not in (None, name):
            continue
        plan, took = planned(lm, asked, tflops, bandwidth), seconds(lm, asked, options.rounds)
        print(f"{name}: predicted {plan.scoring:.2f} s ({plan.limit}), measured {took:.2f} s, "
              f"predicted / measured {plan.scoring / took:.2f}", flush=True)  # fmt: skip


def characters_a_token(folder: Path) -> None:
    """Characters of a prompt over its tokens, of each public set."""
    path = real_model()
    if path is None:
        sys.exit("SmolLM2-135M-Instruct is not installed")
    lm = load_model(path)
    for name, puzzles in ({"made": puzzles_of(32)} | published_sets(folder, 200)).items():
        prompts = prompts_of(lm, puzzles)
        found = sum(len(one.text) for one in prompts) / sum(len(one.tokens) for one in prompts)
        packed = counted(puzzles, lm.tokenizer, 512)
        ratio, each = packed.n_unpacked / packed.n_tokens, packed.n_tokens / len(puzzles)
        print(f"{name}: {found:.2f} characters a token; {ratio:.2f} times as many unpacked, "
              f"{each:.0f} a puzzle")  # fmt: skip


def publishing() -> None:
    """Time and memory of publishing synthetic runs, by a process each; and a part's size."""
    for n, layers, heads in ((640, 16, 16), (1_280, 16, 16), (640, 32, 32), (1_280, 32, 32)):
        line = [sys.executable, "-m", "tests.bench.bench_plan", "--published"]
        line += [str(n), str(layers), str(heads)]
        print(subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip(),
              flush=True)  # fmt: skip


def publish_once(n: int, n_layers: int, n_heads: int) -> None:
    """Publish so many puzzles of so many heads, and print what it took."""
    from tests.stores import planted_puzzles, planted_run, publish_parts, write_parts

    rng = np.random.default_rng(0)
    puzzles = planted_puzzles(n // 2)
    n = len(puzzles)
    qk = rng.normal(0, 10, (n, n_layers * n_heads, 2)).astype(np.float32)
    logits = rng.normal(0, 1, (n, 2)).astype(np.float32)
    run = planted_run(puzzles, n_layers=n_layers, n_heads=n_heads, n_kv_heads=n_heads)
    raw = qk.nbytes
    with tempfile.TemporaryDirectory() as folder:
        parts = write_parts(Path(folder, "parts"), puzzles, qk, logits)
        on_disk = sum(path.stat().st_size for path in parts)
        del qk
        start, store = time.process_time(), Path(folder, "store.duckdb")
        publish_parts(store, run, puzzles, parts)
        took = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        size = store.stat().st_size
    seconds, n_bytes = publishing_of(n, n_layers * n_heads, 12)
    print(f"{n} puzzles x {n_layers * n_heads} heads: published in {took:.1f} s of a processor, "
          f"predicted {seconds:.1f}; {peak / 1e6:.0f} MB resident at most, predicted "
          f"{n_bytes / 1e6:.0f}; parts {on_disk / raw:.2f} x raw, store {size / raw:.2f} x raw"
          )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=32, help="puzzles")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", metavar="NAME", help="one of the predicted models")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--published", type=int, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--characters", type=Path, metavar="FOLDER", help="with the public sets")
    return parser.parse_args()


if __name__ == "__main__":
    main()
