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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.hidden_states import HiddenStates, read_states
from qkcore.attention.layers import layer_of, number_layers
from qkcore.attention.own_paths import OWN_PATHS
from qkcore.attention.projections import read_projections
from qkcore.attention.recording import Recording, active, recording
from qkcore.attention.rows import Rows
from qkcore.attention.switching import switching

States = dict[int, Tensor | None]  # by layer; None where they could not be told

# What transformers gives an attention function, and what it is given back, is its own affair.
Attention = Callable[..., Any]

READS = "reads_for_qkscope"  # the attribute of a rotary function that is wrapped already


@dataclass(frozen=True, slots=True)
class Captured:
    """What one pass gave. Both dictionaries are keyed by reading: "raw", "pre" or "post".

    "layer" is a place in `Geometry.head_layers`. Where layers differ, all have the shape of the
    largest: smaller heads are filled up with zeros, and fewer kv heads are repeated.
    """

    queries: dict[str, Tensor]  # (row, layer, head, query, dim) float32, at Rows.query_at
    keys: dict[str, Tensor]  # (row, layer, kv_head, statement, dim) float32, at Rows.keys_at
    logits: Tensor  # (row, statement, vocabulary) the model's dtype and device, at Rows.logits_at
    recording: Recording
    states: HiddenStates | None = None  # after each layer, where they were asked for
    n_returned: int | None = None  # things that a layer returned; None: its state by itself


def attach(model: PreTrainedModel, geometry: Geometry) -> None:
    """Make a model readable.

    Raises:
        UnsupportedModelError: when the model has no way to be read.
    """
    for module_name in {type(module).__module__ for module in model.modules()}:
        _read_rotary_functions(module_name)
    number_layers(model, geometry.n_layers)
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

    It takes queries and keys, or (GPT-J, CodeGen, Gemma 4) either by itself.
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
            both = returned if takes_both else (returned, returned)
            for axis in _token_axes(bound.arguments.get("unsqueeze_dim"), takes_both):
                if given[0].shape[axis] <= under_way.last_position:
                    continue  # heads
                under_way.note_rotation("query", given[0], both[0], axis)
                under_way.note_rotation("key", given[int(takes_both)], both[1], axis)
        return returned

    setattr(reading, READS, True)
    return reading


def _token_axes(unsqueeze_dim: int | None, takes_both: bool) -> tuple[int, ...]:
    """Where a rotary function's (row, ., ., dim) states may have their tokens.

    Some are told by the axis along which they repeat their angles. Of those that take queries and
    keys together, most have tokens after heads and Llama 4 before them, so both are read.
    """
    if unsqueeze_dim is not None:
        return (1,) if unsqueeze_dim == 2 else (2,)
    return (2, 1) if takes_both else (1,)


