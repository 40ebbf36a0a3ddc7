"""What each command of the command line does, given its parsed options.

Torch and transformers are imported by the commands that score, when they run: the others start at
once.
"""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkcore import InputError
from qkcore.asking.readings import READINGS
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, context_group, load_puzzles, save_puzzles
from qkcore.wording import head_name

if TYPE_CHECKING:
    from qkcore.asking.templates import Template
    from qkcore.attention.load import CausalLM


def app(options: Namespace) -> None:
    """Open the dashboard."""
    from qkcore.dashboard import start

    start(options.store, options.port)


def generate(options: Namespace) -> None:
    """Make new puzzles and save them."""
    from qkcore.puzzles.generate import generate_puzzles

    steps, distractors = (
        range(first, last + 1) for first, last in (options.steps, options.distractors)
    )
    puzzles = generate_puzzles(steps, distractors, options.n, options.seed, options.style)
    _save(puzzles, options.out)


def import_set(options: Namespace) -> None:
    """Read a public puzzle set, save it as puzzles, and say what was taken and left out."""
    from qkcore.puzzles.import_report import report
    from qkcore.puzzles.public_sets import read_set

    found = read_set(options.format, options.paths, options.seed, options.validation_share)
    _save(found.puzzles, options.out)
    for line in report(found):
        print(line)


def balance(options: Namespace) -> None:
    """Make a puzzle file's balanced twin, and say what came of it."""
    from qkcore.puzzles.balance import balance_puzzles
    from qkcore.puzzles.twin import twin_report

    if options.out.resolve() == options.puzzles.resolve():
        raise PuzzleError(f"{options.out}: --out would replace the parent's file; name another")
    puzzles = load_puzzles(options.puzzles)
    try:
        twin = balance_puzzles(puzzles, options.world, options.per_context, options.seed)
    except PuzzleError as error:
        raise PuzzleError(f"{options.puzzles}: {error}") from None
    _save(twin.puzzles, options.out)
    for line in twin_report(twin, lists_all=options.list):
        print(line)


def _save(puzzles: list[Puzzle], path: Path) -> None:
    save_puzzles(puzzles, path)
    n_test = sum(puzzle.split == "test" for puzzle in puzzles)
    print(
        f"{path}: {len(puzzles):,} puzzles, {len(puzzles) - n_test:,} validation and {n_test:,} "
        "test"
    )


def _load(options: Namespace) -> "tuple[CausalLM, Template | None]":
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


def precompute(options: Namespace) -> None:
    """Score a puzzle file into a store; or say how far that is, or whether it is right."""
    if options.status:
        from qkcore.scoring.status import status

        for line in status(options.store):
            print(line)
        return
    if options.model is None or options.puzzles is None:
        raise InputError("--model and --puzzles are needed, except with --status")
    puzzles = load_puzzles(options.puzzles)
    settings: dict[str, Any] = {
        "puzzle_set": options.puzzle_set or options.puzzles.stem,
        "rope": options.rope,
        "max_batch_tokens": options.batch_tokens,
        "scores": options.scores,
    }
    shown: dict[str, Any] = {
        "show_progress": not options.quiet,
        "with_texts": not options.without_texts,
    }
    shown |= {"lens": options.lens, "log": options.log}
    if options.engine == "ray":
        run_id = _precompute_by_ray(options, puzzles, settings, shown)
    else:
        lm, template = _load(options)
        if options.verify:
            _verify(lm, template, options, puzzles, settings)
            return
        from qkcore.scoring.precompute import precompute as run

        run_id = run(
            lm,
            puzzles,
            options.store,
            template=template,
            engine=options.engine,
            **settings,
            **shown,
        )
    if os.environ.get("RANK", "0") == "0":  # torchrun's other processes say nothing
        print(f"{options.store}: run {run_id}, {len(puzzles):,} puzzles")


def _precompute_by_ray(
    options: Namespace, puzzles: list[Puzzle], settings: dict[str, Any], shown: dict[str, Any]
) -> str:
    """`precompute` by Ray's actors, which load the model themselves."""
    from qkcore.scoring.on_ray import ray_engine
    from qkcore.scoring.precompute import precompute_by
    from qkcore.scoring.recipe import Recipe

    device = options.device or ("auto" if options.gpus_per_model > 1 else None)
    recipe = Recipe(
        options.model, options.dtype, device, options.quantize, options.template, options.chat
    )
    with ray_engine(
        recipe,
        puzzles,
        settings,
        address=options.address,
        n_workers=options.workers,
        gpus_per_model=options.gpus_per_model,
    ) as engine:
        return precompute_by(engine, puzzles, options.store, **shown)


