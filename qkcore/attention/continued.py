"""Rows of their own for candidates, with what they begin alike read once.

For models in which candidates cannot share a row, as where a layer carries a state from token to
token: the tokens that prompts share are read in one row, and the states that the model keeps of
them (its cache) are copied for each prompt and candidate, which go on from there. Whether a model
can do that is found out by the self-check; where not, each row is read from its start.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from qkcore.asking.prompts import Prompt
from qkcore.attention.capture import Captured, capture, captured_of
from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.hidden_states import HiddenStates, read_states
from qkcore.attention.projections import read_projections
from qkcore.attention.recording import recording
from qkcore.attention.rows import alone, n_shared_tokens, padded, separate_rows_of

MAX_CHUNK = 2**20  # tokens: leaves chunks as they are
MIN_CHUNK = 16  # tokens: the least that kernels take
MIN_SHARED = 8  # tokens: fewer are not worth a pass, and convolutions want some to look back on


def capture_apart(
    model: PreTrainedModel,
    geometry: Geometry,
    groups: Sequence[Sequence[Prompt]],
    ropes: tuple[str, ...] = ("pre",),
    layers: Sequence[nn.Module] = (),
) -> Captured:
    """What `capture` gives for `separate_rows_of` the groups' prompts, at less cost where possible.

    Args:
        model: a causal LM that `attach` has prepared, in eval mode.
        geometry: the model's, as the self-check has it.
        groups: of prompts that begin alike; all have the same number of candidates.
        ropes: which states are wanted.
        layers: all of the model's, if the hidden states after them are wanted too.

    Raises:
        UnsupportedModelError: as `capture`.
    """
    n_shared = min(_n_alike(group) for group in groups)
    if geometry.is_continued and n_shared >= MIN_SHARED:
        return _continued(model, geometry, groups, n_shared, ropes, layers)
    rows = separate_rows_of([prompt for group in groups for prompt in group])
    return capture(model, geometry, rows, ropes, layers=layers)


def _n_alike(group: Sequence[Prompt]) -> int:
    """How many tokens all rows of a group begin with."""
    return len(group[0].tokens) if len(group) == 1 else n_shared_tokens(group)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it is asked for: a prompt and one of its candidates."""

    tokens: tuple[int, ...]
    key_at: int  # index into tokens, as the others
    query_at: int
    logits_at: int
    group: int
    prompt: int  # counted over all groups


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Tokens from `start` to before `end`, read once for each set of rows that are alike so far."""

    start: int
    end: int
    sets: tuple[int, ...]  # (row) the set that each row is in


def _rows(groups: Sequence[Sequence[Prompt]]) -> list[_Row]:
    """The rows of groups, prompt by prompt and candidate by candidate."""
    numbered = [(number, prompt) for number, group in enumerate(groups) for prompt in group]
    return [
        _Row(
            (*prompt.tokens, *prompt.candidates[0]),
            *_read_at(prompt),
            # What all candidates share is in each of them.
            len(prompt.tokens) - 1 + prompt.n_shared,
            group,
            number,
        )
        for number, (group, whole) in enumerate(numbered)
        for prompt in alone(whole)
    ]


def _read_at(prompt: Prompt) -> tuple[int, int]:
    """Where the key and the query of a prompt with one candidate are read."""
    n_tokens = len(prompt.tokens)
    if prompt.option_ends:
        return prompt.option_ends[0], n_tokens - 1
    return prompt.key_at, n_tokens + len(prompt.candidates[0]) - 1


def _stretches(rows: Sequence[_Row], n_shared: int, n_prompt: int, n_steps: int) -> list[_Stretch]:
    """The passes: over what a group shares, what its prompts go on with, and each row's end.

    Args:
        rows: all of them.
        n_shared: tokens that all rows of any group share.
        n_prompt: tokens of the shortest prompt.
        n_steps: tokens of a stretch of so many or fewer, but the first, are read one by one; 0: and
            none is read by itself.
    """
    if n_steps == 0:  # then no stretch may be a single token
        n_prompt -= 1
        n_shared = min(n_shared, n_prompt)
        n_prompt = n_shared if n_prompt - n_shared < 2 else n_prompt
    by_group = tuple(row.group for row in rows)
    by_prompt = tuple(row.prompt for row in rows)
    longest = max(len(row.tokens) for row in rows)
    found = [_Stretch(0, n_shared, by_group)]
    for start, end, sets in (
        (n_shared, n_prompt, by_prompt),
        (n_prompt, longest, tuple(range(len(rows)))),
    ):
        step = 1 if end - start <= n_steps else max(1, end - start)
        found += [_Stretch(at, min(at + step, end), sets) for at in range(start, end, step)]
    return found


def _continued(
    model: PreTrainedModel,
    geometry: Geometry,
    groups: Sequence[Sequence[Prompt]],
    n_shared: int,
    ropes: tuple[str, ...],
    layers: Sequence[nn.Module],
) -> Captured:
    """Passes over stretches of all rows, each going on from the states of the one before."""
    rows = _rows(groups)
    n_prompt = min(len(prompt.tokens) for group in groups for prompt in group)
    first, *later = _stretches(rows, n_shared, n_prompt, geometry.n_steps)
    found, cache = _read(model, geometry, rows, first, None, ropes, layers)
    sets = first.sets
    for stretch in later:
        if stretch.sets != sets:
            firsts = [stretch.sets.index(number) for number in range(max(stretch.sets) + 1)]
            _copy(cache, torch.tensor([sets[row] for row in firsts], device=model.device))
            sets = stretch.sets
        told, cache = _read(model, geometry, rows, stretch, cache, ropes, layers)
        found = _later(found, told, rows, stretch)
    return found


def _read(
    model: PreTrainedModel,
    geometry: Geometry,
    rows: Sequence[_Row],
    stretch: _Stretch,
    cache: Cache | None,
    ropes: tuple[str, ...],
    layers: Sequence[nn.Module],
) -> tuple[Captured, Cache]:
    """One pass over a stretch.

    Returns:
        What it told of each row (of positions outside of the stretch, anything), and its states.
    """
    device = input_embeddings(model).device
    start, end, sets = stretch.start, stretch.end, stretch.sets
    n_sets = max(sets) + 1
    members = [[row for row, number in enumerate(sets) if number == one] for one in range(n_sets)]
    of_set = torch.tensor(sets)
    place = torch.tensor([members[number].index(row) for row, number in enumerate(sets)])

    def within(positions: Sequence[int]) -> Tensor:
        """(set, member) indices into the stretch."""
        inside = [min(max(at, start), end - 1) - start for at in positions]
        return padded([[inside[row] for row in one] for one in members], 0)

    tokens = [rows[one[0]].tokens[start:end] for one in members]
    inputs: dict[str, Tensor | Cache] = {
        # Filled up to the whole stretch, also where all rows have ended
        "input_ids": padded([[*ids, *[0] * (end - start - len(ids))] for ids in tokens], 0).to(
            device
        )
    }
    if cache is not None:
        inputs["past_key_values"] = cache
        if "position_ids" in inspect.signature(model.forward).parameters:
            # Some count from 0 again where they are not told (Bamba)
            inputs["position_ids"] = torch.arange(start, end, device=device).expand(n_sets, -1)
    cue_at = within([row.logits_at for row in rows])
    has_logits = any(start <= row.logits_at < end for row in rows)
    if has_logits:
        inputs["logits_to_keep"] = cue_at.to(device)
    # The output matrix is a good part of a small model, so it is left out where nobody asks.
    reader = model if has_logits else model.base_model
    key_at, query_at = within([row.key_at for row in rows]), within([row.query_at for row in rows])
    with (
        read_projections(model, geometry.projections if "raw" in ropes else ()),
        recording(key_at, query_at) as recorded,
        read_states(layers, cue_at, key_at) as hidden,
        torch.inference_mode(),
        _short_chunks(model, end - start if cache is not None else MAX_CHUNK),
    ):
        recorded.n_tokens = end - start
        output = reader(**inputs, use_cache=True)
    states = getattr(output, "past_key_values", None)
    if states is None:
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} does not hand out the states that it keeps"
        )
    logits = output.logits if has_logits else torch.zeros(n_sets, len(members[0]), 0)
    told = captured_of(recorded, logits, geometry, ropes)
    on_device = of_set.to(logits.device), place.to(logits.device)
    by_row = Captured(
        {rope: told.queries[rope][of_set, :, :, place][..., None, :] for rope in ropes},
        {rope: told.keys[rope][of_set, :, :, place][..., None, :] for rope in ropes},
        told.logits[on_device][:, None],
        recorded,
        _of_rows(hidden.states(), of_set, place),
        hidden.n_returned,
    )
    return by_row, states


def _of_rows(states: HiddenStates | None, of_set: Tensor, place: Tensor) -> HiddenStates | None:
    """States of sets of rows as those of each row, (row, layer, 1, ..., dim)."""
    if states is None:
        return None
    at = of_set.to(states.cue.device), slice(None), place.to(states.cue.device)
    return HiddenStates(states.cue[at][:, :, None], states.end[at][:, :, None])


def _later(found: Captured, told: Captured, rows: Sequence[_Row], stretch: _Stretch) -> Captured:
    """What was found so far, with what a later stretch tells of the positions in it."""

    def merged(before: Tensor, now: Tensor, positions: Sequence[int]) -> Tensor:
        if not before.numel():
            return now
        if not now.numel():
            return before
        is_in = torch.tensor([stretch.start <= at < stretch.end for at in positions])
        return torch.where(is_in.to(now.device).view(-1, *[1] * (now.dim() - 1)), now, before)

    query_at, key_at = [row.query_at for row in rows], [row.key_at for row in rows]
    logits_at, states = [row.logits_at for row in rows], told.states
    if states is not None and found.states is not None:
        states = HiddenStates(
            merged(found.states.cue, states.cue, logits_at),
            merged(found.states.end, states.end, key_at),
        )
    return Captured(
        {rope: merged(found.queries[rope], told.queries[rope], query_at) for rope in told.queries},
        {rope: merged(found.keys[rope], told.keys[rope], key_at) for rope in told.keys},
        merged(found.logits, told.logits, logits_at),
        told.recording,
        states,
        told.n_returned,
    )


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
