"""One forward pass: queries, keys and logits at the positions asked for.

`attach` makes a model tell its queries and keys (see qkcore.attention.recording): after rotary
through an attention function registered with transformers, or through a method of the few
architectures that never call one; before rotary by reading what their rotary functions are given;
raw by hooks on the projections that the self-check found.
While no capture is under way on the thread, all of that only hands on, so the model stays usable as
it is.
"""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.own_paths import OWN_PATHS
from qkcore.attention.projections import read_projections
from qkcore.attention.recording import Recording, active, recording
from qkcore.attention.rows import Rows

States = dict[int, Tensor | None]  # by layer; None where they could not be told

# What transformers gives an attention function, and what it is given back, is its own affair.
Attention = Callable[..., Any]

READS = "reads_for_qkscope"  # the attribute of a rotary function that is wrapped already


class _Numbered(Protocol):
    """An attention module of transformers: it knows which layer it is."""

    layer_idx: int


@dataclass(frozen=True, slots=True)
class Captured:
    """What one pass gave. Both dictionaries are keyed by reading: "raw", "pre" or "post"."""

    queries: dict[str, Tensor]  # (row, layer, head, query, dim) float32, at Rows.query_at
    keys: dict[str, Tensor]  # (row, layer, kv_head, statement, dim) float32, at Rows.key_at
    logits: Tensor  # (row, statement, vocabulary) the model's dtype and device, at Rows.logits_at
    recording: Recording


def attach(model: PreTrainedModel, geometry: Geometry) -> None:
    """Make a model readable.

    Raises:
        UnsupportedModelError: when the model has no way to be read.
    """
    for module_name in {type(module).__module__ for module in model.modules()}:
        _read_rotary_functions(module_name)
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
def eager_attention(model: PreTrainedModel, geometry: Geometry) -> Iterator[None]:
    """While open, a prepared model computes attention weights and can return them.

    It is read as before.
    """
    usual = model.config._attn_implementation
    is_own = geometry.model_type in OWN_PATHS

    def switch(name: str) -> None:
        if is_own:
            # These look at their configuration only, and refuse to have it set the official way.
            model.config._attn_implementation = name
        else:
            model.set_attn_implementation(name)

    switch("eager" if is_own else "qkscope_eager")
    try:
        yield
    finally:
        switch(usual)


def _read_rotary_functions(module_name: str) -> None:
    """Wrap a modelling module's rotary functions.

    Once per process, and harmless outside of a capture.
    """
    module = sys.modules[module_name]
    for name, function in list(vars(module).items()):
        is_rotary = re.fullmatch(r"apply_rotary\w*", name) and callable(function)
        if is_rotary and not hasattr(function, READS):
            setattr(module, name, _reading_rotation(function))


