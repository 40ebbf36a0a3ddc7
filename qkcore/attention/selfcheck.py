"""Is what `capture` reads really this model's attention? Asked once after every load.

Runs a short text of arbitrary tokens several ways and compares. What differs is refused with the
number by which it does: a model that is misread would otherwise still give numbers. What rows the
scores may be read in is asked by qkcore.attention.row_check.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qkcore.attention.capture import Captured, capture, eager_attention, filled_up
from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.quantising import has_exact_products
from qkcore.attention.recording import Recording, recording
from qkcore.attention.row_check import (
    N_TOKENS,
    check_rows,
    check_window,
    largest,
    plain_rows,
    refuse_over,
    relative_difference,
    without_raw,
)
from qkcore.attention.rows import Rows
from qkcore.attention.tracing import Traced, traced

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TURNED = ("pre", "post")  # the readings between which rotary stands
SHIFT = 5  # positions
QUANTISED = 5e-2  # states in 8 bits: one more or less, where rounding falls the other way
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The largest differences found, each relative to the largest value compared.

    All are within `tolerance`.
    """

    # Rebuilt from captured queries and keys, against the model's own eager weights
    attention: float
    # Products of a token's own query and key, before and after rotary; None: no score before
    rotation: float | None
    # States of projections as they are read, against those that the model made its final states of;
    # None: no raw score
    raw: float | None
    rows: float  # what is read from a padded batch of puzzles, against an ordinary call for each
    tolerance: float


def self_check(model: "PreTrainedModel", geometry: Geometry) -> tuple[Geometry, SelfCheck]:
    """Check a model that `attach` has prepared.

    Returns its geometry as found, and by how much things differ.

    Raises:
        UnsupportedModelError: saying what differs and by how much.
    """
    tolerance = TOLERANCE.get(model.dtype, 5e-2)
    if not has_exact_products(model.config):
        tolerance = max(tolerance, QUANTISED)
    chance = torch.Generator().manual_seed(0)
    vocabulary = len(input_embeddings(model))
    ids = torch.randint(vocabulary, (N_TOKENS + 3,), generator=chance).tolist()
    plain = plain_rows(tuple(ids[:N_TOKENS]))
    found = capture(model, geometry, plain, ("post",), is_strict=True)
    geometry = _found(geometry, found)
    if "pre" in geometry.ropes and _is_rotated(model, plain, found, tolerance):
        geometry = replace(geometry, ropes=("post",))
    attention = _attention_difference(model, geometry, plain)
    what = "attention rebuilt from the queries and keys read differs from its own"
    refuse_over(attention, tolerance, geometry, what)
    geometry, projected = _with_raw(model, geometry, ids)
    read, rotation, raw = capture(model, geometry, plain, geometry.ropes), None, None
    if "pre" in geometry.ropes:
        rotation = _rotation_difference(geometry, read)
        what = "products of a token's own query and key are not the same before and after rotary"
        refuse_over(rotation, tolerance, geometry, what)
    if projected:
        raw = _raw_difference(read, projected)
        geometry = geometry if raw <= tolerance else without_raw(geometry)
    geometry, rows = check_rows(model, geometry, ids, tolerance)
    if geometry.is_side_by_side:
        geometry = check_window(model, geometry, ids, tolerance)
    raw = raw if "raw" in geometry.ropes else None
    return geometry, SelfCheck(attention, rotation, raw, rows, tolerance)


def _found(geometry: Geometry, captured: Captured) -> Geometry:
    """The geometry with the kv heads, head size and kinds of score that were really read."""
    n_heads, n_kv_heads = captured.queries["post"].shape[2], captured.keys["post"].shape[2]
    if n_heads != geometry.n_heads or n_heads % n_kv_heads:
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: {n_heads} heads and {n_kv_heads} kv heads were "
            f"read where its configuration says {geometry.n_heads} and {geometry.n_kv_heads}"
        )
    recorded = captured.recording
    before = [*recorded.pre_queries.values(), *recorded.pre_keys.values()]
    has_pre = all(state is not None for state in before)
    return replace(
        geometry,
        n_kv_heads=n_kv_heads,
        head_size=captured.queries["post"].shape[-1],
        ropes=TURNED if has_pre else ("post",),
    )


def _is_rotated(model: "PreTrainedModel", rows: Rows, found: Captured, tolerance: float) -> bool:
    """Do states in which no rotation was seen know their position? Then one was missed.

    A model with rotary gives the same answer with all positions moved, and only rotated states
    change. One that adds positions to its input gives another; it has no rotation to miss.
    """
    before = found.recording
    unturned = [
        layer for layer, queries in before.queries.items() if before.pre_queries[layer] is queries
    ]
    if not unturned:
        return False
    inputs = {
        "input_ids": rows.tokens.to(model.device),
        "attention_mask": rows.is_token.long().to(model.device),
    }
    try:
        with recording(rows.key_at, rows.query_at) as moved, torch.inference_mode():
            positions = (rows.positions + SHIFT).to(model.device)
            logits = model(**inputs, position_ids=positions, use_cache=False).logits[:, -1]
    except (TypeError, ValueError):
        return False  # it takes no positions
    if not relative_difference(logits.float(), found.logits[:, -1].float()) <= tolerance:
        return False
    return any(
        not relative_difference(moved.queries[layer], before.queries[layer]) <= tolerance
        for layer in unturned
    )


