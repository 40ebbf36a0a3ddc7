"""Is what `capture` reads really this model's attention? Asked once after every load.

Runs a short text of arbitrary tokens several ways and compares. What differs is refused with the
number by which it does: a model that is misread would otherwise still give numbers.
"""

import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qkcore.architectures import Geometry, UnsupportedModelError, rotary_projections
from qkcore.capture import Captured, capture
from qkcore.layout import Rows, rows_of
from qkcore.prompts import Prompt

N_TOKENS = 24
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The largest differences found, each relative to the largest value compared; all within `tolerance`."""

    attention: float  # rebuilt from captured queries and keys, against the model's own eager weights
    rotation: float | None  # "pre" states rotated by the model, against "post" states; None without rotary
    side_by_side: float  # candidates in one row, against a plain row for each
    tolerance: float


def self_check(model: nn.Module, geometry: Geometry) -> SelfCheck:
    """Check a model that `attach` has prepared.

    Raises:
        UnsupportedModelError: saying what differs and by how much.
    """
    tolerance = TOLERANCE.get(model.dtype, 5e-2)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(vocabulary, (N_TOKENS + 3,), generator=torch.Generator().manual_seed(0)).tolist()
    prompt = Prompt("self-check", "", tuple(ids[:N_TOKENS]), ((ids[-3],), (ids[-2], ids[-1])), key_at=N_TOKENS - 3)
    side_by_side = _side_by_side_difference(model, geometry, prompt)
    plain = _plain_rows(prompt.tokens)
    ropes = ("pre", "post") if geometry.has_rotary else ("post",)
    cos_sin: dict[int, tuple] = {}
    with _position_embeddings(model, geometry, cos_sin):
        captured = capture(model, geometry, plain, ropes)
    _check_shapes(captured, geometry)
    result = SelfCheck(
        attention=_attention_difference(model, geometry, captured, plain),
        rotation=_rotation_difference(model, geometry, captured, cos_sin) if geometry.has_rotary else None,
        side_by_side=side_by_side,
        tolerance=tolerance,
    )
    named = {
        "attention rebuilt from the queries and keys read differs from the model's own": result.attention,
        "queries and keys before rotary, once rotated, differ from those after": result.rotation or 0.0,
        "scores of candidates side by side differ from those of separate passes": result.side_by_side,
    }
    for what, difference in named.items():
        if not difference <= tolerance:  # also refuses NaN
            raise UnsupportedModelError(
                f"model type {geometry.model_type!r} is not read rightly: {what} by {difference:.1e} (at most "
                f"{tolerance:.0e} is rounding)"
            )
    return result


def _plain_rows(tokens: tuple[int, ...]) -> Rows:
    """One row with every position read, and no candidates."""
    every = torch.arange(len(tokens))[None]
    visible = torch.ones(1, len(tokens), len(tokens), dtype=torch.bool).tril()
    return Rows(torch.tensor([tokens]), every, visible, key_at=every, query_at=every, logits_at=every[:, -1:])


def _difference(ours: Tensor, theirs: Tensor) -> float:
    scale = theirs.abs().max().clamp_min(1e-12)
    return float((ours - theirs).abs().max() / scale)


def _side_by_side_difference(model: nn.Module, geometry: Geometry, prompt: Prompt) -> float:
    """Queries, keys and logits of one row with two candidates, against the model's own pass over each alone."""
    together = capture(model, geometry, rows_of([prompt]), ("post",))
    differences = []
    for index, ids in enumerate(prompt.candidates):
        tokens = prompt.tokens + ids
        rows = _plain_rows(tokens)
        alone = capture(model, geometry, rows, ("post",))
        ours = together.queries["post"][0, :, :, index]
        differences.append(_difference(ours, alone.queries["post"][0, :, :, -1]))
        differences.append(_difference(together.keys["post"][0, :, :, 0], alone.keys["post"][0, :, :, prompt.key_at]))
        differences.append(_difference(together.logits[0], _plain_logits(model, tokens)[len(prompt.tokens) - 1]))
    return max(differences)


