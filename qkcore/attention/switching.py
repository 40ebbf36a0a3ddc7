"""Heads switched off in a pass: their outputs replaced, or one path of their attention cut.

While `switching_off` is open on a thread, passes on it are changed in the heads that are named, row
by row; outside of it nothing is. A head's output is what its attention gives for each token, before
the output projection and before any gate or norm that a model puts between. A query head is
switched off by itself: those that share its key are not. `noting_outputs` reads the same outputs
and changes nothing. Knows nothing of how a model calls it (see qkcore.attention.capture).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from qkcore.attention.geometry import UnsupportedModelError

Head = tuple[int, int]  # (layer, head), the model's own numbers
KINDS = ("mean", "zero", "resample", "knock-out")

_active = threading.local()  # .switching: what is under way on this thread


class UnderWay(Protocol):
    """What a pass hands its heads' outputs and masks to."""

    layer: int | None  # under way; None where the model has no list of its layers

    def output(self, layer: int, output: Tensor) -> Tensor:
        """(row, token, head, dim) outputs of a layer's heads, to go on with."""

    def mask(self, layer: int, mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
        """A layer's mask, to go on with; `query` and `key` are (row, head, token, dim)."""


@dataclass(frozen=True, slots=True)
class Replacements:
    """What takes the place of a head's output, by layer; for "zero" and "knock-out" nothing."""

    kind: str
    means: Mapping[int, Tensor] = field(default_factory=dict)  # (head, dim)
    # (drawn token, head, dim): of "resample", tokens of each kind follow each other
    drawn: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass
class Switching:
    """Which heads are off in which row of a pass."""

    off: Sequence[Sequence[Head]]  # by row
    replacements: Replacements
    key_at: Tensor  # (row, statement) of the path that "knock-out" cuts; see Rows
    logits_at: Tensor  # (row, statement)
    n_statements: Sequence[int]  # of each row; key_at and logits_at are filled up beyond them
    drawn_at: Tensor | None = None  # (row, token) which of the drawn tokens "resample" takes
    layer: int | None = None
    told: set[int] = field(default_factory=set)  # layers that handed over outputs
    asked: set[int] = field(default_factory=set)  # and masks

    def output(self, layer: int, output: Tensor) -> Tensor:
        """The outputs with those of heads that are off replaced, at every token."""
        self._come_by(layer)
        kind = self.replacements.kind
        rows, heads = self._off_in(layer, output.device)
        if kind == "knock-out" or not len(rows):
            return output
        changed = output.clone()
        changed[rows, :, heads] = self._stand_in(kind, layer, rows, heads).to(output)
        return changed

    def _stand_in(self, kind: str, layer: int, rows: Tensor, heads: Tensor) -> Tensor:
        """What replaces the outputs of one head in one row each: (pair, token or 1, dim)."""
        if kind == "zero":
            return torch.zeros(1, 1, 1)
        if kind == "mean":
            return self.replacements.means[layer].to(heads.device)[heads][:, None]
        if self.drawn_at is None:
            raise ValueError("no tokens were drawn for the rows")
        tokens = self.drawn_at.to(rows.device)[rows]
        return self.replacements.drawn[layer].to(heads.device)[tokens, heads[:, None]]

    def mask(self, layer: int, mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
        """The mask, by head, in which those that are off do not see the statement's end.

        Of each statement in a row, from the token after which the model answers.
        """
        self.asked.add(layer)
        rows, heads = self._off_in(layer, query.device)
        if self.replacements.kind != "knock-out" or not len(rows):
            return mask
        n_rows, n_heads, n_tokens = query.shape[:3]
        if key.shape[2] != n_tokens:
            raise UnsupportedModelError("paths are cut in passes over whole prompts only")
        if mask is None:
            # Additive, since eager attention would add booleans as 0 and 1
            square = query.new_full((n_tokens, n_tokens), float("-inf"))
            mask = square.triu(1)[None, None]
        cut = mask.expand(n_rows, n_heads, n_tokens, n_tokens).clone()
        hidden = False if mask.dtype == torch.bool else float("-inf")
        for row, head in zip(rows.tolist(), heads.tolist(), strict=True):
            own = slice(self.n_statements[row])
            cut[row, head, self.logits_at[row, own], self.key_at[row, own]] = hidden
        return cut

    def _off_in(self, layer: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """(pair,) rows, and in each a head of the layer that is off."""
        pairs = [(row, head) for row, off in enumerate(self.off) for at, head in off if at == layer]
        both = torch.tensor(pairs, dtype=torch.long, device=device).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _come_by(self, layer: int) -> None:
        if layer in self.told and any(at == layer for off in self.off for at, _ in off):
            raise UnsupportedModelError(
                f"layer {layer} attends several times, so no one output is that of a head"
            )
        self.told.add(layer)

    def check_all_came(self) -> None:
        """Refuse a pass in which a layer with a head that is off did not come by.

        Raises:
            UnsupportedModelError: naming the layer.
        """
        wanted = {layer for off in self.off for layer, _ in off}
        if missing := wanted - self.told:
            raise UnsupportedModelError(
                f"layer {min(missing)} does not hand over its heads' outputs, so none of them can "
                "be switched off"
            )
        if self.replacements.kind == "knock-out" and (missing := wanted - self.asked):
            raise UnsupportedModelError(
                f"layer {min(missing)} keeps its attention's mask to itself, so no path in it can "
                "be cut; use kind 'mean', 'zero' or 'resample'"
            )


@dataclass
class Noting:
    """Hands each layer's outputs to somebody, and changes nothing."""

    note: Callable[[int, Tensor], None]
    layer: int | None = None

    def output(self, layer: int, output: Tensor) -> Tensor:
        """The same."""
        self.note(layer, output)
        return output

    def mask(self, _layer: int, mask: Tensor | None, _query: Tensor, _key: Tensor) -> Tensor | None:
        """The same."""
        return mask


def switching() -> UnderWay | None:
    """What is open on this thread."""
    return getattr(_active, "switching", None)


@contextmanager
def changing(under_way: UnderWay) -> Iterator[None]:
    """Have this thread's passes hand over their heads' outputs and masks."""
    before = switching()
    _active.switching = under_way
    try:
        yield
    finally:
        _active.switching = before


def switch_before(projection: nn.Module, n_heads: int, layer: int) -> None:
    """Have an output projection's input, (row, token, head * dim), come by first.

    For modules that never hand their heads' outputs to a function. They take no mask from here.
    """

    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if (under_way := switching()) is None:
            return None
        by_head = args[0].unflatten(-1, (n_heads, -1))
        return (under_way.output(layer, by_head).flatten(-2), *args[1:])

    projection.register_forward_pre_hook(before)
