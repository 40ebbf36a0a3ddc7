"""Prompts laid out as rows of tokens for one forward pass.

A row is what its prompts share (the context), then the rest of each prompt, and after it all its
candidates' tokens side by side. Every token sees the past of what leads to it and nothing of its
neighbours, at the position it would have in a sequence of its own, so a row gives every statement
and candidate exactly what a pass of its own would. Where a model cannot do that, each candidate
gets a row of its own. Knows nothing of models.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from torch import Tensor

from qkcore.asking.prompts import Prompt

MAX_PADDING = 0.05  # of the tokens of a batch
# What a pass costs by itself, whatever is in it (reading the weights), as a share of what a full
# one does (tests/bench/bench_batches.py).
PASS_SHARE = 0.05
# Statements are packed into a row up to here; attention's cost grows with the square.
MAX_ROW_TOKENS = 1_024


@dataclass(frozen=True, slots=True)
class Rows:
    """What one forward pass is given, and which of its positions are read.

    Rows with fewer statements read 0.
    """

    tokens: Tensor  # (row, token) int64, padded on the right
    positions: Tensor  # (row, token) int64
    is_token: Tensor  # (row, token) bool: not padding
    # (row, token, token) bool: query token sees key token; None: the model's own causal mask
    visible: Tensor | None
    key_at: Tensor  # (row, statement) int64 indices into token
    # (row, statement * candidate) int64 indices into token; with options, (row, statement): the cue
    query_at: Tensor
    # (row, statement) int64 indices into token: after it the model gives its own answer
    logits_at: Tensor
    # (row, statement * option) int64 indices into token: where prompts that list options have keys
    option_at: Tensor | None = None

    @property
    def keys_at(self) -> Tensor:
        """(row, n) int64 indices into token: wherever a key is read."""
        return self.key_at if self.option_at is None else self.option_at

    def taken(self, of_row: Tensor) -> "Rows":
        """The rows of these (row,) indices, each as often as it is named."""
        return Rows(
            tokens=self.tokens[of_row],
            positions=self.positions[of_row],
            is_token=self.is_token[of_row],
            visible=None if self.visible is None else self.visible[of_row],
            key_at=self.key_at[of_row],
            query_at=self.query_at[of_row],
            logits_at=self.logits_at[of_row],
            option_at=None if self.option_at is None else self.option_at[of_row],
        )


class _Row:
    """A row under construction."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        # (statement, candidate) from 1; 0 where all of them share the token
        self.owner: list[tuple[int, int]] = []
        self.key_at: list[int] = []
        self.query_at: list[int] = []
        self.logits_at: list[int] = []
        self.option_at: list[int] = []

    def add(self, tokens: Sequence[int], first_position: int, owner: tuple[int, int]) -> int:
        """Append tokens; returns where the first of them stands."""
        start = len(self.tokens)
        self.tokens += tokens
        self.positions += range(first_position, first_position + len(tokens))
        self.owner += [owner] * len(tokens)
        return start

    def add_prompt(self, prompt: Prompt, n_shared: int, statement: int) -> None:
        """Append what follows the first `n_shared` tokens of a prompt, and its candidates."""
        start = self.add(prompt.tokens[n_shared:], n_shared, (statement, 0)) - n_shared

        def placed(at: int) -> int:
            return at if at < n_shared else start + at

        self.key_at.append(placed(prompt.key_at))
        self.option_at += map(placed, prompt.option_ends)
        end = start + len(prompt.tokens)
        # Tokens that all candidates share are read in the first one's copy, which follows the
        # prompt at once.
        self.logits_at.append(end - 1 + prompt.n_shared)
        for candidate, ids in enumerate(prompt.candidates, start=1):
            first = self.add(ids, len(prompt.tokens), (statement, candidate))
            if not prompt.option_ends:
                self.query_at.append(first + len(ids) - 1)
        if prompt.option_ends:
            self.query_at.append(end - 1)


def n_shared_tokens(group: Sequence[Prompt]) -> int:
    """How many tokens all prompts of a group begin with, short of any prompt's last."""
    shortest = min(len(prompt.tokens) for prompt in group)
    columns = zip(*(prompt.tokens for prompt in group), strict=False)
    alike = takewhile(lambda column: len(set(column)) == 1, columns)
    return min(shortest - 1, sum(1 for _ in alike))


def n_row_tokens(group: Sequence[Prompt]) -> int:
    """Length of the row that holds a group."""
    n_shared = n_shared_tokens(group)
    return n_shared + sum(prompt.n_tokens - n_shared for prompt in group)


def rows_of(groups: Sequence[Sequence[Prompt]], pad_token: int = 0) -> Rows:
    """One row a group.

    All prompts of one call must have the same number of candidates, and list them as options or
    not.
    """
    made = []
    for group in groups:
        row, n_shared = _Row(), n_shared_tokens(group)
        row.add(group[0].tokens[:n_shared], 0, (0, 0))
        for number, prompt in enumerate(group, start=1):
            row.add_prompt(prompt, n_shared, number)
        made.append(row)
    statement = padded([[of for of, _ in row.owner] for row in made], -1)
    candidate = padded([[of for _, of in row.owner] for row in made], -1)
    return Rows(
        tokens=padded([row.tokens for row in made], pad_token),
        positions=padded([row.positions for row in made], 0),
        is_token=statement >= 0,
        visible=_visible(statement, candidate),
        key_at=padded([row.key_at for row in made], 0),
        query_at=padded([row.query_at for row in made], 0),
        logits_at=padded([row.logits_at for row in made], 0),
        option_at=padded([row.option_at for row in made], 0) if made[0].option_at else None,
    )


