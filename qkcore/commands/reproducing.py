"""`reproduce`: does it hold for a model? A frozen protocol from its name to a result."""

import os
import sys
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
from qkcore.commands.running import ablate_with_ray, precompute_with_ray

if TYPE_CHECKING:
    from qkcore.protocol.carry_out import Crew, Done
    from qkcore.protocol.frozen import Protocol
    from qkcore.protocol.sets import PuzzleSet


def add_reproduce(added: Added) -> None:
    """Options of `reproduce`."""
    parser = added.add_parser(
        "reproduce", help="does it hold for a model? Carry out the frozen protocol and report"
    )
    model_options(parser, is_needed=False, is_asked=False)
    parser.add_argument(
        "--sets",
        type=Path,
        metavar="FOLDER",
        help="with the public sets as they are published, however deep in it",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="made if it does not exist")
    parser.add_argument("--quick", action="store_true", help="a tenth of the puzzles")
    parser.add_argument("--show", action="store_true", help="print the protocol and do nothing")
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=None,
        help="padded tokens a pass; less needs less memory (default: what suits the device)",
    )
    engine_options(parser, ("local", "torchrun", "ray"))
    ray_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=reproduce)


def reproduce(options: Namespace) -> None:
    """Carry out the protocol: store, report and summary."""
    from qkcore.protocol.carry_out import carry_out, keep_sets
    from qkcore.protocol.folder import check_folder
    from qkcore.protocol.frozen import the_protocol
    from qkcore.protocol.sets import sets_of

    protocol = the_protocol(options.quick)
    if options.show:
        print(protocol.text, end="")
        return
    for name in ("model", "sets", "out"):
        if getattr(options, name) is None:
            raise InputError(f"--{name} is needed, except with --show")
    _check_engine(options)
    if options.engine != "ray":
        from qkcore.attention.load import check_named

        check_named(options.model)
    is_lead = os.environ.get("RANK", "0") == "0"  # of what torchrun started
    sets = sets_of(protocol, options.sets)
    if is_lead:  # other results are refused before the model is loaded, where that tells them
        check_folder(options.out, protocol, sets.sets, None)
    for note in sets.notes if is_lead else ():
        _say(note)
    crew = _crew(options, protocol, is_lead)
    if is_lead:
        check_folder(options.out, protocol, sets.sets, crew.lm)
        keep_sets(sets, options.out)
    done = carry_out(protocol, sets, options.out, crew, _say)
    if is_lead:
        _report(protocol, done, options.out)


def _check_engine(options: Namespace) -> None:
    """Refuse options that would do nothing, and an engine that is not there."""
    require_ray_for_its_options(options)
    if options.engine == "torchrun":
        from qkcore.scoring.engines import require_torchrun

        require_torchrun("reproduce")


def _crew(options: Namespace, protocol: "Protocol", is_lead: bool) -> "Crew":
    """Who scores, as the options say; the protocol says how the model is asked."""
    from qkcore.protocol.carry_out import Crew

    if options.engine == "ray":
        return Crew(
            lambda one, store: _scored_by_ray(one, store, options, protocol),
            lambda one, store, asked: ablate_with_ray(options, list(one.puzzles), store, asked),
            None,
            "ray",
            is_lead,
            show_progress=not options.quiet,
        )
    lm, _ = model_of(options)
    from qkcore.scoring.ablate import ablate
    from qkcore.scoring.precompute import precompute

    tokens = options.batch_tokens

    def switch_off(one: "PuzzleSet", store: Path, asked: dict[str, Any]) -> str:
        more = {"max_batch_tokens": tokens, "engine": options.engine}
        return ablate(lm, one.puzzles, store, **asked, **more)

    def score(one: "PuzzleSet", store: Path) -> str:
        return precompute(
            lm,
            one.puzzles,
            store,
            puzzle_set=one.name,
            rope=protocol.reading,
            max_batch_tokens=tokens,
            show_progress=not options.quiet,
            lens=one.has_lens,
            engine=options.engine,
            log=options.log,
            parts=options.parts,
        )

    return Crew(score, switch_off, lm, options.engine, is_lead, tokens, not options.quiet)


def _scored_by_ray(one: "PuzzleSet", store: Path, options: Namespace, protocol: "Protocol") -> str:
    """A set by Ray's actors, which load the model themselves."""
    settings = {
        "puzzle_set": one.name,
        "rope": protocol.reading,
        "max_batch_tokens": options.batch_tokens,
        "scores": "float32",
    }
    shown = {
        "show_progress": not options.quiet,
        "lens": one.has_lens,
        "log": options.log,
        "parts": options.parts,
    }
    return precompute_with_ray(options, list(one.puzzles), store, settings, shown)


def _report(protocol: "Protocol", done: "Done", out: Path) -> None:
    """What is in the store, as files; and where they are."""
    from qkcore.protocol.claims import claims_of
    from qkcore.protocol.claims_section import claims_sentence
    from qkcore.protocol.folder import STORE, SUMMARY
    from qkcore.protocol.report import write_reports
    from qkcore.protocol.summary import summary_of, write_summary
    from qkcore.results.store import ResultStore

    notes = (*done.sets.notes, *done.left_out)
    with ResultStore.open(out / STORE) as store:
        claims = claims_of(store, done.run_ids, protocol.claims)
        summary = summary_of(store, protocol, done.sets.sets, done.run_ids, claims, notes)
        write_summary(summary, out / SUMMARY)
        write_reports(store, protocol, done.run_ids, claims, notes, out)
    print(claims_sentence(claims))
    for name in ("report.html", "report.pdf", SUMMARY, STORE):
        print(out / name)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
