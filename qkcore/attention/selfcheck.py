"""Is what `capture` reads really this model's attention? Asked once after every load.

Runs a short text of arbitrary tokens several ways and compares. What differs is refused with the
number by which it does: a model that is misread would otherwise still give numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qkcore.asking.prompts import Prompt
from qkcore.asking.readings import ROPES
from qkcore.attention.capture import Captured, capture, eager_attention
from qkcore.attention.continued import capture_apart
from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.recording import Recording, recording
from qkcore.attention.rows import Rows, rows_of
from qkcore.puzzles.puzzle import Puzzle

if TYPE_CHECKING:
    from transformers import PreTrainedModel

N_TOKENS = 24
SHIFT = 5  # positions
# Tokens that are read one by one where a pass goes on from another: the last few, for which models
# have quicker forms; none, where these give other numbers; or all, where there is no other form.
WAYS_TO_GO_ON = (2, 0, 2**20)
# What models raise that are asked for what they cannot do.
UNFIT = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
SHORT_WINDOW = 7  # positions
# Of the prompts here only the tokens count.
PUZZLE = Puzzle("self-check", "a", "b", ("c", "d"), None, None, None, "self-check", "test")
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
    rows: float  # what is read from a padded batch of puzzles, against an ordinary call for each
    tolerance: float


def self_check(model: "PreTrainedModel", geometry: Geometry) -> tuple[Geometry, SelfCheck]:
    """Check a model that `attach` has prepared.

    Returns its geometry as found, and by how much things differ.

    Raises:
        UnsupportedModelError: saying what differs and by how much.
    """
    tolerance = TOLERANCE.get(model.dtype, 5e-2)
    chance = torch.Generator().manual_seed(0)
    vocabulary = len(input_embeddings(model))
    ids = torch.randint(vocabulary, (N_TOKENS + 3,), generator=chance).tolist()
    plain = _plain_rows(tuple(ids[:N_TOKENS]))
    found = capture(model, geometry, plain, ("post",))
    geometry = _found(geometry, found)
    if "pre" in geometry.ropes and _is_rotated(model, plain, found, tolerance):
        geometry = replace(geometry, ropes=("post",))
    attention = _attention_difference(model, geometry, plain)
    what = "attention rebuilt from the queries and keys read differs from its own"
    _refuse_over(attention, tolerance, geometry, what)
    rotation = None
    if geometry.ropes == ROPES:
        rotation = _rotation_difference(geometry, capture(model, geometry, plain, ROPES))
        what = "products of a token's own query and key are not the same before and after rotary"
        _refuse_over(rotation, tolerance, geometry, what)
    geometry, rows = _check_rows(model, geometry, ids, tolerance)
    if geometry.is_side_by_side:
        geometry = _check_window(model, geometry, ids, tolerance)
    return geometry, SelfCheck(attention, rotation, rows, tolerance)


def _refuse_over(difference: float, tolerance: float, geometry: Geometry, what: str) -> None:
    if not difference <= tolerance:  # also refuses NaN
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} is not read rightly: {what}, by {difference:.1e} "
            f"(at most {tolerance:.0e} is rounding)"
        )


def _difference(ours: Tensor, theirs: Tensor) -> float:
    scale = theirs.abs().max().clamp_min(1e-12)
    return float((ours - theirs).abs().max() / scale)


def _plain_rows(tokens: tuple[int, ...]) -> Rows:
    """One row with every position read, no candidates, and the model's own mask."""
    every = torch.arange(len(tokens))[None]
    return Rows(
        tokens=torch.tensor([tokens]),
        positions=every,
        is_token=torch.ones_like(every, dtype=torch.bool),
        visible=None,
        key_at=every,
        query_at=every,
        logits_at=every[:, -1:],
    )


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
        ropes=ROPES if has_pre else ("post",),
    )


def _is_rotated(model: "PreTrainedModel", rows: Rows, found: Captured, tolerance: float) -> bool:
    """Do states in which no rotation was seen know their position? Then one was missed.

    A model with rotary gives the same answer with all positions moved, and only rotated states
    change. One that adds positions to its input gives another; it has no rotation to miss.
    """
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
    if not _difference(logits.float(), found.logits[:, -1].float()) <= tolerance:
        return False
    before = found.recording
    unturned = [
        layer for layer, queries in before.queries.items() if before.pre_queries[layer] is queries
    ]
    return any(
        not _difference(moved.queries[layer], before.queries[layer]) <= tolerance
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
    taken from `own`: this is about what is read, `_check_rows` about who is seen.
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
    return _difference(rebuilt, own) / max(1.0, rounding / TOLERANCE[torch.float32])


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
            for rope in ROPES
        )
        factor = (pre * post).sum() / (pre * pre).sum().clamp_min(1e-12)
        differences.append(_difference(factor * pre, post))
    return max(differences)