def _reading_attention(attention: Callable[[nn.Module], Attention]) -> Attention:
    """The attention function that reads queries and keys and hands on to `attention(module)`."""

    def forward(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 -- whatever `attention` returns
        if (under_way := active()) is not None:
            layer = layer_of(module, under_way)
            scaling, own = kwargs.get("scaling"), getattr(module, "scaling", None)
            # OPT scales its queries itself; the score is unscaled
            if scaling == 1.0 and own not in (None, 0.0):
                under_way.note_layer(layer, query / own, key, own)
            else:
                scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
                under_way.note_layer(layer, query, key, scaling)
            under_way.softcaps[layer] = kwargs.get("softcap")
        if (chosen := kwargs.get("indices")) is not None:
            attention_mask = _only(attention_mask, chosen)
        if kwargs.get("block_indices") is not None:
            raise UnsupportedModelError("its attention chooses blocks of tokens, in a way unknown")
        if (changing := switching()) is None:
            return attention(module)(module, query, key, value, attention_mask, **kwargs)
        layer = layer_of(module, changing)
        attention_mask = changing.mask(layer, attention_mask, query, key)
        output, *others = attention(module)(module, query, key, value, attention_mask, **kwargs)
        return (changing.output(layer, output), *others)

    return forward


def _only(mask: Tensor | None, chosen: Tensor) -> Tensor:
    """A mask that also hides the keys that an indexer left out.

    Models hand the indices to functions whose names they do not know, and apply them for others.

    Args:
        mask: (row, 1, token, token), additive or boolean.
        chosen: (row, token, n) indices of key tokens.

    Raises:
        UnsupportedModelError: where there is no mask.
    """
    if mask is None:
        raise UnsupportedModelError("its indexer's choice of tokens comes without a mask")
    is_left_out = torch.ones_like(mask[:, 0], dtype=torch.bool)
    is_left_out = is_left_out.scatter(-1, chosen.long(), value=False)[:, None]
    if mask.dtype == torch.bool:
        return mask & ~is_left_out
    return mask.masked_fill(is_left_out, torch.finfo(mask.dtype).min)


def _eager_of(module: nn.Module) -> Attention:
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
    layers: Sequence[nn.Module] = (),
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
        layers: all of the model's, if the hidden states after them are wanted too.

    Raises:
        UnsupportedModelError: when a layer did not tell its queries and keys.
    """
    if "raw" in ropes:
        geometry.refuse_unread(f"model type {geometry.model_type!r}", "raw")
    projections = geometry.projections if "raw" in ropes else ()
    with (
        read_projections(model, projections),
        recording(rows.keys_at, rows.query_at, is_strict) as recorded,
        read_states(layers, rows.logits_at, rows.key_at) as told,
    ):
        logits = logits_of(model, geometry, rows)
    found = captured_of(recorded, logits, geometry, ropes)
    return replace(found, states=told.states(), n_returned=told.n_returned)


def logits_of(model: PreTrainedModel, geometry: Geometry, rows: Rows) -> Tensor:
    """Run the model once over the rows: (row, statement, vocabulary) logits at Rows.logits_at."""
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
    with torch.inference_mode():
        logits: Tensor = model(**inputs, use_cache=False).logits
    return logits


def captured_of(
    recorded: Recording, logits: Tensor, geometry: Geometry, ropes: tuple[str, ...]
) -> Captured:
    """What a pass told, layers together.

    Raises:
        UnsupportedModelError: when a layer did not tell its queries and keys.
    """
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
    _check_layers(recorded, geometry)
    return Captured(
        queries={rope: _stacked(queries[rope], geometry, has_all_heads=True) for rope in ropes},
        keys={rope: _stacked(keys[rope], geometry) for rope in ropes},
        logits=logits,
        recording=recorded,
    )


def _check_layers(recorded: Recording, geometry: Geometry) -> None:
    """Refuse a pass in which not just the layers with softmax heads told theirs, and once."""
    what = f"model type {geometry.model_type!r}"
    if recorded.twice:
        raise UnsupportedModelError(
            f"{what}: layer {min(recorded.twice)} attends several times with other queries and "
            "keys, so it has no one score a head"
        )
    if not recorded.queries:
        raise UnsupportedModelError(
            f"{what}: none of its {geometry.n_layers} layers let its queries and keys be read; "
            "they have no softmax attention or compute it by themselves"
        )
    missing = set(geometry.head_layers) - set(recorded.queries)
    other = set(recorded.queries) - set(geometry.head_layers)
    if missing:
        raise UnsupportedModelError(
            f"{what}: {len(recorded.queries)} of its {geometry.n_layers} layers let their queries "
            f"and keys be read; layer {min(missing)} computes its attention by itself"
        )
    if other:
        raise UnsupportedModelError(
            f"{what}: layer {min(other)} attends, where its configuration has a layer without heads"
        )


def _stacked(states: States, geometry: Geometry, has_all_heads: bool = False) -> Tensor:
    """(row, layer, ...) from one tensor a layer; of queries, with as many heads in each."""
    tensors = [state for layer in sorted(states) if (state := states[layer]) is not None]
    if len(tensors) < len(states):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: its queries and keys are changed again after "
            "rotary embedding, so there is no score before it; use --rope post"
        )
    n_heads, size = (max(tensor.shape[axis] for tensor in tensors) for axis in (1, -1))
    counts = {tensor.shape[1] for tensor in tensors}
    if any(n_heads % count for count in counts) or (has_all_heads and len(counts) > 1):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: its layers differ in heads"
        )
    return torch.stack([filled_up(tensor, n_heads, size) for tensor in tensors], dim=1)


def filled_up(states: Tensor, n_heads: int, size: int) -> Tensor:
    """States of a layer with fewer kv heads or smaller heads than another, in the shape of that.

    Kv heads are repeated, so that each head still finds its own; the new dims are zero.
    """
    repeated = states.repeat_interleave(n_heads // states.shape[1], dim=1)
    return torch.nn.functional.pad(repeated, (0, size - states.shape[-1]))


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

    positions = rows.positions
    seen = {"full_attention": visible}
    is_near = visible
    if geometry.window is not None:
        distance = positions[:, :, None] - positions[:, None, :]
        is_near = seen["sliding_attention"] = visible & (distance < geometry.window)
    if geometry.chunk is not None:
        chunks = positions // geometry.chunk
        seen["chunked_attention"] = visible & (chunks[:, :, None] == chunks[:, None, :])
    if geometry.layer_kinds is not None:
        return {kind: additive(mask) for kind, mask in seen.items()}
    return additive(is_near)
