"""One forward pass: queries, keys and logits at the positions asked for.

`attach` makes a model tell its queries and keys (see qkcore.attention.recording): after rotary
through an attention function registered with transformers, or through a method of the few
architectures that never call one; before rotary by reading what their rotary functions are given.
While no capture is under way on the thread, all of that only hands on, so the model stays usable as
it is.
"""

import functools
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from qkcore.attention.geometry import Geometry, UnsupportedModelError
from qkcore.attention.own_paths import OWN_PATHS
from qkcore.attention.recording import Recording, active, recording
from qkcore.attention.rows import Rows


@dataclass(frozen=True, slots=True)
class Captured:
    """What one pass gave. Both dictionaries are keyed by "pre" or "post" (rotary)."""

    queries: dict[str, Tensor]  # (row, layer, head, query, dim) float32, at Rows.query_at
    keys: dict[str, Tensor]  # (row, layer, kv_head, statement, dim) float32, at Rows.key_at
    logits: Tensor  # (row, statement, vocabulary) the model's dtype and device, at Rows.logits_at
    recording: Recording


def attach(model: nn.Module, geometry: Geometry) -> None:
    """Make a model readable.

    Raises:
        UnsupportedModelError: when the model has no way to be read.
    """
    for module in {type(module).__module__ for module in model.modules()}:
        _read_rotary_functions(module)
    if geometry.model_type in OWN_PATHS:
        for module in model.modules():
            OWN_PATHS[geometry.model_type](module)
        return
    name = "qkscope_sdpa" if getattr(model, "_supports_sdpa", False) else "qkscope_eager"
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} does not let its attention function be set"
        )


@contextmanager
def eager_attention(model: nn.Module, geometry: Geometry) -> Iterator[None]:
    """While open, a prepared model computes attention weights and can return them; it is read as
    before.
    """
    usual = model.config._attn_implementation
    is_own = geometry.model_type in OWN_PATHS
    # These models look at their configuration only, and refuse to have it set the official way.
    switch = (
        partial(setattr, model.config, "_attn_implementation")
        if is_own
        else model.set_attn_implementation
    )
    switch("eager" if is_own else "qkscope_eager")
    try:
        yield
    finally:
        switch(usual)


def _read_rotary_functions(module_name: str) -> None:
    """Wrap a modelling module's rotary functions; once per process, and harmless outside of a
    capture.
    """
    module = sys.modules[module_name]
    for name, function in list(vars(module).items()):
        if (
            re.fullmatch(r"apply_rotary\w*", name)
            and callable(function)
            and not hasattr(function, "reads_for_qkscope")
        ):
            setattr(module, name, _reading_rotation(function))


def _reading_rotation(rotate):
    """A rotary function that takes queries and keys, or (GPT-J, CodeGen) first keys and then
    queries by themselves.
    """
    signature = inspect.signature(rotate)
    takes_both = list(signature.parameters)[1] in ("k", "xk")

    @functools.wraps(rotate)
    def reading(*args, **kwargs):
        returned = rotate(*args, **kwargs)
        if (under_way := active()) is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = tuple(bound.arguments.values())
            if takes_both:
                token_axis = 1 if bound.arguments.get("unsqueeze_dim") == 2 else 2
                under_way.note_rotation("query", given[0], returned[0], token_axis)
                under_way.note_rotation("key", given[1], returned[1], token_axis)
            else:
                which = "query" if "key" in under_way.rotated else "key"
                under_way.note_rotation(which, given[0], returned, token_axis=1)
        return returned

    reading.reads_for_qkscope = True
    return reading


