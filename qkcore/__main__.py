"""The command line: `python -m qkcore COMMAND`.

Reads arguments, calls the core, prints. Exit status 0 on success, 2 on bad input with one line that says what is
wrong, where, and what to do, 130 when interrupted. Torch is loaded only by the commands that score.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from qkcore import InputError, __version__
from qkcore.puzzles import Puzzle, PuzzleError, context_group, load_puzzles, save_puzzles

SET_FORMATS = ("prontoqa", "pararule", "multilogieval")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
        sys.stdout.flush()
    except InputError as error:
        interrupted = type(error).__name__ == "Interrupted"
        print(f"qkcore {options.command}: {'' if interrupted else 'error: '}{error}", file=sys.stderr)
        return 130 if interrupted else 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"qkcore {options.command}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"qkcore {options.command}: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qkcore",
        description="Which attention heads of a language model get a logic puzzle right?",
    )
    parser.add_argument("--version", action="version", version=f"qkcore {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="make new puzzles that no surface rule solves")
    generate.add_argument(
        "--steps", type=_whole_range, default=(1, 1), metavar="N[-M]", help="rule applications (0 to 6)"
    )
    generate.add_argument("--distractors", type=_whole_range, default=(0, 0), metavar="N[-M]", help="0 to 5")
    generate.add_argument("--n", type=int, default=100, help="puzzles for each pair of steps and distractors")
    generate.add_argument("--seed", type=int, default=0)
    generate.add_argument("--style", choices=("made-up", "everyday"), default="made-up")
    generate.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    generate.set_defaults(run=_generate)

    importer = commands.add_parser("import", help="read a public puzzle set into a puzzle file")
    importer.add_argument("format", choices=SET_FORMATS)
    importer.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files")
    importer.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    importer.add_argument("--seed", type=int, default=0, help="decides who is validation and who is test")
    importer.add_argument("--validation-share", type=float, default=0.5, metavar="SHARE", help="0 to 1 (default: 0.5)")
    importer.set_defaults(run=_import)

    precompute = commands.add_parser("precompute", help="score a puzzle file into a result store")
    _add_model(precompute)
    precompute.add_argument("--puzzles", type=Path, required=True, metavar="FILE.jsonl")
    precompute.add_argument(
        "--store", type=Path, required=True, metavar="FILE.duckdb", help="made if it does not exist"
    )
    precompute.add_argument("--puzzle-set", metavar="NAME", help="its name in the store (default: the file's name)")
    precompute.add_argument("--engine", choices=("local",), default="local")
    precompute.add_argument(
        "--batch-tokens", type=int, default=4096, help="padded tokens a pass; less needs less memory"
    )
    precompute.add_argument("--quiet", action="store_true", help="no progress bar")
    precompute.set_defaults(run=_precompute)

    score = commands.add_parser("score", help="score one puzzle from standard input")
    _add_model(score)
    score.add_argument("--candidates", default=None, metavar="A,B", help="default: the puzzle's own, else true,false")
    score.add_argument("--json", action="store_true", help="print every head's scores as JSON")
    score.set_defaults(run=_score)

    check = commands.add_parser("check", help="load a model and show how it is read")
    _add_model(check)
    check.set_defaults(run=_check)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a folder, or a Hugging Face id")
    parser.add_argument(
        "--rope", choices=("pre", "post"), default="pre", help="scores before or after rotary embedding"
    )
    parser.add_argument("--template", metavar="TEXT", help="format string with {context}, {statement} and a cue")
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps or auto (default: cuda if there)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: float32 on the CPU")


def _whole_range(text: str) -> tuple[int, int]:
    """(first, last) of "3" or "1-6"."""
    first, _, last = text.partition("-")
    try:
        pair = int(first), int(last or first)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor a range such as 1-6") from None
    if pair[0] > pair[1]:
        raise argparse.ArgumentTypeError(f"{text!r} runs backwards")
    return pair


def _generate(options) -> None:
    from qkcore.generate import generate_puzzles

    steps, distractors = (range(first, last + 1) for first, last in (options.steps, options.distractors))
    puzzles = generate_puzzles(steps, distractors, options.n, options.seed, options.style)
    _save(puzzles, options.out)


def _import(options) -> None:
    from qkcore.public_sets import import_puzzles

    _save(import_puzzles(options.format, options.paths, options.seed, options.validation_share), options.out)


def _save(puzzles: list[Puzzle], path: Path) -> None:
    save_puzzles(puzzles, path)
    n_test = sum(puzzle.split == "test" for puzzle in puzzles)
    print(f"{path}: {len(puzzles):,} puzzles, {len(puzzles) - n_test:,} validation and {n_test:,} test")


def _load(options):
    """(CausalLM, PromptTemplate or None) as the options say."""
    from transformers.utils import logging

    from qkcore.models import load_model
    from qkcore.prompts import PromptTemplate

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    template = PromptTemplate(options.template.replace("\\n", "\n")) if options.template else None
    return load_model(options.model, dtype=options.dtype, device=options.device), template


def _precompute(options) -> None:
    puzzles = load_puzzles(options.puzzles)
    lm, template = _load(options)
    from qkcore.precompute import run

    run_id = run(
        lm,
        puzzles,
        options.store,
        puzzle_set=options.puzzle_set or options.puzzles.stem,
        rope=options.rope,
        template=template,
        max_batch_tokens=options.batch_tokens,
        show_progress=not options.quiet,
    )
    print(f"{options.store}: run {run_id}, {len(puzzles):,} puzzles")


def _score(options) -> None:
    puzzle = _read_puzzle(sys.stdin.read(), options.candidates)
    lm, template = _load(options)
    from qkcore.evaluate import prompts_of, score_puzzle

    scores = score_puzzle(lm, puzzle, rope=options.rope, template=template)
    prompt = prompts_of(lm, [puzzle], template)[0]
    choices = scores.choices.tolist()
    heads = [
        {"layer": layer, "head": head, "scores": one, "choice": _named(puzzle, choices[layer][head])}
        for layer, row in enumerate(scores.qk.tolist())
        for head, one in enumerate(row)
    ]
    model_choice = _named(puzzle, scores.model_choice)
    if not options.json:
        print(f"model: {model_choice}")
        for head in heads:
            print(f"L{head['layer']} H{head['head']}: {head['choice']}  {head['scores']}")
        return
    result = {
        "candidates": list(puzzle.candidates),
        "model": {"logits": scores.logits.tolist(), "choice": model_choice},
        "heads": heads,
        "rope": options.rope,
        "key_token": lm.tokenizer.decode([prompt.tokens[prompt.key_at]]),
        "model_id": lm.name,
    }
    print(json.dumps(result))


def _named(puzzle: Puzzle, choice: int) -> str | None:
    return None if choice < 0 else puzzle.candidates[choice]


def _read_puzzle(text: str, candidates: str | None) -> Puzzle:
    """A puzzle from one JSON object, or from lines "Context: ..." and "Statement: ..."."""
    row: dict = {}
    if text.lstrip().startswith("{"):
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise PuzzleError(f"standard input is not valid JSON ({error.msg}, line {error.lineno})") from None
    else:
        for line in text.splitlines():
            name, colon, rest = line.partition(":")
            field = {"question": "statement"}.get(name.strip().lower(), name.strip().lower())
            if colon and field in ("context", "statement"):
                row[field] = rest.strip()
    for field in ("context", "statement"):
        if field not in row:
            raise PuzzleError(
                f"standard input: no {field}; write a JSON object, or lines 'Context: ...' and 'Statement: ...'"
            )
    named = candidates.split(",") if candidates else row.get("candidates", ["true", "false"])
    context = row["context"]
    return Puzzle(
        puzzle_id="standard input",
        context=context,
        statement=row["statement"],
        candidates=tuple(named) if isinstance(named, list) else named,
        answer=None,
        steps=None,
        distractors=None,
        group=context_group(context) if isinstance(context, str) else "typed",
        split="test",
    )


def _check(options) -> None:
    lm, template = _load(options)
    from qkcore.evaluate import prompts_of

    puzzle = _read_puzzle("Context: Max is a cat. Every cat is happy.\nStatement: Max is happy.", None)
    prompt = prompts_of(lm, [puzzle], template)[0]
    geometry, check = lm.geometry, lm.check
    rotation = "no rotary embedding" if check.rotation is None else f"{check.rotation:.1e}"
    lines = {
        "model": f"{lm.name} ({geometry.model_type}), revision {lm.revision}, {lm.dtype} on {lm.device}",
        "layers": f"{geometry.n_layers}, each {geometry.n_heads} heads and {geometry.n_kv_heads} kv heads",
        "prompt": repr([lm.tokenizer.decode([token]) for token in prompt.tokens]),
        "key token": repr(lm.tokenizer.decode([prompt.tokens[prompt.key_at]])),
        "candidates": repr([[lm.tokenizer.decode([token]) for token in ids] for ids in prompt.candidates]),
        "self-check": f"passed; differences are at most {check.tolerance:.0e} of the largest value",
        "  attention rebuilt": f"{check.attention:.1e}",
        "  before and after rotary": rotation,
        "  candidates side by side": f"{check.side_by_side:.1e}",
    }
    for name, value in lines.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main())
