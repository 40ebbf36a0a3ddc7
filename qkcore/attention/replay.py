"""Layers below the first changed one, not computed again: what they gave is handed out once more.

`keeping` holds what layers give in a pass; `replaying` has all layers up to one of them hand that
on, for rows in any number and order. Layers may have more between them than their outputs (keys
that they share, states of other kinds), so whoever replays checks first that a pass without any
change gives the same bits (`can_replay`).
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from qkcore.attention.capture import logits_of
from qkcore.attention.geometry import Geometry
from qkcore.attention.layers import lists_of_layers
from qkcore.attention.rows import Rows
from qkcore.attention.switching import switching

Kept = dict[int, Any]  # by layer: what it returned, a tensor or a tuple that begins with one
# What a model may raise that misses something of the layers that were not computed
UNFIT = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)


@contextmanager
def keeping(model: PreTrainedModel, n_layers: int, layers: Collection[int]) -> Iterator[Kept]:
    """While open, what these layers return is kept; nothing where a model has no one list."""
    kept: Kept = {}

    def note(number: int) -> Callable[..., None]:
        def after(_module: nn.Module, _args: object, output: Any) -> None:  # noqa: ANN401 -- a hook
            kept[number] = output

        return after

    found = list(lists_of_layers(model, n_layers))
    hooks = [
        found[0][layer].register_forward_hook(note(layer)) for layer in layers if len(found) == 1
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replaying(
    model: PreTrainedModel, n_layers: int, below: int, output: object, of_row: Tensor
) -> Iterator[None]:
    """While open, changed passes on this thread do not compute the layers below one.

    Args:
        model: whose layers are in one list.
        n_layers: how many there are.
        below: the first layer that is computed.
        output: what the layer before it returned, from `keeping`.
        of_row: (row,) for each row of a pass, which row of `output` it goes on from.
    """
    (layers,) = lists_of_layers(model, n_layers)
    handed = _rows_of(output, of_row)
    usual = {}
    for layer in layers[:below]:
        usual[layer] = vars(layer).get("forward")
        vars(layer)["forward"] = _handing_on(layer.forward, handed)
    try:
        yield
    finally:
        for layer, forward in usual.items():
            del vars(layer)["forward"]
            if forward is not None:
                vars(layer)["forward"] = forward


def _handing_on(forward: Callable[..., Any], handed: object) -> Callable[..., Any]:
    def replayed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- whatever `forward` returns
        return forward(*args, **kwargs) if switching() is None else handed

    return replayed


def _rows_of(output: object, of_row: Tensor) -> object:
    """These rows of what a layer returned."""
    if isinstance(output, Tensor):
        return output[of_row.to(output.device)]
    if isinstance(output, tuple):
        return tuple(_rows_of(part, of_row) for part in output)
    return output


def can_replay(
    model: PreTrainedModel, geometry: Geometry, rows: Rows, below: int, kept: Kept, logits: Tensor
) -> bool:
    """Whether a pass that replays what is below a layer gives the very logits of a whole pass.

    Must be asked while `changing` is open, with no head switched off.

    Args:
        model: the model.
        geometry: its geometry.
        rows: of the whole pass.
        below: the first layer that is computed.
        kept: from `keeping`, of the whole pass.
        logits: of the whole pass.
    """
    output = kept.get(below - 1)
    states = output[0] if isinstance(output, tuple) else output
    # Else rows may not be what comes first (Gemma 3n), which the comparison could miss.
    if not isinstance(states, Tensor) or states.shape[:-1] != rows.tokens.shape:
        return False
    try:
        with replaying(model, geometry.n_layers, below, output, torch.arange(len(rows.tokens))):
            return torch.equal(logits_of(model, geometry, rows), logits)
    except UNFIT:
        return False
