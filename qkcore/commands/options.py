"""Options that several commands share, and the model they ask for."""

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

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
        parser.set_defaults(rope="pre", template=None, chat=False)
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


def engine_options(parser: argparse.ArgumentParser, engines: tuple[str, ...]) -> None:
    """Who does the work, and where it is written down."""
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
    ).load()