def _verify(
    lm: "CausalLM",
    template: "Template | None",
    options: Namespace,
    puzzles: list[Puzzle],
    settings: dict[str, Any],
) -> None:
    """Say whether what is kept of a run is whole, and is what the model says again."""
    from qkcore.scoring.scorer import Scorer
    from qkcore.scoring.verify import verified

    worker = Scorer(lm, puzzles, template=template, **settings)
    for line in verified(worker, puzzles, options.store, options.sample):
        print(line)


def ablate(options: Namespace) -> None:
    """Ask a run's test puzzles with heads switched off, and put the answers into its store."""
    from qkcore.results.store import ResultStore

    puzzles = load_puzzles(options.puzzles)
    with ResultStore.open(options.store):
        pass  # a store that cannot be read is said before the model is loaded
    lm, template = _load(options)
    from qkcore.scoring.ablate import ablate as run

    run_id = run(
        lm,
        puzzles,
        options.store,
        heads=options.heads,
        kind=options.kind,
        controls=options.controls,
        ks=options.k,
        rope=options.rope,
        template=template,
        limit=options.limit,
        max_batch_tokens=options.batch_tokens,
        show_progress=not options.quiet,
        engine=options.engine,
        log=options.log,
    )
    if os.environ.get("RANK", "0") == "0":
        print(f"{options.store}: run {run_id}, heads switched off ({options.kind})")


def migrate(options: Namespace) -> None:
    """Bring a store of the schema before this one up to date."""
    from qkcore.results.migrate import migrate as bring_up_to_date

    run_ids = bring_up_to_date(options.store)
    print(
        f"{options.store}: {len(run_ids):,} {'run' if len(run_ids) == 1 else 'runs'} counted anew"
    )


def bundle(options: Namespace) -> None:
    """Make a bundle of runs, and say what is in it."""
    from qkcore.sharing.bundle import write_bundle

    licences = dict(options.licence)
    manifest = write_bundle(
        options.store, options.out, options.run_ids, not options.without_texts, licences
    )
    print(f"{options.out}: {len(manifest['runs'])} runs")
    for name, puzzle_set in manifest["puzzle_sets"].items():
        texts = "with its texts" if puzzle_set["has_texts"] else "without its texts"
        print(f"puzzle set {name}, {texts}; licence: {puzzle_set['licence']}")
    print(f"fingerprint: {manifest['fingerprint']}")


def export(options: Namespace) -> None:
    """Write a run's tables as files."""
    from qkcore.results.export import export as export_run
    from qkcore.results.store import ResultStore

    with ResultStore.open(options.store) as store:
        for path in export_run(store, options.run_id, options.format, options.out):
            print(path)


def report(options: Namespace) -> None:
    """Write a run's report."""
    from qkcore.reports.write import write_report
    from qkcore.results.store import ResultStore

    with ResultStore.open(options.store) as store:
        print(write_report(store, options.run_id, options.out, options.store.name))


def score(options: Namespace) -> None:
    """Score the puzzle on standard input and print every head's answer."""
    puzzle = _read_puzzle(sys.stdin.read(), options.candidates)
    lm, template = _load(options)
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
        "key_token": lm.tokenizer.decode([prompt.tokens[prompt.key_at]]),
        "model_id": lm.name,
    }
    print(json.dumps(result))


def _named(puzzle: Puzzle, choice: int) -> str | None:
    return None if choice < 0 else puzzle.candidates[choice]


def _read_puzzle(text: str, candidates: str | None) -> Puzzle:
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


def check(options: Namespace) -> None:
    """Load a model and show how it is read."""
    lm, template = _load(options)
    from qkcore.attention.english_check import english_check
    from qkcore.scoring.score import prompts_of

    puzzle = _read_puzzle(
        "Context: Max is a cat. Every cat is happy.\nStatement: Max is happy.", None
    )
    prompt = prompts_of(lm, [puzzle], template)[0]
    geometry, check, most = lm.geometry, lm.check, lm.geometry.max_positions
    place, asked_as = "the last before the cue", "plain text"
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