def _check_rows(
    model: "PreTrainedModel", geometry: Geometry, ids: list[int], tolerance: float
) -> tuple[Geometry, float]:
    """Find out whether candidates may share a row.

    If not, whether separate rows in a padded batch are right.
    """
    prompts = _prompts(ids)
    alone = [[prompt] for prompt in prompts]
    if geometry.is_side_by_side:
        try:
            difference = _rows_difference(model, geometry, alone)
        except UNFIT:
            difference = float("inf")  # the model takes no 4-D mask
        if difference <= tolerance:
            return geometry, difference
        geometry = replace(geometry, is_side_by_side=False)
    difference = _rows_difference(model, geometry, alone)
    what = "scores change with the batch that a puzzle is in"
    _refuse_over(difference, tolerance, geometry, what)
    return _check_continued(model, geometry, prompts, tolerance, difference)


def _check_continued(
    model: "PreTrainedModel",
    geometry: Geometry,
    prompts: list[Prompt],
    tolerance: float,
    apart: float,
) -> tuple[Geometry, float]:
    """Find out whether what rows begin alike may be read once. If not, rows stay as they are.

    Asked with one prompt, with two that go on from one row, and with two rows cut at one place.
    """
    found: dict[int, float] = {}
    for n_steps in WAYS_TO_GO_ON:
        if n_steps == WAYS_TO_GO_ON[-1] and min(found.values()) <= tolerance:
            break  # the dearest is asked for only where it is needed
        found[n_steps] = _continued_difference(model, geometry, prompts, n_steps)
    best = min(found.values())
    if not best <= tolerance:
        return geometry, apart
    # Some have a form for one token that is a little off the one for many.
    fair = max(2 * best, tolerance / 10)
    n_steps = next(way for way, difference in found.items() if difference <= fair)
    return replace(geometry, is_continued=True, n_steps=n_steps), max(apart, found[n_steps])


def _continued_difference(
    model: "PreTrainedModel", geometry: Geometry, prompts: list[Prompt], n_steps: int
) -> float:
    """The largest difference of one way to go on; infinite where the model cannot."""
    long, short = prompts
    geometry = replace(geometry, is_continued=True, n_steps=n_steps)
    try:
        return max(
            _rows_difference(model, geometry, groups)
            for groups in ([[long]], [[long, short]], [[long], [short]])
        )
    except (UnsupportedModelError, *UNFIT):
        return float("inf")


def _prompts(ids: list[int]) -> list[Prompt]:
    return [
        Prompt(PUZZLE, "", tuple(ids[:n]), candidates, key_at=n - n_after)
        for n, candidates, n_after in (
            (N_TOKENS, ((ids[-3],), (ids[-2], ids[-1])), 3),
            (N_TOKENS // 2, ((ids[-2],), (ids[-1], ids[-3])), 2),
        )
    ]


def _check_window(
    model: "PreTrainedModel", geometry: Geometry, ids: list[int], tolerance: float
) -> Geometry:
    """Does the model's own mask have the window, or the chunks, that its configuration states?

    Asked with such that the text exceeds. Where it does not (Moshi states one and looks further
    back), prompts are kept as short as the window: up to there it makes no difference.
    """
    config, alone = model.config.get_text_config(), [[prompt] for prompt in _prompts(ids)]
    for setting, stated, changed in (
        ("sliding_window", geometry.window, replace(geometry, window=SHORT_WINDOW)),
        ("attention_chunk_size", geometry.chunk, replace(geometry, chunk=SHORT_WINDOW)),
    ):
        if stated is None:
            continue
        try:
            setattr(config, setting, SHORT_WINDOW)
            difference = _rows_difference(model, changed, alone)
        finally:
            setattr(config, setting, stated)
        if not difference <= tolerance:
            reach = min(stated, geometry.max_positions or stated)
            geometry = replace(geometry, max_positions=reach)
    return geometry


def _rows_difference(
    model: "PreTrainedModel", geometry: Geometry, groups: list[list[Prompt]]
) -> float:
    """Queries, keys and logits of a padded batch, against ordinary calls.

    One such call for each prompt and candidate.
    """
    prompts = [prompt for group in groups for prompt in group]
    if geometry.is_side_by_side:
        n_rows, batch = 1, capture(model, geometry, rows_of(groups), ("post",))
    else:
        n_rows = len(prompts[0].candidates)
        batch = capture_apart(model, geometry, groups, ("post",))
    differences = []
    for number, prompt in enumerate(prompts):
        for index, ids in enumerate(prompt.candidates):
            alone = capture(model, geometry, _plain_rows(prompt.tokens + ids), ("post",))
            row, place = (number, index) if n_rows == 1 else (number * n_rows + index, 0)
            query, own_query = batch.queries["post"][row, :, :, place], alone.queries["post"][0]
            key, own_key = batch.keys["post"][row, :, :, 0], alone.keys["post"][0]
            differences.append(_difference(query, own_query[:, :, -1]))
            differences.append(_difference(key, own_key[:, :, prompt.key_at]))
        alone = capture(model, geometry, _plain_rows(prompt.tokens), ("post",))
        logits, own_logits = batch.logits[number * n_rows, 0], alone.logits[0, 0]
        differences.append(_difference(logits.float(), own_logits.float()))
    return max(differences)
