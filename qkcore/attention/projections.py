"""Where a model's own projections put its queries and keys: what the reading "raw" reads.

A `Projected` names, for one layer, the modules and the columns of their outputs; while
`read_projections` is open, a pass under way is told what these modules give. How they are found is
the business of qkcore.attention.tracing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qkcore.attention.recording import Recording, active

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Piece:
    """Dims of every head of a layer, all of them or some, in the output of one projection."""

    module: str  # its name in the model, such as "model.layers.0.self_attn.q_proj"
    starts: tuple[int, ...]  # (head) the column at which each head's dims begin
    n_dims: int

    def read(self, output: Tensor, positions: Tensor, n_tokens: int | None = None) -> Tensor:
        """(row, head, n, dim) float32 on the CPU, of a module's output.

        Args:
            output: (row, token, column), or with rows and tokens in one.
            positions: (row, n) indices into token.
            n_tokens: from the end, those that are meant; None: all. Latent attention projects what
                it has kept of an earlier pass once more.
        """
        by_row = output.reshape(len(positions), -1, output.shape[-1])
        by_row = by_row if n_tokens is None else by_row[:, -n_tokens:]
        rows = torch.arange(len(positions), device=output.device)[:, None]
        at = by_row[rows, positions.to(output.device)]
        columns = torch.tensor(self.starts)[:, None] + torch.arange(self.n_dims)
        return at[..., columns.to(output.device)].transpose(1, 2).float().cpu()


@dataclass(frozen=True, slots=True)
class Projected:
    """Where one layer's queries and keys come from; pieces joined make a head's dims."""

    layer: int
    queries: tuple[Piece, ...]
    keys: tuple[Piece, ...]


@contextmanager
def read_projections(model: "PreTrainedModel", layers: Sequence[Projected]) -> Iterator[None]:
    """While open, passes that are recorded are told what the projections of these layers give."""
    hooks = [
        model.get_submodule(piece.module).register_forward_hook(
            _noting(projected.layer, which, number, piece), prepend=True
        )
        for projected in layers
        for which, pieces in (("query", projected.queries), ("key", projected.keys))
        for number, piece in enumerate(pieces)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _noting(
    layer: int, which: str, number: int, piece: Piece
) -> Callable[[nn.Module, tuple[object, ...], Tensor], None]:
    """A hook that tells a piece of a layer to the pass under way."""

    def note(_module: nn.Module, _args: tuple[object, ...], output: Tensor) -> None:
        if (under_way := active()) is not None:
            # At once: some models (OLMo) clip their projections' outputs in place.
            read = piece.read(output, _positions(under_way, which), under_way.n_tokens)
            under_way.projected.setdefault((layer, which), {})[number] = read

    return note


def _positions(recording: Recording, which: str) -> Tensor:
    return recording.query_at if which == "query" else recording.key_at