def _reading_attention(attention):
    """The attention function that reads queries and keys and hands on to `attention(module)`."""

    def forward(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs,
    ):
        if (under_way := active()) is not None:
            scaling, own = kwargs.get("scaling"), getattr(module, "scaling", None)
            # OPT scales its queries itself; the score is unscaled
            if scaling == 1.0 and own not in (None, 0.0):
                under_way.note_layer(module.layer_idx, query / own, key, own)
            else:
                scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
                under_way.note_layer(module.layer_idx, query, key, scaling)
            under_way.softcaps[module.layer_idx] = kwargs.get("softcap")
        return attention(module)(module, query, key, value, attention_mask, **kwargs)

    return forward


def _eager_of(module: nn.Module):
    return sys.modules[type(module).__module__].eager_attention_forward


AttentionInterface.register(
    "qkscope_sdpa", _reading_attention(lambda _module: sdpa_attention_forward)
)
AttentionMaskInterface.register("qkscope_sdpa", sdpa_mask)
AttentionInterface.register("qkscope_eager", _reading_attention(_eager_of))
AttentionMaskInterface.register("qkscope_eager", eager_mask)


def capture(
    model: nn.Module, geometry: Geometry, rows: Rows, ropes: tuple[str, ...] = ("pre",)
) -> Captured:
    """Run the model once over the rows and read it.

    Args:
        model: a causal LM that `attach` has prepared, in eval mode.
        ropes: which states are wanted: "pre" (before rotary), "post", or both. Without rotary they
            are the same.

    Raises:
        UnsupportedModelError: when a layer did not tell its queries and keys.
    """
    device = model.get_input_embeddings().weight.device
    inputs = {"input_ids": rows.tokens.to(device), "logits_to_keep": rows.logits_at.to(device)}
    if rows.visible is None:
        inputs["attention_mask"] = rows.is_token.long().to(device)
    else:
        inputs["attention_mask"] = _masks(geometry, rows, model.dtype, device)
        inputs["position_ids"] = rows.positions.to(device)
    with recording(rows.key_at, rows.query_at) as recorded, torch.inference_mode():
        logits = model(**inputs, use_cache=False).logits
    states = {
        "post": (recorded.queries, recorded.keys),
        "pre": (recorded.pre_queries, recorded.pre_keys),
    }
    return Captured(
        queries={rope: _stacked(states[rope][0], rope, geometry) for rope in ropes},
        keys={rope: _stacked(states[rope][1], rope, geometry) for rope in ropes},
        logits=logits,
        recording=recorded,
    )


def _stacked(states: dict[int, Tensor | None], rope: str, geometry: Geometry) -> Tensor:
    """(row, layer, ...) from one tensor a layer."""
    layers = sorted(states)
    if layers != list(range(geometry.n_layers)):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: {len(layers)} of its {geometry.n_layers} layers "
            "let their queries and keys be read; the others have no softmax attention or compute "
            "it by themselves"
        )
    tensors = [states[layer] for layer in layers]
    if any(tensor is None for tensor in tensors):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: its queries and keys are changed again after "
            "rotary embedding, so there is no score before it; use --rope post"
        )
    if len({tensor.shape for tensor in tensors}) > 1:
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: its layers differ in heads or head size"
        )
    return torch.stack(tensors, dim=1)


def _masks(
    geometry: Geometry, rows: Rows, dtype: torch.dtype, device: torch.device
) -> Tensor | dict[str, Tensor]:
    """Additive (row, 1, token, token) masks; one per kind of layer where the model takes them so.

    A 4-D mask switches the model's own sliding window off, so the window is built in by distance of
    positions.
    """
    distance = rows.positions[:, :, None] - rows.positions[:, None, :]
    is_near = distance < geometry.window if geometry.window is not None else None

    def additive(visible: Tensor) -> Tensor:
        mask = torch.zeros(visible.shape, dtype=dtype)
        # Booleans would do for sdpa only: eager attention adds them as 0 and 1.
        return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None].to(device)

    if geometry.layer_kinds is not None:
        return {
            "full_attention": additive(rows.visible),
            "sliding_attention": additive(rows.visible & is_near),
        }
    return additive(rows.visible if is_near is None else rows.visible & is_near)
