"""`score` and `check`: a model asked one puzzle."""

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from qkcore.asking.readings import READINGS
from qkcore.commands.options import Added, model_of, model_options
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, context_group
from qkcore.wording import head_name

if TYPE_CHECKING:
    from qkcore.attention.load import CausalLM

# What `check` shows tokens of: a text as `score` reads it, and its candidates
EXAMPLE = "Context: Max is a cat. Every cat is happy.\nStatement: Max is happy.", None
EXAMPLE_WITH_OPTIONS = (
    "Context: Max is a cat. Every cat is happy.\nQuestion: Which of these is true of Max?",
    "Max is sad.,Max is happy.",
)


def add_score(added: Added) -> None:
    """Options of `score`."""
    parser = added.add_parser("score", help="score one puzzle from standard input")
    model_options(parser)
    parser.add_argument(
        "--candidates",
        default=None,
        metavar="A,B",
        help="default: the puzzle's own, else true,false",
    )
    parser.add_argument("--json", action="store_true", help="print every head's scores as JSON")
    parser.set_defaults(run=score)


def score(options: Namespace) -> None:
    """Score the puzzle on standard input and print every head's answer."""
    puzzle = read_puzzle(sys.stdin.read(), options.candidates)
    lm, template = model_of(options)
    from qkcore.asking.templates import template_name
    from qkcore.scoring.score import prompts_of, score_prompts

    (prompt,) = prompts_of(lm, [puzzle], template)
    (scores,) = score_prompts(lm, [prompt], rope=options.rope)
    choices = scores.choices.tolist()
    heads = [
        {
            "layer": layer,
            "head": head,
            "scores": one,
            "choice": _named(puzzle, choices[place][head]),
        }
        for place, (layer, row) in enumerate(zip(scores.layers, scores.qk.tolist(), strict=True))
        for head, one in enumerate(row)
    ]
    model_choice = _named(puzzle, scores.model_choice)
    if not options.json:
        print(f"model: {model_choice}")
        for head in heads:
            named = ", ".join(
                f"{name} {one:.3f}"
                for name, one in zip(puzzle.candidates, head["scores"], strict=True)
            )
            print(f"{head_name(head['layer'], head['head'])}: {head['choice']} ({named})")
        return
    result = {
        "candidates": list(puzzle.candidates),
        "model": {"logits": scores.logits.tolist(), "choice": model_choice},
        "heads": heads,
        "rope": options.rope,
        "template": template_name(template),
        "roles": options.roles,
        "key_token": lm.tokenizer.decode([prompt.tokens[prompt.key_at]]),
        "option_tokens": [lm.tokenizer.decode([prompt.tokens[at]]) for at in prompt.option_ends],
        "model_id": lm.name,
    }
    print(json.dumps(result))


def _named(puzzle: Puzzle, choice: int) -> str | None:
    return None if choice < 0 else puzzle.candidates[choice]


def read_puzzle(text: str, candidates: str | None) -> Puzzle:
    """A puzzle from one JSON object, or from lines "Context: ..." and "Statement: ..."."""
    row: dict[str, Any] = {}
    if text.lstrip().startswith("{"):
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise PuzzleError(
                f"standard input is not valid JSON ({error.msg}, line {error.lineno})"
            ) from None
    else:
        for line in text.splitlines():
            name, colon, rest = line.partition(":")
            field = {"question": "statement"}.get(name.strip().lower(), name.strip().lower())
            if colon and field in ("context", "statement"):
                row[field] = rest.strip()
    for field in ("context", "statement"):
        if field not in row:
            raise PuzzleError(
                f"standard input: no {field}; write a JSON object, or lines 'Context: ...' and "
                "'Statement: ...'"
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


def add_check(added: Added) -> None:
    """Options of `check`."""
    parser = added.add_parser("check", help="load a model and show how it is read")
    model_options(parser)
    parser.set_defaults(run=check)


def check(options: Namespace) -> None:
    """Load a model and show how it is read."""
    lm, template = model_of(options)
    from qkcore.attention.english_check import english_check
    from qkcore.scoring.score import prompts_of

    puzzle = read_puzzle(*(EXAMPLE if options.roles == "answer" else EXAMPLE_WITH_OPTIONS))
    prompt = prompts_of(lm, [puzzle], template)[0]
    geometry, check, most = lm.geometry, lm.check, lm.geometry.max_positions
    place, asked_as = "the last before the cue", "plain text"
    if prompt.option_ends:
        place = "the last of the last option's line"
        asked_as = "multiple choice: options by letters, the query at the cue's last token"
    if prompt.is_chat:
        place = "the statement's last; the chat's turn markers follow it"
        asked_as = "a chat, in the words of the tokenizer's template"
    absent = ""
    if geometry.has_absent_layers:
        named = ", ".join(map(str, geometry.head_layers))
        absent = f"; {len(geometry.head_layers)} of them have softmax heads ({named})"
    shares = "yes" if geometry.is_side_by_side else "no, each has a row of its own"
    if geometry.is_continued:
        shares += ", and what rows begin alike is read once"
    rotation = "no score before rotary" if check.rotation is None else f"{check.rotation:.1e}"
    raw = "no raw score" if check.raw is None else f"{check.raw:.1e}"
    readings = [READINGS[rope] for rope in geometry.ropes]
    lines = {
        "model": f"{lm.name} ({geometry.model_type}), revision {lm.revision}",
        "reads": "text"
        + (f" only; its part for {' and '.join(lm.left_out)} is not loaded" if lm.left_out else ""),
        "dtype": f"{lm.dtype} on {lm.device}",
        "layers": f"{geometry.n_layers}{absent}, each {geometry.n_heads} heads and "
        f"{geometry.n_kv_heads} kv heads",
        "head size": f"{geometry.head_size} dims of a query and a key",
        "positions": "no limit stated" if most is None else f"at most {most:,}",
        "sliding window": "none" if geometry.window is None else f"{geometry.window:,} positions",
        "scores": " and ".join(", ".join(readings).rsplit(", ", 1)),
        "candidates share a pass": shares,
        "asked as": asked_as,
        "prompt": repr([lm.tokenizer.decode([token]) for token in prompt.tokens]),
        "key token": f"{lm.tokenizer.decode([prompt.tokens[prompt.key_at]])!r}, {place}",
        "keys of options": repr(
            [lm.tokenizer.decode([prompt.tokens[at]]) for at in prompt.option_ends]
        ),
        "candidates": repr(
            [[lm.tokenizer.decode([token]) for token in ids] for ids in prompt.candidates]
        ),
        "lens": _lens(lm),
        "plain English": f"{english_check(lm.model, lm.tokenizer)}",
        "self-check": f"passed; differences are at most {check.tolerance:.0e} of the largest value",
        "  attention rebuilt": f"{check.attention:.1e}",
        "  before and after rotary": rotation,
        "  projections": raw,
        "  rows of a batch": f"{check.rows:.1e}",
    }
    if not prompt.option_ends:
        del lines["keys of options"]
    for name, value in lines.items():
        print(f"{name}: {value}")


def _lens(lm: "CausalLM") -> str:
    """Whether a model can be read after each layer, or why not."""
    from qkcore.attention.geometry import UnsupportedModelError
    from qkcore.attention.lens import find_lens

    try:
        lens = find_lens(lm.model, lm.geometry, lm.check.tolerance)
    except UnsupportedModelError as error:
        return f"no: {error}"
    return (
        f"yes; after the last layer it differs from the model's own logits by {lens.difference:.1e}"
    )