def _reading_rotation(rotate: Callable[..., Any]) -> Callable[..., Any]:
    """A rotary function that also tells what it was given and what it returned.

    It takes queries and keys, or (GPT-J, CodeGen) first keys and then queries by themselves.
    """
    signature = inspect.signature(rotate)
    takes_both = list(signature.parameters)[1] in ("k", "xk")

    @functools.wraps(rotate)
    def reading(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- whatever `rotate` returns
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

    setattr(reading, READS, True)
    return reading


def _reading_attention(attention: Callable[[_Numbered], Attention]) -> Attention:
    """The attention function that reads queries and keys and hands on to `attention(module)`."""

    def forward(
        module: _Numbered,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 -- whatever `attention` returns
        if (under_way := active()) is not None:
            layer = module.layer_idx
            scaling, own = kwargs.get("scaling"), getattr(module, "scaling", None)
            # OPT scales its queries itself; the score is unscaled
            if scaling == 1.0 and own not in (None, 0.0):
                under_way.note_layer(layer, query / own, key, own)
            else:
                scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
                under_way.note_layer(layer, query, key, scaling)
            under_way.softcaps[layer] = kwargs.get("softcap")
        return attention(module)(module, query, key, value, attention_mask, **kwargs)

    return forward


def _eager_of(module: _Numbered) -> Attention:
    eager: Attention = sys.modules[type(module).__module__].eager_attention_forward
    return eager


AttentionInterface.register(
    "qkscope_sdpa", _reading_attention(lambda _module: sdpa_attention_forward)
)
AttentionMaskInterface.register("qkscope_sdpa", sdpa_mask)
AttentionInterface.register("qkscope_eager", _reading_attention(_eager_of))
AttentionMaskInterface.register("qkscope_eager", eager_mask)


def capture(
    model: PreTrainedModel,
    geometry: Geometry,
    rows: Rows,
    ropes: tuple[str, ...] = ("pre",),
    is_strict: bool = False,
) -> Captured:
    """Run the model once over the rows and read it.

    Args:
        model: a causal LM that `attach` has prepared, in eval mode.
        geometry: the model's, as `read_geometry` or the self-check has it.
        rows: of tokens, and which of them are read.
        ropes: which states are wanted: "raw" (projections), "pre" (after QK-norm, before rotary),
            "post", or several. Without norm the first two are the same, without rotary the last.
        is_strict: trust no memory, as `recording` has it; once a model has been found to leave its
            states alone after rotary, that costs time for nothing.

    Raises:
        UnsupportedModelError: when a layer did not tell its queries and keys.
    """
    device = input_embeddings(model).device
    inputs: dict[str, Tensor | dict[str, Tensor]] = {
        "input_ids": rows.tokens.to(device),
        "logits_to_keep": rows.logits_at.to(device),
    }
    if rows.visible is None:
        inputs["attention_mask"] = rows.is_token.long().to(device)
    else:
        inputs["attention_mask"] = _masks(geometry, rows, rows.visible, model.dtype, device)
        inputs["position_ids"] = rows.positions.to(device)
    if "raw" in ropes:
        geometry.refuse_unread(f"model type {geometry.model_type!r}", "raw")
    projections = geometry.projections if "raw" in ropes else ()
    with (
        read_projections(model, projections),
        recording(rows.key_at, rows.query_at, is_strict) as recorded,
        torch.inference_mode(),
    ):
        logits = model(**inputs, use_cache=False).logits
    queries: dict[str, States] = {
        "raw": recorded.raw_queries,
        "pre": recorded.pre_queries,
        "post": {**recorded.queries},
    }
    keys: dict[str, States] = {
        "raw": recorded.raw_keys,
        "pre": recorded.pre_keys,
        "post": {**recorded.keys},
    }
    return Captured(
        queries={rope: _stacked(queries[rope], geometry) for rope in ropes},
        keys={rope: _stacked(keys[rope], geometry) for rope in ropes},
        logits=logits,
        recording=recorded,
    )


def _stacked(states: States, geometry: Geometry) -> Tensor:
    """(row, layer, ...) from one tensor a layer."""
    layers = sorted(states)
    if layers != list(range(geometry.n_layers)):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: {len(layers)} of its {geometry.n_layers} layers "
            "let their queries and keys be read; the others have no softmax attention or compute "
            "it by themselves"
        )
    tensors = [state for layer in layers if (state := states[layer]) is not None]
    if len(tensors) < len(layers):
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
    geometry: Geometry,
    rows: Rows,
    visible: Tensor,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor | dict[str, Tensor]:
    """Additive (row, 1, token, token) masks; one per kind of layer where the model takes them so.

    A 4-D mask switches the model's own sliding window off, so the window is built in by distance of
    positions.
    """

    def additive(is_seen: Tensor) -> Tensor:
        mask = torch.zeros(is_seen.shape, dtype=dtype)
        # Booleans would do for sdpa only: eager attention adds them as 0 and 1. Every token sees
        # one at least (padding: padding), so minus infinity makes no NaN; with the lowest number
        # instead sdpa takes an eighth longer on a CPU.
        return mask.masked_fill_(~is_seen, float("-inf"))[:, None].to(device)

    is_near = visible
    if geometry.window is not None:
        distance = rows.positions[:, :, None] - rows.positions[:, None, :]
        is_near = visible & (distance < geometry.window)
    if geometry.layer_kinds is not None:
        return {"full_attention": additive(visible), "sliding_attention": additive(is_near)}
    return additive(is_near)
