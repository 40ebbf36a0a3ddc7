"""A puzzle, a model and a head to take away: as part of a link, as Python, as a shell command.

A link's text holds everything that changes the numbers, so a server that has never seen the puzzle
shows the same ones. It comes from strangers: `decode` gives a `Shared` that is whole and of bounded
size, or raises a `LinkError`, and never unpacks more than `MAX_UNPACKED`. What it names (a model)
is only a name; whether to load it is the caller's business.
"""

import base64
import binascii
import json
import shlex
import zlib
from dataclasses import dataclass
from typing import Any

from qkcore import InputError
from qkcore.asking.options import roles_named
from qkcore.asking.readings import ROPES
from qkcore.asking.templates import CHAT, DEFAULT, template_named
from qkcore.puzzles.puzzle import Puzzle, PuzzleError
from qkcore.wording import head_name

VERSION = 1  # the first byte of a link's text
MAX_LINK = 30_000  # characters; what servers and mail programs take
MAX_UNPACKED = 500_000  # bytes
MAX_CANDIDATES = 8
MAX_INDEX = 10_000  # no model has as many layers, or heads in one
REMEDY = "copy it again in full, or ask for a new one"


class LinkError(InputError):
    """A link that cannot be made or opened; the message says why."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link holds: everything that changes the numbers, and the head in view."""

    puzzle: Puzzle
    model: str  # a folder or Hugging Face id, as `load_model` takes it
    rope: str = "pre"
    template: str = DEFAULT  # as `template_name` names it
    layer: int = 0
    head: int = 0


def typed_puzzle(
    context: str,
    statement: str,
    candidates: tuple[str, ...] = ("true", "false"),
    answer: int | None = None,
) -> Puzzle:
    """A puzzle that is in no set: of a group of its own, its difficulty not stated.

    Args:
        context: the premises.
        statement: what is to be judged.
        candidates: the possible answers.
        answer: index into the candidates; None where nobody knows.

    Raises:
        PuzzleError: naming the field that cannot be used.

    >>> from qkcore import typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is happy.", "Max is happy.", answer=0)
    >>> one.candidates, one.steps, one.split
    (('true', 'false'), None, 'test')
    """
    return Puzzle("typed", context, statement, candidates, answer, None, None, "typed", "test")


def encode(shared: Shared) -> str:
    """Text of letters, digits, "-" and "_" that `decode` turns back.

    >>> one = Shared(typed_puzzle("Max is a cat.", "Max is a cat."), "data/reference", layer=6)
    >>> decode(encode(one)) == one
    True

    Raises:
        LinkError: when the puzzle is too long for a link.
    """
    puzzle = shared.puzzle
    row = [puzzle.context, puzzle.statement, puzzle.candidates, puzzle.answer]
    row += [shared.model, shared.rope, shared.template, shared.layer, shared.head]
    packed = bytes([VERSION]) + zlib.compress(json.dumps(row, ensure_ascii=False).encode(), 9)
    text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    if len(text) > MAX_LINK:
        raise LinkError(
            f"this puzzle is too long for a link ({len(text):,} characters, at most {MAX_LINK:,}); "
            "shorten its context"
        )
    return text


def decode(text: str) -> Shared:
    """What `encode` was given.

    Raises:
        LinkError: for anything else.
    """
    if len(text) > MAX_LINK:
        raise LinkError(
            f"the link is {len(text):,} characters long, at most {MAX_LINK:,} are read; {REMEDY}"
        )
    try:
        packed = base64.b64decode(
            text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        raise LinkError(f"the link holds signs that no link has; {REMEDY}") from None
    if packed[:1] != bytes([VERSION]):
        raise LinkError(
            f"the link was made by another version of QKScope, or is cut short; {REMEDY}"
        )
    try:
        return _checked(json.loads(_unpacked(packed[1:])))
    except PuzzleError as error:
        raise LinkError(f"the puzzle in the link cannot be used: {error}; {REMEDY}") from None
    except (ValueError, TypeError, RecursionError, zlib.error):
        raise LinkError(f"the link is damaged or cut short; {REMEDY}") from None


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, MAX_UNPACKED)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("cut short, or larger than any puzzle")
    return data


def _checked(row: list[Any]) -> Shared:
    """A `Shared` whose every field has its type."""
    context, statement, candidates, answer, model, rope, template, layer, head = row
    indices = all(type(one) is int and 0 <= one < MAX_INDEX for one in (layer, head))
    is_model = isinstance(model, str) and model.isprintable() and 0 < len(model) < 500
    is_template = isinstance(template, str)
    is_list = isinstance(candidates, list)
    if not (is_list and indices and is_model and is_template and rope in ROPES):
        raise ValueError("not what a link holds")
    if len(candidates) > MAX_CANDIDATES:
        raise PuzzleError(f"it has {len(candidates)} candidates, at most {MAX_CANDIDATES} are read")
    template_named(template)  # raises for what cannot be, as does the next line
    puzzle = typed_puzzle(context, statement, tuple(candidates), answer)
    return Shared(puzzle, model, rope, template, layer, head)


def python_snippet(shared: Shared, quantize: str | None = None) -> str:
    """A script that prints the head's scores and the model's logits, by candidate.

    With the model's weights in "8bit" or "4bit", if so asked.
    """
    puzzle = shared.puzzle
    is_default = shared.template == DEFAULT
    template = "" if is_default else f", template=template_named({shared.template!r})"
    bits = "" if quantize is None else f", quantize={quantize!r}"
    names = ["Puzzle", "load_model", "score_puzzle", *([] if is_default else ["template_named"])]
    lines = [
        "# With QKScope's Python, in the folder where the dashboard was started",
        f"from qkcore import {', '.join(names)}",
        "",
        "puzzle = Puzzle(",
        '    puzzle_id="typed",',
        f"    context={puzzle.context!r},",
        f"    statement={puzzle.statement!r},",
        f"    candidates={puzzle.candidates!r},",
        f"    answer={puzzle.answer!r},",
        '    steps=None, distractors=None, group="typed", split="test",',
        ")",
        f"lm = load_model({shared.model!r}{bits})",
        f"scores = score_puzzle(lm, puzzle, rope={shared.rope!r}{template})",
        f"print(scores.of({shared.layer}, {shared.head}).tolist())  # "
        f"{head_name(shared.layer, shared.head)}, by candidate",
        "print(scores.logits.tolist())  # the model itself",
    ]
    return "\n".join(lines) + "\n"


def shell_snippet(shared: Shared, quantize: str | None = None) -> str:
    """A command that prints every head's scores as JSON.

    With the model's weights in "8bit" or "4bit", if so asked.
    """
    puzzle = shared.puzzle
    row = {name: getattr(puzzle, name) for name in ("context", "statement", "candidates")}
    # Escaped to ASCII on one line, so nothing typed can end the quoted text.
    words = ["python", "-m", "qkcore", "score", "--model", shared.model, "--rope", shared.rope]
    words += [] if quantize is None else ["--quantize", quantize]
    template = shared.template.removeprefix(CHAT)
    words += [] if template == shared.template else ["--chat"]
    words += [] if template == DEFAULT else ["--template", template]
    words += [] if roles_named(template) == "answer" else ["--roles", "options"]
    return f"{shlex.join(words)} --json <<'PUZZLE'\n{json.dumps(row)}\nPUZZLE\n"
