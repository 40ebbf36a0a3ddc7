"""Options that several commands share, and the model they ask for."""

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from qkcore import InputError
from qkcore.asking.options import ROLES
from qkcore.asking.readings import ROPES

if TYPE_CHECKING:
    from qkcore.asking.templates import Template
    from qkcore.attention.load import CausalLM

Added: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # where commands are added


def model_options(
    parser: argparse.ArgumentParser, is_needed: bool = True, is_asked: bool = True
) -> None:
    """A model, and how it is loaded; unless `is_asked` is False, how it is asked and read too."""
    parser.add_argument(
        "--model",
        required=is_needed,
        metavar="MODEL",
        help="a folder, a .gguf file, a Hugging Face id, or ORG/REPO:FILE.gguf",
    )
    if is_asked:
        _asking_options(parser)
    else:
        parser.set_defaults(rope="pre", template=None, chat=False, roles="answer")
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


def _asking_options(parser: argparse.ArgumentParser) -> None:
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
        "--roles",
        choices=ROLES,
        default="answer",
        help="who has the query: each candidate after the cue (answer), or the cue, with a key at "
        "the end of each option that the prompt lists by letters (options: multiple choice)",
    )


def engine_options(parser: argparse.ArgumentParser, engines: tuple[str, ...]) -> None:
    """Who does the work, and where it is written down."""
    parser.add_argument(
        "--engine",
        choices=engines,
        default="local",
        help="who does the work (default: this process); docs/scaling.md says how to start others",
    )
    parser.add_argument(
        "--parts",
        metavar="PLACE",
        help="where finished parts are kept until all are there: a folder, or an object store's "
        "address such as s3://bucket/parts (default: beside the store)",
    )
    parser.add_argument(
        "--log-file",
        "--log",  # torchrun takes this for an option of its own
        type=Path,
        dest="log",
        metavar="FILE",
        help="write a line of JSON for what happens",
    )


def licence_option(parser: argparse.ArgumentParser) -> None:
    """What somebody knows of puzzle sets' licences."""
    parser.add_argument(
        "--licence",
        type=_named_text,
        action="append",
        default=[],
        metavar="SET=TEXT",
        help="of a puzzle set",
    )


def _named_text(text: str) -> tuple[str, str]:
    """(name, text) of "SET=LICENCE"."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise argparse.ArgumentTypeError(f"{text!r}: write SET=LICENCE")
    return name.strip(), value.strip()


def model_of(options: Namespace) -> "tuple[CausalLM, Template | None]":
    """The model, and the template or None, as the options say."""
    from qkcore.scoring.engines import own_device
    from qkcore.scoring.recipe import Recipe

    return Recipe(
        options.model,
        options.dtype,
        options.device or own_device(),
        options.quantize,
        options.template,
        options.chat,
        options.roles,
    ).load()


def ray_options(parser: argparse.ArgumentParser) -> None:
    """Which cluster, how many models at once, and what each of them has."""
    parser.add_argument(
        "--address", metavar="ADDRESS", help="of a Ray cluster, or auto (default: this machine)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="Ray: models at once (default: all that fit)"
    )
    parser.add_argument(
        "--gpus-per-model", type=float, default=0, metavar="N", help="Ray: GPUs of each (default 0)"
    )


def require_ray_for_its_options(options: Namespace) -> None:
    """Refuse an option of `ray_options` that would do nothing.

    Raises:
        InputError: naming it.
    """
    given = {
        "--workers": options.workers is not None,
        "--address": options.address is not None,
        "--gpus-per-model": bool(options.gpus_per_model),
    }
    if options.engine != "ray" and any(given.values()):
        name = next(name for name, is_given in given.items() if is_given)
        raise InputError(f"{name} is for --engine ray alone; add that, or leave {name} out")


def run_option(parser: argparse.ArgumentParser) -> None:
    """A store, and one of its runs."""
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument(
        "--run",
        required=True,
        dest="run_id",
        metavar="RUN",
        help="its id, as `qkscope runs` lists it",
    )