def _plain_logits(model: nn.Module, tokens: tuple[int, ...]) -> Tensor:
    """(token, vocabulary) float32 of an ordinary call: the model's own mask and positions."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits
    return logits[0].float().cpu()


def _check_shapes(captured: Captured, geometry: Geometry) -> None:
    n_heads, n_kv_heads = captured.queries["post"].shape[2], captured.keys["post"].shape[2]
    if (n_heads, n_kv_heads) != (geometry.n_heads, geometry.n_kv_heads):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: {n_heads} heads and {n_kv_heads} kv heads were read where its "
            f"configuration says {geometry.n_heads} and {geometry.n_kv_heads}"
        )


def _attention_difference(model: nn.Module, geometry: Geometry, captured: Captured, rows: Rows) -> float:
    """Softmax of captured products against the weights that eager attention returns: first, middle, last layer."""
    name = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            own = model(input_ids=rows.tokens.to(model.device), output_attentions=True, use_cache=False).attentions
    finally:
        model.set_attn_implementation(name)
    if own is None or len(own) != geometry.n_layers:
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} returns {len(own or ())} layers of attention weights, "
            f"its configuration says {geometry.n_layers}"
        )
    distance = rows.positions[0, :, None] - rows.positions[0, None, :]
    differences = []
    for layer in sorted({0, geometry.n_layers // 2, geometry.n_layers - 1}):
        keys = captured.keys["post"][0, layer].repeat_interleave(geometry.n_heads // geometry.n_kv_heads, dim=0)
        products = captured.queries["post"][0, layer] @ keys.transpose(-1, -2) * captured.scalings[layer]
        is_seen = distance >= 0
        is_windowed = geometry.layer_kinds is None or geometry.layer_kinds[layer] == "sliding_attention"
        if geometry.window is not None and is_windowed:
            is_seen = is_seen & (distance < geometry.window)
        rebuilt = products.masked_fill(~is_seen, float("-inf")).softmax(-1)
        differences.append(_difference(rebuilt, own[layer][0].float().cpu()))
    return max(differences)


class _position_embeddings:
    """While open, notes the (cos, sin) that each layer's attention is called with."""

    def __init__(self, model: nn.Module, geometry: Geometry, into: dict[int, tuple]) -> None:
        self.attentions = [p.attention for p in rotary_projections(model, geometry)] if geometry.has_rotary else []
        self.into = into

    def __enter__(self) -> None:
        def note(module, _args, kwargs) -> None:
            self.into[module.layer_idx] = kwargs.get("position_embeddings")

        self.handles = [module.register_forward_pre_hook(note, with_kwargs=True) for module in self.attentions]

    def __exit__(self, *_exception) -> None:
        for handle in self.handles:
            handle.remove()


def _rotation_difference(model: nn.Module, geometry: Geometry, captured: Captured, cos_sin: dict[int, tuple]) -> float:
    """The "pre" states, rotated by the model's own function, against the "post" states, over all layers."""
    differences = []
    for projection in rotary_projections(model, geometry):
        layer = projection.layer
        rotate = getattr(sys.modules[type(projection.attention).__module__], "apply_rotary_pos_emb", None)
        if rotate is None or cos_sin.get(layer) is None:
            raise UnsupportedModelError(
                f"model type {geometry.model_type!r}: its rotary embedding is applied in a way that cannot be checked"
            )
        cos, sin = (part.float().cpu() for part in cos_sin[layer])
        queries, keys = rotate(captured.queries["pre"][:, layer], captured.keys["pre"][:, layer], cos, sin)
        differences.append(_difference(queries, captured.queries["post"][:, layer]))
        differences.append(_difference(keys, captured.keys["post"][:, layer]))
    return max(differences)
