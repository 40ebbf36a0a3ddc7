"""Statements about one context in one row: the same scores, fewer tokens.

And what happens when memory runs out.
"""

import itertools
import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import vouch_for
from qkcore.attention.rows import PASS_SHARE, batches_of, groups_of, n_row_tokens, rows_of
from qkcore.results.parts import PART_SIZE
from qkcore.scoring import precompute, score
from qkcore.scoring.score import prompts_of, score_puzzle, score_puzzles
from tests.attention.architectures import SUPPORTED, made
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

STATEMENTS = [
    "Max is metallic.",
    "Max is not a tumpus.",
    "Every wumpus is metallic.",
    "Max is a wumpus.",
]


def about_one_context(n=4, **changes):
    return [
        puzzle(STATEMENTS[i % 4] + " Yes." * (i // 4), puzzle_id=f"p{i}", **changes)
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def lm():
    return vouch_for(tiny_model("llama"), tiny_tokenizer(), "tiny")


@pytest.mark.parametrize("rope", ["pre", "post"])
@pytest.mark.parametrize(
    "name",
    [
        "gpt2",
        "qwen3 (QK-norm)",
        "gemma2 (soft cap, window)",
        "gpt_oss (sinks, window, yarn)",
        "bloom (ALiBi)",
    ],
)
def test_packed_scores_equal_unpacked_ones(name, rope):
    model_type, config, _ = SUPPORTED[name]
    lm = vouch_for(made(model_type, config), tiny_tokenizer(), name)
    puzzles = [*about_one_context(6), *about_one_context(3, context="Max is a cat.")]
    for packed, asked in zip(score_puzzles(lm, puzzles, rope=rope), puzzles, strict=True):
        alone = score_puzzle(lm, asked, rope=rope)
        assert packed.puzzle == asked
        assert close(packed.qk, alone.qk)
        assert close(packed.logits, alone.logits)


def test_statements_about_one_context_share_its_tokens(lm):
    prompts = prompts_of(lm, about_one_context(4))
    (group,) = groups_of(prompts)
    rows = rows_of([[prompts[index] for index in group]])
    assert rows.tokens.shape == (1, n_row_tokens(prompts))
    assert (
        rows.tokens.shape[1]
        < sum(prompt.n_tokens for prompt in prompts) - 3 * prompts[0].n_context + 8
    )
    assert rows.key_at.shape == (1, 4)


def test_a_token_sees_what_leads_to_it_and_none_of_its_neighbours(lm):
    prompts = prompts_of(lm, about_one_context(2))
    rows = rows_of([prompts])
    for statement, prompt in enumerate(prompts):
        for candidate, ids in enumerate(prompt.candidates):
            query = rows.query_at[0, 2 * statement + candidate]
            seen = rows.visible[0, query]
            assert rows.tokens[0, seen].tolist() == [*prompt.tokens, *ids]
            assert rows.positions[0, seen].tolist() == list(range(len(prompt.tokens) + len(ids)))


def test_a_row_takes_as_many_statements_as_fit(lm):
    prompts = prompts_of(lm, about_one_context(12))
    limit = n_row_tokens(prompts[:5])
    groups = groups_of(prompts, max_row_tokens=limit)
    assert sorted(index for group in groups for index in group) == list(range(12))
    assert all(n_row_tokens([prompts[index] for index in group]) <= limit for group in groups)


def test_batches_come_longest_first_and_within_the_budget(lm):
    prompts = prompts_of(
        lm, [puzzle(puzzle_id=str(n), context="Max is a cat. " * n) for n in (3, 9, 1, 7, 5)]
    )
    batches = list(batches_of(prompts, [[i] for i in range(5)], max_tokens=2 * prompts[1].n_tokens))
    assert [[index for (index,) in batch] for batch in batches] == [[1], [3], [4], [0], [2]]


def test_padding_is_at_most_a_twentieth_of_a_batch(lm):
    lengths = [5, 9, 9, 10, 10, 10, 11, 11, 30, 30, 31, 31, 31, 32]
    prompts = prompts_of(
        lm, [puzzle(puzzle_id=str(n), context="Max is a cat. " * k) for n, k in enumerate(lengths)]
    )
    sizes = [prompt.n_tokens for prompt in prompts]
    batches = list(
        batches_of(prompts, [[i] for i in range(len(prompts))], max_tokens=4 * max(sizes))
    )
    assert sorted(index for batch in batches for (index,) in batch) == list(range(len(prompts)))
    for batch in batches:
        own = [sizes[index] for (index,) in batch]
        assert sum(own) >= 0.95 * len(own) * max(own)
        assert len(own) * max(own) <= 4 * max(sizes)
    assert any(len(batch) == 4 for batch in batches)


def cost(batch, max_tokens):
    """Tokens, padding too, with those that a pass costs by itself."""
    return len(batch) * max(batch) + PASS_SHARE * max_tokens


def cheapest(sizes, max_tokens):
    """What the cheapest division of rows, longest first, costs: by trying all of them."""
    costs = []
    for cuts in itertools.product((False, True), repeat=len(sizes) - 1):
        batches = [[sizes[0]]]
        for size, is_cut in zip(sizes[1:], cuts, strict=True):
            batches.append([size]) if is_cut else batches[-1].append(size)
        padded = [(batch, len(batch) * max(batch)) for batch in batches if len(batch) > 1]
        if all(n <= max_tokens and sum(batch) >= 0.95 * n for batch, n in padded):
            costs.append(sum(cost(batch, max_tokens) for batch in batches))
    return min(costs)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=9),
    max_tokens=st.integers(10, 600),
)
def test_no_other_division_into_batches_is_cheaper(lm, lengths, max_tokens):
    made = [puzzle(puzzle_id=str(n), context="Max " * k) for n, k in enumerate(lengths)]
    prompts = prompts_of(lm, made)
    sizes = [prompt.n_tokens for prompt in prompts]
    batches = list(batches_of(prompts, [[i] for i in range(len(prompts))], max_tokens))
    own = [[sizes[index] for (index,) in batch] for batch in batches]
    assert [size for batch in own for size in batch] == sorted(sizes, reverse=True)
    found = sum(cost(batch, max_tokens) for batch in own)
    assert found == pytest.approx(cheapest(sorted(sizes, reverse=True), max_tokens))


def limited_memory(monkeypatch, most_tokens):
    """Let a pass over more tokens than that run out of memory; returns the sizes tried."""
    honest, tried = score.capture, []

    def capture(model, geometry, rows, ropes, **more):
        tried.append(rows.tokens.numel())
        if rows.tokens.numel() > most_tokens:
            raise torch.OutOfMemoryError("no more")
        return honest(model, geometry, rows, ropes, **more)

    monkeypatch.setattr(score, "capture", capture)
    return tried


def test_when_memory_runs_out_batches_are_halved_and_the_log_says_so(lm, monkeypatch, caplog):
    puzzles = [puzzle(puzzle_id=str(n), context=f"Max is a cat number {n}.") for n in range(16)]
    expected = list(score_puzzles(lm, puzzles))
    size = prompts_of(lm, puzzles)[0].n_tokens
    tried = limited_memory(monkeypatch, most_tokens=5 * size)
    with caplog.at_level(logging.WARNING):
        found = list(score_puzzles(lm, puzzles, max_batch_tokens=8 * size + 8))
    assert [scores.puzzle for scores in found] == puzzles
    assert all(
        np.allclose(ours.qk, theirs.qk, atol=1e-4)
        for ours, theirs in zip(found, expected, strict=True)
    )
    # The second batch is halved without trying
    assert sum(tokens > 5 * size for tokens in tried) == 1
    assert caplog.text.count("Out of memory") == 1
    assert "Out of memory with 8 rows" in caplog.text


def test_memory_that_ran_out_in_one_call_is_not_tried_again_in_the_next(lm, monkeypatch, caplog):
    puzzles = [puzzle(puzzle_id=str(n), context=f"Max is a cat number {n}.") for n in range(16)]
    size = prompts_of(lm, puzzles)[0].n_tokens
    tried = limited_memory(monkeypatch, most_tokens=3 * size)
    budget = score.Budget(8 * size + 8)
    for _ in range(3):
        assert len(list(score_puzzles(lm, puzzles, max_batch_tokens=budget))) == 16
    assert sum(tokens > 3 * size for tokens in tried) == 2  # 8 rows, then 4, and never again
    assert caplog.text.count("Out of memory") == 2


def test_a_long_run_halves_its_batches_once_and_not_in_every_part(
    lm, tmp_path, monkeypatch, caplog
):
    puzzles = [
        puzzle(puzzle_id=str(n), context=f"Max is a cat number {n}.", group=str(n))
        for n in range(3 * PART_SIZE)
    ]
    size = max(prompt.n_tokens for prompt in prompts_of(lm, puzzles))
    tried = limited_memory(monkeypatch, most_tokens=20 * size)
    precompute.precompute(
        lm,
        puzzles,
        tmp_path / "s.duckdb",
        puzzle_set="many",
        max_batch_tokens=32 * size,
        show_progress=False,
    )
    assert sum(tokens > 20 * size for tokens in tried) == 1
    assert caplog.text.count("Out of memory") == 1


def test_a_packed_row_that_does_not_fit_is_halved_too(lm, monkeypatch):
    puzzles = about_one_context(8)
    limited_memory(monkeypatch, most_tokens=n_row_tokens(prompts_of(lm, puzzles)[:5]))
    assert len(list(score_puzzles(lm, puzzles))) == 8


def test_a_puzzle_that_does_not_fit_by_itself_is_refused_in_a_sentence(lm, monkeypatch):
    limited_memory(monkeypatch, most_tokens=1)
    with pytest.raises(
        UnsupportedModelError, match=r"tiny: one puzzle by itself does not fit into memory on cpu"
    ):
        list(score_puzzles(lm, about_one_context(2)))


def test_another_error_of_the_model_is_not_taken_for_want_of_memory(lm, monkeypatch):
    def broken(*_, **_more):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(score, "capture", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(score_puzzles(lm, about_one_context(2)))