def _attention_difference(model: "PreTrainedModel", geometry: Geometry, rows: Rows) -> float:
    """Softmax of products read in a pass, against the weights it returns.

    Of the first, the middle and the last layer; of all with heads where some have none.
    """
    with (
        eager_attention(model, geometry),
        recording(rows.key_at, rows.query_at) as recorded,
        torch.inference_mode(),
    ):
        tokens, is_token = rows.tokens.to(model.device), rows.is_token.long().to(model.device)
        own = model(
            input_ids=tokens, attention_mask=is_token, output_attentions=True, use_cache=False
        ).attentions
    weights = _by_layer(geometry, own or ())
    places = {0, geometry.n_layers // 2, geometry.n_layers - 1}
    layers = geometry.head_layers if geometry.has_absent_layers else sorted(places)
    return max(
        _weights_difference(geometry, recorded, layer, weights[layer][0].float().cpu())
        for layer in layers
    )


def _by_layer(geometry: Geometry, own: Sequence[Tensor | None]) -> dict[int, Tensor]:
    """The weights that a model returns, by layer: one for every layer, or for those with heads."""
    returned = [weights for weights in own if weights is not None]
    if len(own) == geometry.n_layers:
        found = {layer: weights for layer, weights in enumerate(own) if weights is not None}
        if set(found) >= set(geometry.head_layers):
            return found
    if len(returned) == len(geometry.head_layers):
        return dict(zip(geometry.head_layers, returned, strict=True))
    raise UnsupportedModelError(
        f"model type {geometry.model_type!r} returns {len(returned)} layers of attention weights, "
        f"where {len(geometry.head_layers)} of its layers have heads"
    )


def _weights_difference(geometry: Geometry, recorded: Recording, layer: int, own: Tensor) -> float:
    """By how much a layer's weights differ from `own`, (head, token, token).

    An attention sink takes a share of each row; what is left is compared. Whom a token sees is
    taken from `own`: this is about what is read, `check_rows` about who is seen.
    """
    keys = geometry.keys_by_head(recorded.keys[layer][0], axis=0)
    logits = _logits(recorded, layer, recorded.queries[layer][0] @ keys.transpose(-1, -2))
    is_seen = own.amax(dim=0) > 0
    # A token that sees nothing: itself, which an indexer may leave out in other rows
    is_seen |= torch.eye(len(is_seen), dtype=torch.bool) & ~is_seen.any(dim=-1, keepdim=True)
    rebuilt = logits.masked_fill(~is_seen, float("-inf")).softmax(-1) * own.sum(-1, keepdim=True)
    # A logit of size x is rounded by x * eps, and softmax passes that on: large logits are compared
    # less strictly.
    rounding = 8 * torch.finfo(torch.float32).eps * float(logits.abs().max())
    return relative_difference(rebuilt, own) / max(1.0, rounding / TOLERANCE[torch.float32])


def _logits(recorded: Recording, layer: int, products: Tensor) -> Tensor:
    """What a layer puts into softmax: scaled products, soft-capped and biased as the layer does."""
    logits = products * recorded.scalings[layer]
    if (softcap := recorded.softcaps.get(layer)) is not None:
        logits = softcap * (logits / softcap).tanh()
    bias = recorded.biases.get(layer)
    return logits if bias is None else logits + bias[..., -logits.shape[-1] :]


def _rotation_difference(geometry: Geometry, captured: Captured) -> float:
    """How far a token's own query-key products are from being the same before and after rotary.

    Rotary turns a token's query and key alike: their product stays, up to one factor a layer
    (yarn).
    """
    differences = []
    for layer in range(captured.queries["pre"].shape[1]):
        pre, post = (
            torch.einsum(
                "htd,htd->ht",
                captured.queries[rope][0, layer],
                geometry.keys_by_head(captured.keys[rope][0, layer], axis=0),
            )
            for rope in TURNED
        )
        factor = (pre * post).sum() / (pre * pre).sum().clamp_min(1e-12)
        differences.append(relative_difference(factor * pre, post))
    return max(differences)


def _with_raw(
    model: "PreTrainedModel", geometry: Geometry, ids: list[int]
) -> tuple[Geometry, tuple[Traced, ...]]:
    """The geometry with the projections that states come from, and what these gave to the text.

    Both without, where they are not found in the same places in two texts.
    """
    texts = tuple(ids[:N_TOKENS]), tuple(ids[:2:-1])
    known: dict[torch.nn.Module, bool] = {}
    found, again = (traced(model, plain_rows(text), known) for text in texts)
    places = tuple(one.projected for one in found)
    if not found or places != tuple(one.projected for one in again):
        return geometry, ()
    return replace(geometry, ropes=("raw", *geometry.ropes), projections=places), found


def _raw_difference(captured: Captured, projected: tuple[Traced, ...]) -> float:
    """Raw states as they are read, against those that became the model's final ones."""
    found = []
    for which in ("queries", "keys"):
        read = getattr(captured, which)["raw"][0]  # (layer, head, token, dim)
        for place, one in enumerate(projected):
            # Where layers differ in kv heads or head size, what is read is in one shape for all.
            own = filled_up(getattr(one, which)[None], read.shape[1], read.shape[-1])[0]
            found.append(relative_difference(read[place], own))
    return largest(found)
