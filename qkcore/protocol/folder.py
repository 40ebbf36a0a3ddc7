"""What lies in a folder of results already: the same protocol on the same model, or something else.

Asked before anything is written, so that no result is lost to another. Knows nothing of scoring.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qkcore import InputError
from qkcore.protocol.frozen import Protocol
from qkcore.protocol.sets import PuzzleSet
from qkcore.puzzles.puzzle import PuzzleError, load_puzzles, puzzle_set_sha256
from qkcore.results.store import ResultStore

if TYPE_CHECKING:
    from qkcore.attention.load import CausalLM

STORE, SUMMARY, SETS = "results.duckdb", "summary.json", "sets"


def check_folder(
    out: Path, protocol: Protocol, sets: Sequence[PuzzleSet], lm: "CausalLM | None"
) -> None:
    """Make sure that a folder may be written into: it is new, or holds these very results.

    Args:
        out: the folder.
        protocol: that is to be carried out.
        sets: that it asks.
        lm: the model; None where it is not known here.

    Raises:
        InputError: naming what differs.
    """
    differs = _protocol_differs(out, protocol) or _sets_differ(out, sets) or _model_differs(out, lm)
    if differs:
        raise InputError(
            f"{out} holds other results: {differs}. Nothing was changed; name another folder with "
            "--out"
        )


def _protocol_differs(out: Path, protocol: Protocol) -> str:
    """Of a finished result; an unfinished one is told by its sets."""
    try:
        there = json.loads((out / SUMMARY).read_text("utf-8"))["protocol"]
        version, is_quick = there["version"], there["is_quick"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    if (version, is_quick) == (protocol.version, protocol.is_quick):
        return ""
    quick = ", quick" if is_quick else ""
    return f"those of protocol {version}{quick}, and this is {protocol.name}"


def _sets_differ(out: Path, sets: Sequence[PuzzleSet]) -> str:
    asked = {one.name: one for one in sets}
    for path in sorted((out / SETS).glob("*.jsonl")):
        if path.stem not in asked:
            return f"they are of {path.stem} too, which is not asked here"
        try:
            there = load_puzzles(path)
        except PuzzleError:
            return f"{SETS}/{path.name} is damaged"
        one = asked[path.stem]
        if puzzle_set_sha256(there) != one.sha256:
            return (
                f"{len(there):,} puzzles of {one.name} were asked, and these {len(one.puzzles):,} "
                "are others (another folder of sets, or --quick)"
            )
    return ""


def _model_differs(out: Path, lm: "CausalLM | None") -> str:
    if lm is None or not (out / STORE).exists():
        return ""
    with ResultStore.open(out / STORE) as store:
        runs = store.runs()
    for name in ("model", "model_revision", "dtype"):
        own = {"model": lm.name, "model_revision": lm.revision, "dtype": lm.dtype}[name]
        others = sorted(set(runs[name]) - {own})
        if others:
            called = {"model": "model", "model_revision": "model revision"}.get(name, name)
            return f"they are of {called} {others[0]}, and this is {own}"
    return ""
