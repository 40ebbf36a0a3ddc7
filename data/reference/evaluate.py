"""Measure the bundled model on fresh puzzles with plain transformers, for its model card.

Prints the card's tables:

    python data/reference/evaluate.py --n 200
    python data/reference/evaluate.py --puzzles puzzles.jsonl    # any puzzle file, by steps
    python data/reference/evaluate.py --heads                    # the demo store's chosen heads

Uses nothing of the training code: a prompt goes in, and the larger of the logits of " true" and
" false" comes out.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from scipy.stats import binomtest
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from qkcore.puzzles.generate import MAX_DISTRACTORS, MAX_STEPS, STYLES, generate_puzzles  # noqa: E402
from qkcore.puzzles.puzzle import Puzzle, load_puzzles  # noqa: E402
from qkcore.results.answers import exam  # noqa: E402
from qkcore.results.store import ResultStore  # noqa: E402
from qkcore.statistics.exams import accuracy_by  # noqa: E402
from qkcore.wording import accuracy_text, head_name, percent  # noqa: E402

SEED = 20_250_217  # training draws from a stream of its own and never from generate_puzzles
PROMPT = (
    "Decide from the context whether the statement is true or false.\n"
    "Context: {context}\nStatement: {statement}\nAnswer:"
)


@torch.no_grad()
def right_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    puzzles: list[Puzzle],
    batch_size: int = 64,
) -> list[bool]:
    """Whether the model's choice is the answer, for each puzzle. A tie is wrong."""
    right: list[bool] = []
    for start in range(0, len(puzzles), batch_size):
        some = puzzles[start : start + batch_size]
        texts = [PROMPT.format(context=p.context, statement=p.statement) for p in some]
        inputs = tokenizer(
            texts,
            padding=True,
            padding_side="right",
            return_tensors="pt",
            return_token_type_ids=False,
        )
        last = inputs.attention_mask.sum(1) - 1
        logits = model(**inputs).logits[torch.arange(len(some)), last]
        candidates = torch.tensor([tokenizer(f" {c}").input_ids[-1] for c in some[0].candidates])
        answers = torch.tensor([p.answer for p in some])[:, None]
        scores = logits[:, candidates]
        right += (scores.gather(1, answers) > scores.gather(1, 1 - answers))[:, 0].tolist()
    return right


def share(right: list[bool]) -> str:
    """Accuracy with its Wilson 95 % interval.

    >>> share([True] * 90 + [False] * 10)
    '90.0 % (82.6 to 94.5, n = 100)'
    """
    interval = binomtest(sum(right), len(right)).proportion_ci(method="wilson")
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * sum(right) / len(right):.1f} % ({low:.1f} to {high:.1f}, n = {len(right):,})"


def generated_table(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, style: str, n: int
) -> Iterator[str]:
    """Markdown lines: a row for each number of steps, a column for each number of distractors.

    And all together.
    """
    counts = range(MAX_DISTRACTORS + 1)
    yield f"Style {style}\n"
    yield "| steps | " + " | ".join(f"{d} distractors" for d in counts) + " | all |"
    yield "| --- |" + " --- |" * (len(counts) + 1)
    for steps in range(MAX_STEPS + 1):
        cells = []
        for distractors in counts:
            puzzles = generate_puzzles(steps, distractors, 2 * n, SEED, style)
            cells.append(right_answers(model, tokenizer, [p for p in puzzles if p.split == "test"]))
        yield f"| {steps} | " + " | ".join(map(share, [*cells, list(chain(*cells))])) + " |"
    yield ""


def file_table(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: str
) -> Iterator[str]:
    """Markdown lines: a row for each number of steps in a puzzle file."""
    puzzles = load_puzzles(path)
    yield "| steps | accuracy |\n| --- | --- |"
    for steps in sorted({p.steps for p in puzzles if p.steps is not None}):
        as_long = [p for p in puzzles if p.steps == steps]
        yield f"| {steps} | {share(right_answers(model, tokenizer, as_long))} |"


def print_heads() -> None:
    """The chosen head of each run before rotary, and the model, on test puzzles by steps.

    It is chosen on validation puzzles.
    """
    print("| puzzles | head | steps | head | model | luck line |")
    print("| --- | --- | --- | --- | --- | --- |")
    with ResultStore.open(HERE.parent / "qkscope.duckdb") as store:
        for run in store.runs().query("rope == 'pre' and model == 'reference'").itertuples():
            best = store.best_head(run.run_id)
            luck = store.luck_lines(run.run_id, "test", "steps").set_index("steps")["q95"]
            curves = accuracy_by(exam(store, run.run_id, *best), ["steps"], ("head", "model"))
            for steps, rows in curves.groupby("steps"):
                quoted = rows.set_index("who")[["accuracy", "low", "high", "n"]]
                cells = [accuracy_text(*quoted.loc[who]) for who in ("head", "model")]
                line = [run.puzzle_set, head_name(*best), str(steps), *cells, percent(luck[steps])]
                print(f"| {' | '.join(line)} |".replace("\xa0", " "))


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=str(HERE), help="folder of the model")
    parser.add_argument(
        "--n", type=int, default=200, help="test puzzles for each pair of steps and distractors"
    )
    parser.add_argument("--puzzles", help="measure on this puzzle file instead")
    parser.add_argument(
        "--heads", action="store_true", help="print what the demo store says of the chosen heads"
    )
    arguments = parser.parse_args()
    if arguments.heads:
        print_heads()
        return
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model).eval()
    if arguments.puzzles:
        tables = [file_table(model, tokenizer, arguments.puzzles)]
    else:
        tables = [generated_table(model, tokenizer, style, arguments.n) for style in STYLES]
    for line in chain(*tables):
        print(line, flush=True)


if __name__ == "__main__":
    main()
