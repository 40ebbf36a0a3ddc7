"""Which heads an ablation switches off: the best of a run or named ones, each beside its controls.

Asks the store for the best heads on validation puzzles; of the model it knows the shape alone.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qkcore import InputError
from qkcore.attention.switching import Head
from qkcore.results.store import ResultStore
from qkcore.scoring.answerer import AskedModel
from qkcore.scoring.interventions import check_heads
from qkcore.statistics.control_heads import control_heads
from qkcore.wording import head_name

KS = (1, 3, 5, 10)


@dataclass(frozen=True, slots=True)
class HeadSet:
    """Heads that are switched off together: a row of table ablations, less its answers."""

    chosen_by: str  # "chosen": the best on validation; "top": the k best; "named"
    k: int
    draw: int  # 0: the heads themselves; from 1: control heads
    heads: tuple[Head, ...]


def sets_of(
    model: AskedModel,
    run_id: str,
    store: Path,
    heads: str,
    controls: int,
    ks: Sequence[int] | None,
) -> list[HeadSet]:
    """The heads to switch off, each set followed by its controls.

    Args:
        model: of the run.
        run_id: of the run whose validation puzzles choose heads.
        store: that holds it.
        heads: as of `ablate`,
        controls: likewise,
        ks: likewise.

    Raises:
        InputError: where the words are not understood, or there are not so many heads.
    """
    found: list[HeadSet] = []
    for chosen_by, off in _picked(model, run_id, store, heads, ks):
        check_heads(model.name, model.geometry, [off])
        try:
            drawn = control_heads(off, model.geometry.n_heads, controls)
        except InputError as error:
            if ks is not None or heads != "chosen":
                raise
            print(f"k = {len(off)} is left out: {error}.", file=sys.stderr)
            continue
        found += [HeadSet(chosen_by, len(off), draw, one) for draw, one in enumerate([off, *drawn])]
    if not found:
        raise InputError("no heads are left to switch off; give smaller numbers with --k")
    return found


def _picked(
    model: AskedModel, run_id: str, store: Path, heads: str, ks: Sequence[int] | None
) -> list[tuple[str, tuple[Head, ...]]]:
    """How heads were picked, and which; see `ablate`.

    Raises:
        InputError: where the words are not understood, or there are not so many heads.
    """
    top = re.fullmatch(r"top(\d+)", heads)
    if ks is not None and heads != "chosen":
        raise InputError(f"--k goes with --heads chosen; heads {heads!r} are so many already")
    if heads != "chosen" and top is None:
        return [("named", named_heads(heads))]
    numbers = [int(top[1])] if top is not None else list(ks or KS)
    n_all = len(model.geometry.head_layers) * model.geometry.n_heads
    if ks is None and top is None:
        numbers = [k for k in numbers if k <= n_all]
    for k in numbers:
        if not 1 <= k <= n_all:
            raise InputError(f"{model.name} has {n_all:,} heads, so there are no {k} best of them")
    with ResultStore.open(store) as opened:
        best = opened.selected(run_id, max(numbers))
    if not best:
        raise InputError(
            "the run has no validation puzzles to choose heads on; name heads, such as --heads L3H1"
        )
    return [("chosen" if k == 1 else "top", tuple(best[:k])) for k in numbers]


def named_heads(text: str) -> tuple[Head, ...]:
    """Heads as people name them.

    Raises:
        InputError: where a name is none, or comes twice.

    >>> named_heads("L15H7, L17 H8")
    ((15, 7), (17, 8))
    """
    found = []
    for name in text.split(","):
        match = re.fullmatch(r"\s*L(\d+)\s*H(\d+)\s*", name, re.IGNORECASE)
        if match is None:
            raise InputError(
                f"{name.strip()!r} names no head; write chosen, top5, or heads such as L15H7,L17H8"
            )
        head = int(match[1]), int(match[2])
        if head in found:
            raise InputError(f"{head_name(*head)} is named twice; name each head once")
        found.append(head)
    return tuple(found)
