"""The command line: `qkscope COMMAND`, or `python -m qkcore COMMAND`.

Reads arguments, calls the core, prints. Exit status 0 on success, 2 on bad input with one line that
says what is wrong, where, and what to do, 130 when interrupted. Torch is loaded only by the
commands that score.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TypeAlias

from qkcore import InputError, __version__, commands
from qkcore.asking.readings import ROPES
from qkcore.puzzles.public_sets import NAMES
from qkcore.puzzles.worlds import WORLDS

Added: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # where commands are added


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
        sys.stdout.flush()
    except InputError as error:
        interrupted = type(error).__name__ == "Interrupted"
        print(
            f"qkscope {options.command}: {'' if interrupted else 'error: '}{error}", file=sys.stderr
        )
        return 130 if interrupted else 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(
            f"qkscope {options.command}: error: {error.filename}: {error.strerror}", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print(f"qkscope {options.command}: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qkscope",
        description="Which attention heads of a language model get a logic puzzle right?",
    )
    parser.add_argument("--version", action="version", version=f"qkscope {__version__}")
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_app,
        _add_generate,
        _add_import,
        _add_balance,
        _add_precompute,
        _add_ablate,
        _add_migrate,
        _add_bundle,
        _add_export,
        _add_report,
        _add_score,
        _add_check,
    ):
        add(added)
    return parser


def _add_app(added: Added) -> None:
    parser = added.add_parser("app", help="open the dashboard in the browser")
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE.duckdb",
        help="the results to show (default: the demo store that comes with QKScope)",
    )
    parser.add_argument("--port", type=int, default=8501, help="on this machine (default: 8501)")
    parser.set_defaults(run=commands.app)


def _add_generate(added: Added) -> None:
    parser = added.add_parser("generate", help="make new puzzles that no surface rule solves")
    parser.add_argument(
        "--steps",
        type=_whole_range,
        default=(1, 1),
        metavar="N[-M]",
        help="rule applications (0 to 6)",
    )
    parser.add_argument(
        "--distractors", type=_whole_range, default=(0, 0), metavar="N[-M]", help="0 to 5"
    )
    parser.add_argument(
        "--n", type=int, default=100, help="puzzles for each pair of steps and distractors"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--style", choices=("made-up", "everyday"), default="made-up")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.set_defaults(run=commands.generate)


def _add_import(added: Added) -> None:
    parser = added.add_parser("import", help="read a public puzzle set into a puzzle file")
    parser.add_argument("format", choices=tuple(NAMES))
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--seed", type=int, default=0, help="decides who is validation and who is test"
    )
    parser.add_argument(
        "--validation-share", type=float, default=0.5, metavar="SHARE", help="0 to 1 (default: 0.5)"
    )
    parser.set_defaults(run=commands.import_set)


def _add_balance(added: Added) -> None:
    parser = added.add_parser(
        "balance", help="make a puzzle file's balanced twin, which no surface rule solves"
    )
    parser.add_argument("--puzzles", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--world",
        choices=WORLDS,
        help="is what does not follow left open, or false? (default: as the puzzles' own answers)",
    )
    parser.add_argument(
        "--per-context",
        type=int,
        default=2,
        metavar="N",
        help="statements of each of the four kinds, where the context has as many (default: 2)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument(
        "--list", action="store_true", help="name every context that is left out, not the first ten"
    )
    parser.set_defaults(run=commands.balance)


def _add_precompute(added: Added) -> None:
    parser = added.add_parser("precompute", help="score a puzzle file into a result store")
    _add_model(parser, is_needed=False)
    parser.add_argument("--puzzles", type=Path, metavar="FILE.jsonl")
    parser.add_argument(
        "--store", type=Path, required=True, metavar="FILE.duckdb", help="made if it does not exist"
    )
    parser.add_argument(
        "--puzzle-set", metavar="NAME", help="its name in the store (default: the file's name)"
    )
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=None,
        help="padded tokens a pass; less needs less memory (default: what suits the device)",
    )
    parser.add_argument(
        "--without-texts",
        action="store_true",
        help="keep ids and scores only, not the puzzles' texts",
    )
    parser.add_argument(
        "--scores",
        choices=("float32", "float16"),
        default="float32",
        help="as what the store keeps raw scores; float16 takes half the room, and what that "
        "changes is printed",
    )
    parser.add_argument(
        "--lens",
        action="store_true",
        help="also read after each layer: the model's answer had it stopped there, and a probe "
        "(adds them to a run that the store holds without)",
    )
    _add_engine(parser, ("local", "torchrun", "ray"))
    parser.add_argument(
        "--address", metavar="ADDRESS", help="of a Ray cluster, or auto (default: this machine)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="Ray: models at once (default: all that fit)",
    )
    parser.add_argument(
        "--gpus-per-model",
        type=float,
        default=0,
        metavar="N",
        help="Ray: GPUs of each (default 0)",
    )
    parser.add_argument(
        "--status", action="store_true", help="say how far unfinished runs are, and score nothing"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="hash a run's parts again, score some again and compare; nothing is changed",
    )
    parser.add_argument(
        "--sample", type=int, default=2, metavar="N", help="parts that --verify scores (default: 2)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=commands.precompute)


def _add_ablate(added: Added) -> None:
    parser = added.add_parser(
        "ablate", help="switch heads of a scored run off, and see whether the model still answers"
    )
    _add_model(parser)
    parser.add_argument("--puzzles", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--store", type=Path, required=True, metavar="FILE.duckdb", help="that holds the run"
    )
    parser.add_argument(
        "--heads",
        default="chosen",
        metavar="HEADS",
        help="chosen (the best on validation puzzles, as many as --k says), top5, or names such as "
        "L15H7,L17H8",
    )
    parser.add_argument(
        "--kind",
        choices=("mean", "zero", "resample", "knock-out"),
        default="mean",
        help="what takes the place of a head's output: its mean over validation puzzles, nothing, "
        "its output at a random token of them; or the path from the cue to the statement's end cut",
    )
    parser.add_argument(
        "--controls",
        type=int,
        default=20,
        metavar="N",
        help="sets of random heads of the same layers, switched off likewise (default: 20)",
    )
    parser.add_argument(
        "--k",
        type=_numbers,
        metavar="K,...",
        help="how many heads, with --heads chosen (default: 1,3,5,10)",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="test puzzles at most (default: all of them)"
    )
    parser.add_argument("--batch-tokens", type=int, default=None, help="padded tokens a pass")
    _add_engine(parser, ("local", "torchrun"))
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=commands.ablate)


def _add_migrate(added: Added) -> None:
    parser = added.add_parser(
        "migrate", help="count an older store's scores again, as this version does"
    )
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.set_defaults(run=commands.migrate)


def _add_bundle(added: Added) -> None:
    parser = added.add_parser("bundle", help="put chosen runs into one file or folder to share")
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        dest="run_ids",
        metavar="RUN",
        help="default: all runs",
    )
    parser.add_argument("--without-texts", action="store_true", help="leave the puzzles' texts out")
    parser.add_argument(
        "--licence",
        type=_named_text,
        action="append",
        default=[],
        metavar="SET=TEXT",
        help="of a puzzle set",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.zip", help="or a folder to make"
    )
    parser.set_defaults(run=commands.bundle)


def _add_export(added: Added) -> None:
    parser = added.add_parser("export", help="write a run's tables as CSV or Parquet files")
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument(
        "--run",
        required=True,
        dest="run_id",
        metavar="RUN",
        help="its id, as the dashboard shows it",
    )
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="made if it does not exist"
    )
    parser.set_defaults(run=commands.export)


def _add_report(added: Added) -> None:
    parser = added.add_parser("report", help="write a run's report: one HTML file, or a PDF")
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument(
        "--run",
        required=True,
        dest="run_id",
        metavar="RUN",
        help="its id, as the dashboard shows it",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="or FILE.pdf")
    parser.set_defaults(run=commands.report)


def _add_score(added: Added) -> None:
    parser = added.add_parser("score", help="score one puzzle from standard input")
    _add_model(parser)
    parser.add_argument(
        "--candidates",
        default=None,
        metavar="A,B",
        help="default: the puzzle's own, else true,false",
    )
    parser.add_argument("--json", action="store_true", help="print every head's scores as JSON")
    parser.set_defaults(run=commands.score)


def _add_check(added: Added) -> None:
    parser = added.add_parser("check", help="load a model and show how it is read")
    _add_model(parser)
    parser.set_defaults(run=commands.check)


def _add_engine(parser: argparse.ArgumentParser, engines: tuple[str, ...]) -> None:
    parser.add_argument(
        "--engine",
        choices=engines,
        default="local",
        help="who does the work (default: this process); docs/scaling.md says how to start others",
    )
    parser.add_argument(
        "--log-file",
        "--log",  # torchrun takes this for an option of its own
        type=Path,
        dest="log",
        metavar="FILE",
        help="write a line of JSON for what happens",
    )


def _add_model(parser: argparse.ArgumentParser, is_needed: bool = True) -> None:
    parser.add_argument(
        "--model",
        required=is_needed,
        metavar="MODEL",
        help="a folder, a .gguf file, a Hugging Face id, or ORG/REPO:FILE.gguf",
    )
    parser.add_argument(
        "--rope",
        choices=ROPES,
        default="pre",
        help="queries and keys before rotary embedding (pre), after it (post), or as their "
        "projections give them, before QK-norm too (raw)",
    )
    parser.add_argument(
        "--template", metavar="TEXT", help="format string with {context}, {statement} and a cue"
    )
    parser.add_argument(
        "--chat",
        action="store_true",
        help="ask through the tokenizer's chat template (default: plain text)",
    )
    parser.add_argument(
        "--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps or auto (default: cuda if there)"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="default: float32 on the CPU"
    )
    parser.add_argument(
        "--quantize",
        choices=("8bit", "4bit"),
        help="hold the weights in fewer bits (needs bitsandbytes)",
    )


def _named_text(text: str) -> tuple[str, str]:
    """(name, text) of "SET=LICENCE"."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise argparse.ArgumentTypeError(f"{text!r}: write SET=LICENCE")
    return name.strip(), value.strip()


def _numbers(text: str) -> list[int]:
    """Whole numbers of "1,3,5"."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write whole numbers, such as 1,3,5") from None


def _whole_range(text: str) -> tuple[int, int]:
    """(first, last) of "3" or "1-6"."""
    first, _, last = text.partition("-")
    try:
        pair = int(first), int(last or first)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a whole number nor a range such as 1-6"
        ) from None
    if pair[0] > pair[1]:
        raise argparse.ArgumentTypeError(f"{text!r} runs backwards")
    return pair


if __name__ == "__main__":
    sys.exit(main())
