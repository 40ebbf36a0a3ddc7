"""Where candidates cannot share a row: the context is read once, and nothing changes by that."""

from dataclasses import replace
from functools import cache

import pytest

from qkcore.attention.load import vouch_for
from qkcore.attention.rows import alike
from qkcore.scoring.score import prompts_of, score_puzzle, score_puzzles
from tests.attention.architectures import SUPPORTED, made
from tests.attention.hybrids import HYBRIDS
from tests.tiny import close, puzzle, tiny_tokenizer

# One for each way to go on (the last tokens one by one, none, all), one with a cache of its own,
# one that keeps what it has yet to project, and one in which all layers have heads.
NAMES = [
    "granitemoehybrid",
    "nemotron_h",
    "jamba",
    "minimax",
    "kimi_linear (latent attention)",
    "bloom (ALiBi)",
]
STATEMENTS = [
    "Max is metallic.",
    "Max is not a wumpus.",
    "Tumpuses are a.",
    "Max is or is not true.",
]


@cache
def vouched(name):
    model_type, config, *_ = (HYBRIDS | SUPPORTED)[name]
    return vouch_for(made(model_type, config), tiny_tokenizer(), name)


def several():
    """Four statements about one context, and two puzzles by themselves, one with long answers."""
    some = [puzzle(statement, puzzle_id=statement) for statement in STATEMENTS]
    other = puzzle(puzzle_id="other", context="Ben drinks water. Every wumpus is a tumpus.")
    return [*some, other, replace(other, puzzle_id="long", candidates=("not metallic", "a wumpus"))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rope", ["raw", "pre", "post"])
def test_a_puzzle_among_others_scores_as_in_rows_read_from_their_start(name, rope):
    lm = vouched(name)
    assert lm.geometry.is_continued
    apart = replace(lm, geometry=replace(lm.geometry, is_continued=False))
    for scores in score_puzzles(lm, several(), rope=rope):
        alone = score_puzzle(apart, scores.puzzle, rope=rope)
        assert close(scores.qk, alone.qk)
        assert close(scores.logits, alone.logits)


def tokens_read(lm, puzzles) -> int:
    """How many tokens go into the model."""
    counts = []
    embeddings = lm.model.get_input_embeddings()
    handle = embeddings.register_forward_hook(
        lambda _module, args, _: counts.append(args[0].numel())
    )
    list(score_puzzles(lm, puzzles))
    handle.remove()
    return sum(counts)


def test_two_candidates_cost_two_tokens_more_than_the_prompt():
    lm, one = vouched("granitemoehybrid"), puzzle()
    (prompt,) = prompts_of(lm, [one])
    assert [len(ids) for ids in prompt.candidates] == [1, 1]
    assert tokens_read(lm, [one]) == len(prompt.tokens) + 2


def test_statements_about_one_context_read_it_once():
    lm, some = vouched("granitemoehybrid"), several()[:4]
    prompts = prompts_of(lm, some)
    n_statements = sum(len(prompt.tokens) - prompt.n_context for prompt in prompts)
    assert tokens_read(lm, some) < prompts[0].n_context + 2 * n_statements


def test_what_does_not_hand_out_its_states_is_read_in_rows_from_their_start():
    lm, one = vouched("recurrent_gemma (window)"), puzzle()
    assert not lm.geometry.is_continued
    (prompt,) = prompts_of(lm, [one])
    assert tokens_read(lm, [one]) == 2 * (len(prompt.tokens) + 1)


def test_modules_that_read_in_chunks_have_their_own_size_again():
    lm = vouched("granitemoehybrid")
    before = [vars(module).get("chunk_size") for module in lm.model.modules()]
    for module in lm.model.modules():
        if "chunk_size" in vars(module):
            module.chunk_size = 256
    long = list(score_puzzles(lm, several()))
    sizes = {size for module in lm.model.modules() if (size := vars(module).get("chunk_size"))}
    assert sizes == {256}
    for module, size in zip(lm.model.modules(), before, strict=True):
        if size is not None:
            module.chunk_size = size
    for ours, other in zip(long, score_puzzles(lm, several()), strict=True):
        assert close(ours.qk, other.qk)


def test_a_batch_is_cut_where_all_of_it_is_alike():
    lm = vouched("granitemoehybrid")
    prompts = prompts_of(lm, [*several()[:4], several()[4], several()[4], several()[0]])
    batch = [[0, 1], [4], [5], [6]]
    assert alike(prompts, batch, is_exact=False) == [[[0, 1]], [[4], [5], [6]]]
    assert alike(prompts, batch, is_exact=True) == [[[0, 1]], [[4], [5]], [[6]]]
