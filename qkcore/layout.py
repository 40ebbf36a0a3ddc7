"""Prompts laid out as rows of tokens for one forward pass.

A row is the prompt followed by all candidates' tokens side by side. Each candidate sees the prompt
and itself, not the others, and all of them start at the position right after the prompt, so the row
gives every candidate exactly what a pass of its own would. Where a model cannot do that, each candidate
gets a row of its own. Knows nothing of models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qkcore.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Rows:
    """What one forward pass is given, and which of its positions are read."""

    tokens: Tensor  # (row, token) int64, padded on the right
    positions: Tensor  # (row, token) int64
    is_token: Tensor  # (row, token) bool: not padding
    visible: Tensor | None  # (row, token, token) bool: query token sees key token; None: the model's own causal mask
    key_at: Tensor  # (row, key) int64 indices into token
    query_at: Tensor  # (row, candidate) int64 indices into token
    logits_at: Tensor  # (row, 1) int64 index into token: after it the model gives its own answer


def separate_rows_of(prompts: Sequence[Prompt], pad_token: int = 0) -> Rows:
    """One row a prompt and candidate, in that order, for models in which candidates cannot share a row."""
    pairs = [(prompt, ids) for prompt in prompts for ids in prompt.candidates]
    rows = rows_of([replace(prompt, candidates=(ids,)) for prompt, ids in pairs], pad_token)
    return replace(rows, visible=None)


def rows_of(prompts: Sequence[Prompt], pad_token: int = 0) -> Rows:
    """One row a prompt. Prompts of one call must have the same number of candidates."""
    width = max(prompt.n_tokens for prompt in prompts)
    tokens = torch.full((len(prompts), width), pad_token)
    positions = torch.zeros(len(prompts), width, dtype=torch.int64)
    segment = torch.full((len(prompts), width), -1)  # 0 the prompt, 1 and up its candidates, -1 padding
    query_at = torch.zeros(len(prompts), len(prompts[0].candidates), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        end = len(prompt.tokens)
        tokens[row, :end] = torch.tensor(prompt.tokens)
        positions[row, :end] = torch.arange(end)
        segment[row, :end] = 0
        for index, ids in enumerate(prompt.candidates):
            start, end = end, end + len(ids)
            tokens[row, start:end] = torch.tensor(ids)
            positions[row, start:end] = len(prompt.tokens) + torch.arange(len(ids))
            segment[row, start:end] = index + 1
            query_at[row, index] = end - 1
    return Rows(
        tokens=tokens,
        positions=positions,
        is_token=segment >= 0,
        visible=_visible(segment),
        key_at=torch.tensor([[prompt.key_at] for prompt in prompts]),
        query_at=query_at,
        # Tokens that all candidates share are read in the first one's copy, which follows the prompt at once.
        logits_at=torch.tensor([[len(prompt.tokens) - 1 + prompt.n_shared] for prompt in prompts]),
    )


def _visible(segment: Tensor) -> Tensor:
    """(row, token, token): the past of one's own segment and, for all but padding, the prompt's."""
    past = torch.ones(segment.shape[-1], segment.shape[-1], dtype=torch.bool).tril()
    same = segment[:, :, None] == segment[:, None, :]
    in_prompt = (segment[:, :, None] >= 0) & (segment[:, None, :] == 0)
    return past & (same | in_prompt)


def batches_of(prompts: Sequence[Prompt], max_tokens: int) -> Iterator[list[int]]:
    """Indices of prompts, batch by batch: longest first, like with like, at most `max_tokens` padded tokens each.

    A prompt that is longer by itself makes a batch of its own, and prompts with another number of candidates
    start a new batch.
    """
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].candidates), prompts[i].n_tokens), reverse=True)
    batch: list[int] = []
    for index in order:
        first = prompts[batch[0]] if batch else prompts[index]
        is_full = (len(batch) + 1) * first.n_tokens > max_tokens
        if batch and (is_full or len(first.candidates) != len(prompts[index].candidates)):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
