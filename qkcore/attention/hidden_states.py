"""The hidden state after each layer of a pass, at the positions asked for.

Hooks on the model's layers while a pass is under way on this thread. A state has the model's own
type and stays on its device. Knows nothing of what comes after the last layer.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.layers import lists_of_layers


@dataclass(frozen=True, slots=True)
class HiddenStates:
    """What goes on from each layer to the next, and after the last one to the model's answer.

    (row, layer, statement, ..., dim); between statement and dim stands nothing, or the several
    streams that a model carries side by side (Gemma 3n).
    """

    cue: Tensor  # at Rows.logits_at
    end: Tensor  # at Rows.key_at: the statement's end


@dataclass
class Told:
    """What the layers of a pass have told so far."""

    n_layers: int = 0
    cue: dict[int, Tensor] = field(default_factory=dict)
    end: dict[int, Tensor] = field(default_factory=dict)
    n_returned: int | None = None  # things that the last layer returned; None: the state by itself

    def states(self) -> HiddenStates | None:
        """All layers together; None where nobody asked.

        Raises:
            UnsupportedModelError: when a layer told nothing.
        """
        if not self.n_layers:
            return None
        if missing := set(range(self.n_layers)) - set(self.cue):
            raise UnsupportedModelError(f"layer {min(missing)} does not tell its hidden state")
        device = self.cue[self.n_layers - 1].device
        return HiddenStates(
            *(
                torch.stack([told[layer].to(device) for layer in range(self.n_layers)], dim=1)
                for told in (self.cue, self.end)
            )
        )


def layers_of(model: nn.Module, n_layers: int) -> tuple[nn.Module, ...]:
    """The model's layers, in order: of the lists of so many modules the one that weighs most.

    Raises:
        UnsupportedModelError: where there is no such list.
    """
    lists = list(lists_of_layers(model, n_layers))
    if not lists:
        raise UnsupportedModelError(f"its {n_layers} layers do not stand in a list")
    weights = [sum(parameter.numel() for parameter in one.parameters()) for one in lists]
    return tuple(lists[weights.index(max(weights))])


@contextmanager
def read_states(layers: Sequence[nn.Module], cue_at: Tensor, end_at: Tensor) -> Iterator[Told]:
    """While open, passes of this thread tell what these layers return.

    Args:
        layers: of the model, in order; none: nothing is told, at no cost.
        cue_at: (row, statement) indices into the row's tokens.
        end_at: likewise.
    """
    told, thread = Told(len(layers)), threading.get_ident()

    def note(number: int) -> Any:  # noqa: ANN401 -- a hook
        def after(_module: nn.Module, _args: object, output: Any) -> None:  # noqa: ANN401 -- any
            if threading.get_ident() != thread:
                return
            is_alone = isinstance(output, Tensor)
            state: Tensor = output if is_alone else output[0]
            told.n_returned = None if is_alone else len(output)
            told.cue[number], told.end[number] = (_at(state, at) for at in (cue_at, end_at))

        return after

    handles = [layer.register_forward_hook(note(at)) for at, layer in enumerate(layers)]
    try:
        yield told
    finally:
        for handle in handles:
            handle.remove()


def _at(states: Tensor, positions: Tensor) -> Tensor:
    """(..., row, token, dim) states at (row, n) positions: (row, n, ..., dim)."""
    by_token = states.movedim((-3, -2), (0, 1))
    rows = torch.arange(len(by_token), device=states.device)[:, None]
    return by_token[rows, positions.to(states.device)]


@contextmanager
def skipped_layers(
    layers: Sequence[nn.Module], state: Tensor, n_returned: int | None
) -> Iterator[None]:
    """While open, each of these layers returns this state on this thread, and computes nothing.

    Args:
        layers: of the model.
        state: (row, token, ..., dim).
        n_returned: as `Told` has it; what is returned beside the state is None.
    """
    whole, thread = state.movedim((0, 1), (-3, -2)), threading.get_ident()
    output = whole if n_returned is None else (whole, *[None] * (n_returned - 1))

    def skipping(forward: Any) -> Any:  # noqa: ANN401 -- a layer's own
        def skip(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- whatever the layer returns
            is_asked = threading.get_ident() == thread
            return output if is_asked else forward(*args, **kwargs)

        return skip

    with _forwards({layer: skipping(layer.forward) for layer in layers}):
        yield


@contextmanager
def _forwards(changed: dict[nn.Module, Any]) -> Iterator[None]:
    """While open, modules compute what is given here."""
    own = {module: vars(module).get("forward") for module in changed}
    try:
        for module, forward in changed.items():
            vars(module)["forward"] = forward
        yield
    finally:
        for module, forward in own.items():
            del vars(module)["forward"]
            if forward is not None:
                vars(module)["forward"] = forward


@contextmanager
def answers_only(output: nn.Module | None, tokens: Tensor | None) -> Iterator[bool]:
    """While open, an output matrix gives the logits of these tokens only, on this thread.

    Yields:
        Whether it does; a matrix of another kind (in few bits) stays as it is.
    """
    if (
        tokens is None
        or not isinstance(output, nn.Linear)
        or type(output).forward is not nn.Linear.forward
        or output.weight.is_meta
    ):
        yield False
        return
    usual, thread, rows = output.forward, threading.get_ident(), tokens.to(output.weight.device)
    weight = output.weight[rows]
    bias = None if output.bias is None else output.bias[rows]

    def forward(hidden: Tensor) -> Tensor:
        if threading.get_ident() != thread:
            return usual(hidden)
        return nn.functional.linear(hidden.to(weight.device), weight, bias)

    with _forwards({output: forward}):
        yield True
