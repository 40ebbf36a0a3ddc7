"""One forward pass: queries, keys and logits at the positions asked for.

Queries and keys after rotary come from an attention function registered with transformers, which reads
them and hands on to the model's usual one; those before rotary come from hooks on the projections.
Both are cut to the wanted positions on the spot: no whole tensor is kept. Without an active recording
(see `capture`) function and hooks do nothing, so the model stays usable as it is.
"""

import sys
import threading
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from qkcore.architectures import Geometry, UnsupportedModelError, rotary_projections
from qkcore.layout import Rows

ROPES = ("pre", "post")
_active = threading.local()  # .recording: the pass under way on this thread


@dataclass
class _Recording:
    """Queries and keys by (rope, layer), already cut to the positions asked for, on the CPU."""

    key_at: Tensor  # (row, key)
    query_at: Tensor  # (row, candidate)
    ropes: tuple[str, ...]
    queries: dict[tuple[str, int], Tensor] = field(default_factory=dict)  # (row, head, candidate, dim)
    keys: dict[tuple[str, int], Tensor] = field(default_factory=dict)  # (row, kv_head, key, dim)
    scalings: dict[int, float] = field(default_factory=dict)

    def add_query(self, rope: str, layer: int, states: Tensor) -> None:
        """`states`: (row, token, head, dim)."""
        if rope in self.ropes:
            self.queries[rope, layer] = _at(states, self.query_at)

    def add_key(self, rope: str, layer: int, states: Tensor) -> None:
        """`states`: (row, token, kv_head, dim)."""
        if rope in self.ropes:
            self.keys[rope, layer] = _at(states, self.key_at)


def _at(states: Tensor, positions: Tensor) -> Tensor:
    """(row, token, head, dim) read at (row, n) positions: (row, head, n, dim) float32 on the CPU."""
    rows = torch.arange(len(states), device=states.device)[:, None]
    return states[rows, positions.to(states.device)].transpose(1, 2).float().cpu()


@dataclass(frozen=True, slots=True)
class Captured:
    """What one pass gave. Both dictionaries are keyed by "pre" or "post" (rotary)."""

    queries: dict[str, Tensor]  # (row, layer, head, candidate, dim) float32
    keys: dict[str, Tensor]  # (row, layer, kv_head, key, dim) float32
    logits: Tensor  # (row, vocabulary) float32, at Rows.logits_at
    scalings: tuple[float, ...]  # per layer: what attention multiplies its products with


def attach(model: nn.Module, geometry: Geometry) -> None:
    """Make a model readable: switch it to the registered attention function and hook its projections.

    Raises:
        UnsupportedModelError: when the model has no way to do so.
    """
    name = "qkscope_sdpa" if getattr(model, "_supports_sdpa", False) else "qkscope_eager"
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise UnsupportedModelError(f"model type {geometry.model_type!r} does not let its attention function be set")
    if not geometry.has_rotary:
        return
    for projection in rotary_projections(model, geometry):
        projection.query.register_forward_hook(_hook("add_query", projection.layer, geometry.n_heads))
        projection.key.register_forward_hook(_hook("add_key", projection.layer, geometry.n_kv_heads))


def _hook(add: str, layer: int, n_heads: int):
    def read(_module, _inputs, output: Tensor) -> None:
        recording = getattr(_active, "recording", None)
        if recording is not None:
            row, token = output.shape[:2]
            getattr(recording, add)("pre", layer, output.reshape(row, token, n_heads, -1))

    return read


def _reading(attention):
    """The attention function that reads queries and keys and hands on to `attention(module)`."""

    def forward(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs):
        recording = getattr(_active, "recording", None)
        if recording is not None:
            recording.add_query("post", module.layer_idx, query.transpose(1, 2))
            recording.add_key("post", module.layer_idx, key.transpose(1, 2))
            recording.scalings[module.layer_idx] = kwargs.get("scaling") or query.shape[-1] ** -0.5
        return attention(module)(module, query, key, value, attention_mask, **kwargs)

    return forward


def _eager_of(module: nn.Module):
    return sys.modules[type(module).__module__].eager_attention_forward


AttentionInterface.register("qkscope_sdpa", _reading(lambda _module: sdpa_attention_forward))
AttentionMaskInterface.register("qkscope_sdpa", sdpa_mask)
AttentionInterface.register("qkscope_eager", _reading(_eager_of))
AttentionMaskInterface.register("qkscope_eager", eager_mask)


def capture(model: nn.Module, geometry: Geometry, rows: Rows, ropes: tuple[str, ...] = ("pre",)) -> Captured:
    """Run the model once over the rows and read it.

    Args:
        model: a causal LM that `attach` has prepared, in eval mode.
        ropes: which scores are wanted: "pre" (before rotary), "post", or both. A model without rotary has one kind.

    Raises:
        UnsupportedModelError: when a layer never called the attention function.
    """
    device = model.get_input_embeddings().weight.device
    recorded = ropes if geometry.has_rotary else ("post",)
    # Post is always recorded: it is how a layer that bypasses the attention function is noticed.
    recording = _Recording(rows.key_at, rows.query_at, tuple({*recorded, "post"}))
    _active.recording = recording
    try:
        with torch.inference_mode():
            logits = model(
                input_ids=rows.tokens.to(device),
                attention_mask=_masks(geometry, rows, model.dtype, device),
                position_ids=rows.positions.to(device),
                use_cache=False,
                logits_to_keep=rows.logits_at.to(device),
            ).logits
    finally:
        _active.recording = None
    return Captured(
        queries={rope: _stacked(recording.queries, rope, geometry) for rope in ropes},
        keys={rope: _stacked(recording.keys, rope, geometry) for rope in ropes},
        logits=logits[:, 0].float().cpu(),
        scalings=tuple(recording.scalings.get(layer, 1.0) for layer in range(geometry.n_layers)),
    )


def _stacked(states: dict[tuple[str, int], Tensor], rope: str, geometry: Geometry) -> Tensor:
    """(row, layer, ...) from one tensor a layer."""
    kind = rope if geometry.has_rotary else "post"
    layers = sorted(layer for recorded, layer in states if recorded == kind)
    if layers != list(range(geometry.n_layers)):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: {len(layers)} of its {geometry.n_layers} layers let their queries "
            "and keys be read; the others have no softmax attention or compute it by themselves"
        )
    tensors = [states[kind, layer] for layer in layers]
    if len({tensor.shape for tensor in tensors}) > 1:
        raise UnsupportedModelError(f"model type {geometry.model_type!r}: its layers differ in the number of heads")
    return torch.stack(tensors, dim=1)


def _masks(geometry: Geometry, rows: Rows, dtype: torch.dtype, device: torch.device) -> Tensor | dict[str, Tensor]:
    """Additive (row, 1, token, token) masks; one per kind of layer where the model takes them so.

    A 4-D mask switches the model's own sliding window off, so the window is built in by distance of positions.
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