def places_of(group: Sequence[Prompt]) -> list[list[int]]:
    """Where each prompt's own tokens, without candidates, stand in the row of its group."""
    n_shared, start = n_shared_tokens(group), 0
    found = []
    for prompt in group:
        n_own = len(prompt.tokens) - n_shared
        first = n_shared + start
        found.append([*range(n_shared), *range(first, first + n_own)])
        start += prompt.n_tokens - n_shared
    return found


def separate_rows_of(prompts: Sequence[Prompt], pad_token: int = 0) -> Rows:
    """One row a prompt and candidate, in that order.

    For models in which candidates cannot share a row.
    """
    groups = [[prompt] for one in prompts for prompt in alone(one)]
    return replace(rows_of(groups, pad_token), visible=None)


def alone(prompt: Prompt) -> list[Prompt]:
    """A prompt with each of its candidates by itself, and that option's key if it lists options."""
    return [
        replace(prompt, candidates=(ids,), option_ends=prompt.option_ends[place : place + 1])
        for place, ids in enumerate(prompt.candidates)
    ]


def padded(lists: list[list[int]], fill: int) -> Tensor:
    """(row, longest) int64, filled up on the right."""
    longest = max(map(len, lists))
    return torch.tensor([values + [fill] * (longest - len(values)) for values in lists])


def _visible(statement: Tensor, candidate: Tensor) -> Tensor:
    """(row, token, token): the past that leads to a token; padding (-1) sees padding only."""
    past = torch.ones(statement.shape[-1], statement.shape[-1], dtype=torch.bool).tril()

    def leads(of: Tensor) -> Tensor:
        return (of[:, :, None] == of[:, None, :]) | ((of[:, :, None] >= 0) & (of[:, None, :] == 0))

    return past & leads(statement) & leads(candidate)


def groups_of(prompts: Sequence[Prompt], max_row_tokens: int = MAX_ROW_TOKENS) -> list[list[int]]:
    """Indices of prompts that go into one row.

    The same context and number of candidates, as many as fit.
    """
    by_context: dict[tuple[tuple[int, ...], int], list[list[int]]] = {}
    for index, prompt in enumerate(prompts):
        rows = by_context.setdefault((prompt.context_tokens, len(prompt.candidates)), [[]])
        if rows[-1] and n_row_tokens([prompts[i] for i in [*rows[-1], index]]) > max_row_tokens:
            rows.append([])
        rows[-1].append(index)
    return [row for rows in by_context.values() for row in rows]


def batches_of(
    prompts: Sequence[Prompt], groups: Sequence[list[int]], max_tokens: int
) -> Iterator[list[list[int]]]:
    """Groups, batch by batch: longest first, like with like, at most `max_tokens` tokens each.

    Padding counts, and is at most `MAX_PADDING` of a batch. A group that is longer than
    `max_tokens` makes a batch of its own, and prompts with another number of candidates start a
    new one. Among such divisions it is the cheapest: the one of the fewest tokens, if each pass by
    itself costs as much as `PASS_SHARE` of a full one.
    """
    by_candidates: dict[int, list[tuple[int, list[int]]]] = {}
    for group in groups:
        members = [prompts[index] for index in group]
        of_kind = by_candidates.setdefault(len(members[0].candidates), [])
        of_kind.append((n_row_tokens(members), group))
    for _, sized in sorted(by_candidates.items(), reverse=True):
        sized.sort(reverse=True)
        start = 0
        for end in _ends([n_tokens for n_tokens, _ in sized], max_tokens):
            yield [group for _, group in sized[start:end]]
            start = end


def _ends(sizes: Sequence[int], max_tokens: int) -> list[int]:
    """Where each batch of rows of these sizes (tokens), longest first, ends: the cheapest division.

    By dynamic programming: the best end of the first n rows is one batch after the best of fewer.
    """
    cost = [0.0] + [math.inf] * len(sizes)  # in tokens, of the first so many rows
    start_of = [0] * (len(sizes) + 1)  # of the last batch of the first so many rows
    for start, longest in enumerate(sizes):
        n_filled = 0
        for end in range(start + 1, len(sizes) + 1):
            n_filled, n_padded = n_filled + sizes[end - 1], (end - start) * longest
            is_full = n_padded > max_tokens or n_filled < (1 - MAX_PADDING) * n_padded
            if is_full and end > start + 1:
                break
            whole = cost[start] + n_padded + PASS_SHARE * max_tokens
            if whole < cost[end]:
                cost[end], start_of[end] = whole, start
    ends, end = [], len(sizes)
    while end:
        ends.append(end)
        end = start_of[end]
    return ends[::-1]


def alike(
    prompts: Sequence[Prompt], batch: Sequence[list[int]], is_exact: bool
) -> list[list[list[int]]]:
    """A batch's groups, in smaller batches of which each can be cut at one place.

    Groups of several prompts by themselves; those that hold one prompt together, if `is_exact` only
    where they are of one length, so that nothing but candidates is left after the cut.
    """
    singles: dict[int, list[list[int]]] = {}
    for group in batch:
        if len(group) == 1:
            n_tokens = len(prompts[group[0]].tokens) if is_exact else 0
            singles.setdefault(n_tokens, []).append(group)
    return [*([group] for group in batch if len(group) > 1), *singles.values()]
