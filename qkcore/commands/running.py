"""`precompute` and `ablate`: a model asked a whole puzzle file."""

import argparse
import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkcore import InputError
from qkcore.commands.options import (
    Added,
    engine_options,
    model_of,
    model_options,
    ray_options,
    require_ray_for_its_options,
)
from qkcore.puzzles.puzzle import Puzzle, load_puzzles

if TYPE_CHECKING:
    from qkcore.asking.templates import Template
    from qkcore.attention.load import CausalLM
    from qkcore.scoring.ray_cluster import Cluster
    from qkcore.scoring.recipe import Recipe


def add_precompute(added: Added) -> None:
    """Options of `precompute`."""
    parser = added.add_parser("precompute", help="score a puzzle file into a result store")
    model_options(parser, is_needed=False)
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
        "--external-scores",
        action="store_true",
        help="leave raw scores as Parquet files beside the store, in STORE.scores/RUN, so that the "
        "store holds counts alone",
    )
    parser.add_argument(
        "--lens",
        action="store_true",
        help="also read after each layer: the model's answer had it stopped there, and a probe "
        "(adds them to a run that the store holds without)",
    )
    engine_options(parser, ("local", "torchrun", "ray"))
    ray_options(parser)
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
    parser.set_defaults(run=precompute)


def precompute(options: Namespace) -> None:
    """Score a puzzle file into a store; or say how far that is, or whether it is right."""
    if options.status:
        from qkcore.scoring.status import status

        for line in status(options.store, options.parts):
            print(line)
        return
    if options.model is None or options.puzzles is None:
        raise InputError("--model and --puzzles are needed, except with --status")
    require_ray_for_its_options(options)
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
    shown |= {"lens": options.lens, "log": options.log, "parts": options.parts}
    shown |= {"external_scores": options.external_scores}
    _look_at(options.parts)
    if options.engine == "ray":
        run_id = precompute_with_ray(options, puzzles, options.store, settings, shown)
    else:
        lm, template = model_of(options)
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


def precompute_with_ray(
    options: Namespace,
    puzzles: list[Puzzle],
    store: Path,
    settings: dict[str, Any],
    shown: dict[str, Any],
) -> str:
    """A run by Ray's actors, which load the model themselves; returns its run_id."""
    from qkcore.scoring.on_ray import ray_engine
    from qkcore.scoring.precompute import precompute_by

    with ray_engine(*_by_actors(options, puzzles, settings)) as engine:
        return precompute_by(engine, puzzles, store, **shown)


def ablate_with_ray(
    options: Namespace, puzzles: list[Puzzle], store: Path, asked: dict[str, Any]
) -> str:
    """Heads switched off by Ray's actors, which load the model themselves; returns the run_id."""
    from qkcore.scoring.ablate import ablate_by
    from qkcore.scoring.on_ray import ray_answerers

    settings = {"max_batch_tokens": options.batch_tokens}
    with ray_answerers(*_by_actors(options, puzzles, settings)) as engine:
        return ablate_by(engine, puzzles, store, **asked)


def _by_actors(
    options: Namespace, puzzles: list[Puzzle], settings: dict[str, Any]
) -> "tuple[Recipe, list[Puzzle], dict[str, Any], Cluster]":
    """What Ray's actors are given, and where they are."""
    from qkcore.scoring.ray_cluster import Cluster
    from qkcore.scoring.recipe import Recipe

    recipe = Recipe(
        options.model,
        options.dtype,
        options.device or ("auto" if options.gpus_per_model > 1 else None),
        options.quantize,
        options.template,
        options.chat,
        options.roles,
    )
    cluster = Cluster(options.address, options.workers, options.gpus_per_model)
    return recipe, puzzles, settings, cluster


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
    for line in verified(worker, puzzles, options.store, options.sample, options.parts):
        print(line)


def _look_at(parts: str | None) -> None:
    """An object store that cannot be listed is said at once, before the model is loaded."""
    if parts is not None:
        from qkcore.results.object_store import Address, folder_of

        if isinstance(found := folder_of(parts, is_patient=False), Address):
            found.listed(is_patient=False)


def add_ablate(added: Added) -> None:
    """Options of `ablate`."""
    parser = added.add_parser(
        "ablate", help="switch heads of a scored run off, and see whether the model still answers"
    )
    model_options(parser)
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
    engine_options(parser, ("local", "torchrun", "ray"))
    ray_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=ablate)


def _numbers(text: str) -> list[int]:
    """Whole numbers of "1,3,5"."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write whole numbers, such as 1,3,5") from None


def ablate(options: Namespace) -> None:
    """Ask a run's test puzzles with heads switched off, and put the answers into its store."""
    from qkcore.results.store import ResultStore

    require_ray_for_its_options(options)
    puzzles = load_puzzles(options.puzzles)
    with ResultStore.open(options.store):
        pass  # a store that cannot be read is said before the model is loaded
    _look_at(options.parts)
    asked: dict[str, Any] = {
        "heads": options.heads,
        "kind": options.kind,
        "controls": options.controls,
        "ks": options.k,
        "rope": options.rope,
        "limit": options.limit,
        "show_progress": not options.quiet,
        "log": options.log,
        "parts": options.parts,
    }
    if options.engine == "ray":
        run_id = ablate_with_ray(options, puzzles, options.store, asked)
    else:
        lm, template = model_of(options)
        from qkcore.scoring.ablate import ablate as run

        run_id = run(
            lm,
            puzzles,
            options.store,
            template=template,
            max_batch_tokens=options.batch_tokens,
            engine=options.engine,
            **asked,
        )
    if os.environ.get("RANK", "0") == "0":
        print(f"{options.store}: run {run_id}, heads switched off ({options.kind})")
