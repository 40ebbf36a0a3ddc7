"""Rows of their own for candidates, with what they begin alike read once.

For models in which candidates cannot share a row, as where a layer carries a state from token to
token: the tokens that prompts share are read in one row, and the states that the model keeps of
them (its cache) are copied for each prompt and candidate, which go on from there. Whether a model
can do that is found out by the self-check; where not, each row is read from its start.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from qkcore.asking.prompts import Prompt
from qkcore.attention.capture import Captured, capture, captured_of
from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.recording import recording
from qkcore.attention.rows import n_shared_tokens, padded, separate_rows_of

MIN_CHUNK = 16  # tokens: the least that kernels take
MIN_SHARED = 8  # tokens: fewer are not worth a pass, and convolutions want some to look back on


def capture_apart(
    model: PreTrainedModel,
    geometry: Geometry,
    groups: Sequence[Sequence[Prompt]],
    ropes: tuple[str, ...] = ("pre",),
) -> Captured:
    """What `capture` gives for `separate_rows_of` the groups' prompts, at less cost where possible.

    Args:
        model: a causal LM that `attach` has prepared, in eval mode.
        geometry: the model's, as the self-check has it.
        groups: of prompts that begin alike; all have the same number of candidates.
        ropes: which states are wanted.

    Raises:
        UnsupportedModelError: as `capture`.
    """
    n_shared = min(_n_alike(group) for group in groups)
    if geometry.is_continued and n_shared >= MIN_SHARED:
        return _continued(model, geometry, groups, n_shared, ropes)
    rows = separate_rows_of([prompt for group in groups for prompt in group])
    return capture(model, geometry, rows, ropes)


def _n_alike(group: Sequence[Prompt]) -> int:
    """How many tokens all rows of a group begin with."""
    return len(group[0].tokens) if len(group) == 1 else n_shared_tokens(group)


def _continued(
    model: PreTrainedModel,
    geometry: Geometry,
    groups: Sequence[Sequence[Prompt]],
    n_shared: int,
    ropes: tuple[str, ...],
) -> Captured:
    """One pass over the first tokens of each group, one over the rest of each candidate's row."""
    device = input_embeddings(model).device
    # Of each row: its prompt, its candidate's tokens, its group, and its prompt's place in that.
    rows = [
        (prompt, ids, number, place)
        for number, group in enumerate(groups)
        for place, prompt in enumerate(group)
        for ids in prompt.candidates
    ]
    of_group = torch.tensor([number for _, _, number, _ in rows])
    in_group = torch.tensor([place for *_, place in rows])
    key_at = torch.tensor([[prompt.key_at] for prompt, *_ in rows])
    ends = torch.tensor([[len(prompt.tokens) + len(ids) - 1] for prompt, ids, *_ in rows])
    answers = torch.tensor([[len(prompt.tokens) - 1 + prompt.n_shared] for prompt, *_ in rows])
    first = torch.tensor([group[0].tokens[:n_shared] for group in groups], device=device)
    last = torch.zeros(len(groups), 1, dtype=torch.long)
    keys_at = padded([[min(one.key_at, n_shared - 1) for one in group] for group in groups], 0)
    with recording(keys_at, last) as begun, torch.inference_mode():
        output = model(input_ids=first, use_cache=True, logits_to_keep=1)
    cache = getattr(output, "past_key_values", None)
    if cache is None:
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} does not hand out the states that it keeps"
        )
    _copy(cache, of_group.to(device))
    rest = padded([[*prompt.tokens, *ids][n_shared:] for prompt, ids, *_ in rows], 0)
    inputs: dict[str, Tensor] = {"input_ids": rest.to(device)}
    if "position_ids" in inspect.signature(model.forward).parameters:
        # Some count from 0 again where they are not told (Bamba)
        positions = torch.arange(n_shared, n_shared + rest.shape[1], device=device)
        inputs["position_ids"] = positions.expand(len(rows), -1)
    inputs["logits_to_keep"] = (answers - n_shared).clamp_min(0).to(device)
    with (
        recording((key_at - n_shared).clamp_min(0), ends - n_shared) as went_on,
        torch.inference_mode(),
        _short_chunks(model, rest.shape[1]),
    ):
        logits = model(**inputs, past_key_values=cache, use_cache=True).logits
    start = captured_of(begun, output.logits, geometry, ropes)
    end = captured_of(went_on, logits, geometry, ropes)
    is_shared = (key_at < n_shared)[:, :, None, None, None]
    keys = {
        # Two indices with slices between: (row, layer, kv_head, dim)
        rope: torch.where(
            is_shared, start.keys[rope][of_group, :, :, in_group][..., None, :], end.keys[rope]
        )
        for rope in ropes
    }
    # The last token that is shared may be the one after which the model answers.
    is_answered = (answers < n_shared)[:, :, None].to(logits.device)
    logits = torch.where(is_answered, output.logits[of_group.to(logits.device)], logits)
    return Captured(end.queries, keys, logits, end.recording)


@contextmanager
def _short_chunks(model: PreTrainedModel, n_tokens: int) -> Iterator[None]:
    """While open, modules that read tokens in chunks take chunks for so few.

    Without its kernels Mamba 2 fills up to a whole chunk, of 256 tokens, also for a single one;
    what it computes does not depend on the size.
    """
    short = max(MIN_CHUNK, 1 << (n_tokens - 1).bit_length())
    usual = {
        module: size
        for module in model.modules()
        if isinstance(size := vars(module).get("chunk_size"), int) and size > short
    }
    try:
        for module in usual:
            vars(module)["chunk_size"] = short
        yield
    finally:
        for module, size in usual.items():
            vars(module)["chunk_size"] = size


def _copy(cache: Cache, of_row: Tensor) -> None:
    """Turn states of groups into states of rows, each with those of its group."""
    if type(cache).batch_select_indices is not Cache.batch_select_indices:
        cache.batch_select_indices(of_row)  # MiniMax keeps states that the other does not know
    else:
        cache.reorder_cache(cast("torch.LongTensor", of_row))
