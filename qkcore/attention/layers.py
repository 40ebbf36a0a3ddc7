"""Which layer of a model is under way in a pass.

The number is a place in the model's own list of layers, told by a hook on each of them. Attention
modules are asked only where there is no such list: the number that they keep of themselves may
count something else, or be none at all where one module serves several layers (Zamba 2).
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.recording import Recording, active
from qkcore.attention.switching import UnderWay, switching

NUMBERED = "numbered_for_qkscope"  # the attribute of a layer that tells its number already


def number_layers(model: nn.Module, n_layers: int) -> None:
    """Have each of the model's layers tell a pass that is read or changed that it is under way."""
    for layers in lists_of_layers(model, n_layers):
        for number, layer in enumerate(layers):
            if NUMBERED in vars(layer):
                continue  # a model may be checked again
            vars(layer)[NUMBERED] = True
            layer.register_forward_pre_hook(_entering(number))
            layer.register_forward_hook(_leaving)


def layer_of(module: nn.Module, under_way: Recording | UnderWay) -> int:
    """The layer that an attention module is called in.

    Raises:
        UnsupportedModelError: when nobody knows it.
    """
    if under_way.layer is not None:
        return under_way.layer
    own = getattr(module, "layer_idx", None)
    if not isinstance(own, int) or own < 0:
        raise UnsupportedModelError(
            f"an attention module ({type(module).__name__}) does not say which layer it is in"
        )
    return own


def lists_of_layers(model: nn.Module, n_layers: int) -> Iterator[nn.ModuleList]:
    """The outermost lists of so many modules, all of them different."""
    within: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(outer + ".") for outer in within):
            continue  # such as a layer's experts
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            if len(set(module)) == n_layers:
                yield module
            within.append(name)


def _entering(number: int) -> Any:  # noqa: ANN401 -- a hook
    def enter(_module: nn.Module, _args: object) -> None:
        for under_way in (active(), switching()):
            if under_way is not None:
                under_way.layer = number

    return enter


def _leaving(_module: nn.Module, _args: object, _output: object) -> None:
    for under_way in (active(), switching()):
        if under_way is not None:
            under_way.layer = None
