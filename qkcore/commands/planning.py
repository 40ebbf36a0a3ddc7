"""`plan`: what a run will cost on a machine, before either is there."""

import argparse
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qkcore import InputError
from qkcore.commands.options import Added

if TYPE_CHECKING:
    from qkcore.planning.asked import Asked
    from qkcore.planning.machine import Machine
    from qkcore.planning.plan import Plan
    from qkcore.planning.shape import Shape


def add_plan(added: Added) -> None:
    """Options of `plan`."""
    parser = added.add_parser(
        "plan", help="what scoring would take on a machine: hours, memory, disk, and what limits it"
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="folders with a config.json, or Hugging Face ids; weights are not read",
    )
    parser.add_argument(
        "--params",
        nargs="+",
        default=[],
        metavar="SIZE",
        help="or sizes such as 1.5B 70B: the usual shape of such a model is assumed",
    )
    parser.add_argument("--puzzles", type=Path, metavar="FILE.jsonl", help="to be counted")
    parser.add_argument("--n-puzzles", type=int, metavar="N", help="or how many")
    parser.add_argument(
        "--tokens", type=int, metavar="T", help="of each, with its candidates; with --n-puzzles"
    )
    parser.add_argument("--candidates", type=int, default=2, metavar="N", help="with --n-puzzles")
    _machine_options(parser)
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="default: float32 on the CPU"
    )
    parser.add_argument("--quantize", choices=("8bit", "4bit"), help="weights in fewer bits")
    parser.add_argument("--scores", choices=("float32", "float16"), default="float32")
    parser.add_argument("--batch-tokens", type=int, help="default: what scoring takes there")
    parser.add_argument(
        "--mtbf-hours",
        type=float,
        metavar="H",
        help="hours between two failures of one worker: simulates both engines with them",
    )
    parser.set_defaults(run=plan)


def _machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gpu", metavar="NAME", help="of the table of public peaks (docs/scaling.md)"
    )
    parser.add_argument(
        "--share", type=float, metavar="S", help="of the peak that is reached (assumed: 0.4)"
    )
    parser.add_argument(
        "--gpus", type=int, default=1, metavar="N", help="how many; with --cpu, machines"
    )
    parser.add_argument("--cpu", action="store_true", help="a CPU, by the figures that you give")
    parser.add_argument(
        "--tflops", type=float, help="instead of --gpu: 1e12 operations a second that it reaches"
    )
    parser.add_argument("--memory-gb", type=float, help="its memory")
    parser.add_argument("--bandwidth", type=float, help="GB a second that its memory reaches")


def plan(options: Namespace) -> None:
    """Print a plan a model, and of all of them together."""
    from qkcore.planning.plan import total_hours
    from qkcore.planning.said import caveats, lines_of, with_failures
    from qkcore.scoring.progress import in_words

    machine = _machine(options)
    if options.mtbf_hours is not None and not options.mtbf_hours > 0:
        raise InputError(f"--mtbf-hours {options.mtbf_hours:g} must be above 0")
    plans = _plans(options, machine)
    for one in plans:
        print("\n".join(lines_of(one, options.scores)))
        if options.mtbf_hours is not None and one.n_models:
            print("\n".join(with_failures(one, options.mtbf_hours * 3600)))
        print()
    if len(plans) > 1:
        hours = total_hours(plans)
        print(f"all {len(plans)} runs, one after the other: {in_words(hours * 3600)}")
    print(caveats())


def _machine(options: Namespace) -> "Machine":
    """The machine that is meant.

    Raises:
        InputError: when it is not said, or said twice.
    """
    from qkcore.planning.machine import given_machine, known_machine

    if options.gpus < 1:
        raise InputError(f"--gpus {options.gpus}: give 1 or more")
    figures = (options.tflops, options.memory_gb, options.bandwidth)
    if options.gpu:
        if any(one is not None for one in figures) or options.cpu:
            raise InputError("--gpu names its own figures; leave --tflops and the others out")
        return known_machine(options.gpu, options.gpus, options.share)
    if any(one is None for one in figures):
        raise InputError(
            "say what it would run on: --gpu NAME, or --tflops, --memory-gb and --bandwidth"
        )
    if options.share is not None:
        raise InputError("--share is of --gpu's peak; --tflops is what is reached, without it")
    return given_machine(*figures, options.gpus, options.cpu)


def _plans(options: Namespace, machine: "Machine") -> "list[Plan]":
    from qkcore.planning.cost import cost_of
    from qkcore.planning.plan import Plan
    from qkcore.planning.shape import shape_of_model, shape_of_size
    from qkcore.scoring.score import BATCH_TOKENS

    named = [(shape_of_size(one), None) for one in options.params]
    named += [(shape_of_model(one), one) for one in options.model]
    if not named:
        raise InputError("say which model: --model FOLDER, or --params 70B")
    tokens = options.batch_tokens or BATCH_TOKENS["cpu" if machine.is_cpu else "cuda"]
    if tokens < 1:
        raise InputError(f"--batch-tokens {tokens}: give 1 or more")
    width = options.quantize or options.dtype or ("float32" if machine.is_cpu else "bfloat16")
    asked = _asked(options, named, tokens)
    return [
        Plan(shape, one, cost_of(shape, one, width, options.scores), machine, width)
        for (shape, _), one in zip(named, asked, strict=True)
    ]


def _asked(
    options: Namespace, named: "Sequence[tuple[Shape, str | None]]", batch_tokens: int
) -> "list[Asked]":
    """What each model is asked; counted with its own tokenizer where it has one."""
    from qkcore.planning.asked import alike, counted, tokenizer_of

    if options.puzzles is None:
        if options.n_puzzles is None or options.tokens is None:
            raise InputError("say what is asked: --puzzles FILE, or --n-puzzles N and --tokens T")
        one = alike(options.n_puzzles, options.tokens, batch_tokens, options.candidates)
        return [one] * len(named)
    if options.n_puzzles is not None or options.tokens is not None:
        raise InputError("--puzzles is counted; leave --n-puzzles and --tokens out")
    from qkcore.puzzles.puzzle import load_puzzles

    puzzles = load_puzzles(options.puzzles)
    return [counted(puzzles, tokenizer_of(model), batch_tokens) for _, model in named]
