"""Scores against an independent oracle.

Separate full passes, with states from hooks on the model's own projections.
"""

import numpy as np
import pytest
import torch

from qkcore.asking.templates import TRUE_FALSE, PromptError
from qkcore.attention.load import vouch_for
from qkcore.puzzles.puzzle import PuzzleError
from qkcore.scoring.score import score_puzzle, score_puzzles
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

TYPES = ["llama", "mistral", "qwen2", "qwen3", "gpt2"]


def oracle(model_type, model, tokenizer, asked, rope, n_shared=0):
    """(layer, head, candidate) scores and (candidate,) logits, from one plain pass a candidate.

    States are hooked off q_proj and k_proj (the norms in Qwen3, c_attn in GPT-2), positions found
    by decoding, keys shared by index, rotation written out here: nothing of the code under test.
    """
    text = TRUE_FALSE.render(asked)
    columns, logits = [], []
    for candidate in asked.candidates:
        ids = tokenizer(f"{text} {candidate}")["input_ids"]
        n_prompt = next(
            n
            for n in range(len(ids))
            if tokenizer.decode(ids[:n], skip_special_tokens=True) == text
        )
        before_cue = (
            next(n for n in range(n_prompt) if tokenizer.decode(ids[n:n_prompt]) == "Answer:") - 1
        )
        states, out = plain_pass(model_type, model, ids, rope)
        logits.append(out[n_prompt + n_shared - 1, ids[n_prompt + n_shared]])
        columns.append([per_layer(model, q, k, before_cue, len(ids) - 1, rope) for q, k in states])
    return torch.stack([torch.stack(column) for column in columns], dim=-1), torch.stack(logits)


def plain_pass(model_type, model, ids, rope):
    """([(q, k) of (token, features) a layer], (token, vocabulary) logits) of an ordinary call."""
    seen: dict[str, list] = {"q": [], "k": []}
    handles = []
    for name, module in model.named_modules():
        for part in "qk":
            is_normed = model_type == "qwen3" and rope != "raw"
            ending = f"{part}_norm" if is_normed else f"{part}_proj"
            if name.endswith(ending):
                handles.append(
                    module.register_forward_hook(
                        lambda _m, _i, o, p=part: seen[p].append(o[0].flatten(1))
                    )
                )
        if name.endswith("attn.c_attn"):

            def thirds(_module, _inputs, output):
                q, k, _ = output[0].split(output.shape[-1] // 3, dim=-1)
                seen["q"].append(q)
                seen["k"].append(k)

            handles.append(module.register_forward_hook(thirds))
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    for handle in handles:
        handle.remove()
    return list(zip(seen["q"], seen["k"], strict=True)), logits


def per_layer(model, q, k, key_position, query_position, rope):
    """(head,) products of one layer; q and k are (token, features)."""
    config = model.config
    n_heads = config.num_attention_heads
    n_kv_heads = getattr(config, "num_key_value_heads", None) or n_heads
    query, key = q[query_position].view(n_heads, -1), k[key_position].view(n_kv_heads, -1)
    if rope == "post" and config.model_type != "gpt2":
        query, key = rotated(config, query, query_position), rotated(config, key, key_position)
    return torch.stack([query[h] @ key[h // (n_heads // n_kv_heads)] for h in range(n_heads)])


def rotated(config, state, position):
    """Rotary embedding in the halves layout, from the formula of arXiv 2104.09864."""
    half = state.shape[-1] // 2
    theta = config.rope_parameters["rope_theta"]
    angles = position * theta ** (-torch.arange(half, dtype=torch.float64) / half)
    cos, sin = angles.cos().float(), angles.sin().float()
    first, second = state[:, :half], state[:, half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.mark.parametrize("rope", ["raw", "pre", "post"])
@pytest.mark.parametrize("model_type", TYPES)
def test_scores_equal_those_of_separate_hooked_passes(model_type, rope, tokenizer):
    model = tiny_model(model_type)
    asked = puzzle(candidates=("true", "false", "quite possibly"))
    scores, logits = oracle(model_type, tiny_model(model_type), tokenizer, asked, rope)
    ours = score_puzzle(vouch_for(model, tokenizer, model_type), asked, rope=rope)
    assert ours.qk.shape == (3, model.config.num_attention_heads, 3)
    assert close(ours.qk, scores)
    assert close(ours.logits, logits)


def test_candidates_that_begin_with_the_same_tokens_are_told_apart_after_them(tokenizer):
    asked = puzzle(candidates=("not true", "not false"))
    scores, logits = oracle("llama", tiny_model("llama"), tokenizer, asked, "pre", n_shared=1)
    ours = score_puzzle(vouch_for(tiny_model("llama"), tokenizer, "llama"), asked)
    assert close(ours.qk, scores)
    assert close(ours.logits, logits)
    assert logits[0] != logits[1]


def test_pre_and_post_rotary_scores_differ_with_rotary_and_agree_without(tokenizer):
    for model_type, are_equal in [("llama", False), ("gpt2", True)]:
        lm = vouch_for(tiny_model(model_type), tokenizer, model_type)
        pre, post = (score_puzzle(lm, puzzle(), rope=rope).qk for rope in ("pre", "post"))
        assert np.array_equal(pre, post) is are_equal


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("mistral", dict(sliding_window=7)),
        ("qwen2", dict(use_sliding_window=True, sliding_window=9, max_window_layers=1)),
    ],
)
def test_a_sliding_window_hides_what_it_hides_from_the_model_itself(model_type, changes, tokenizer):
    lm = vouch_for(tiny_model(model_type, **changes), tokenizer, model_type)
    assert lm.geometry.window == changes["sliding_window"]
    scores, logits = oracle(
        model_type, tiny_model(model_type, **changes), tokenizer, puzzle(), "pre"
    )
    ours = score_puzzle(lm, puzzle())
    assert close(ours.qk, scores)
    assert close(ours.logits, logits)
    without = (
        dict(sliding_window=None) if model_type == "mistral" else dict(use_sliding_window=False)
    )
    assert not close(
        oracle(model_type, tiny_model(model_type, **without), tokenizer, puzzle(), "pre")[0], scores
    )


@pytest.mark.parametrize("model_type", ["qwen3", "gpt2"])
def test_batch_mates_and_padding_do_not_change_scores(model_type, tokenizer):
    lm = vouch_for(tiny_model(model_type), tokenizer, model_type)
    puzzles = [
        puzzle(puzzle_id="short", context="Max is a wumpus."),
        puzzle(puzzle_id="long", context="Every wumpus is a tumpus. " * 12),
        puzzle(puzzle_id="three", candidates=("true", "false", "unknown")),
        puzzle(puzzle_id="middle"),
    ]
    together = list(score_puzzles(lm, puzzles))
    assert [scores.puzzle.puzzle_id for scores in together] == ["short", "long", "three", "middle"]
    for scores, asked in zip(together, puzzles, strict=True):
        alone = score_puzzle(lm, asked)
        assert close(scores.qk, alone.qk)
        assert close(scores.logits, alone.logits)


def test_the_order_of_candidates_only_permutes_the_scores(tokenizer):
    lm = vouch_for(tiny_model("llama"), tokenizer, "llama")
    there = score_puzzle(lm, puzzle(candidates=("true", "quite possibly", "false")))
    back = score_puzzle(lm, puzzle(candidates=("false", "true", "quite possibly")))
    assert close(there.qk, back.qk[..., [1, 2, 0]])
    assert close(there.logits, back.logits[[1, 2, 0]])


def test_a_small_batch_limit_changes_nothing_but_the_batches(tokenizer):
    lm = vouch_for(tiny_model("llama"), tokenizer, "llama")
    puzzles = [puzzle(f"Max is {'not ' * n}metallic.", puzzle_id=str(n)) for n in range(5)]
    one_by_one = list(score_puzzles(lm, puzzles, max_batch_tokens=1))
    for ours, theirs in zip(score_puzzles(lm, puzzles), one_by_one, strict=True):
        assert close(ours.qk, theirs.qk)


def test_margins_follow_the_answer_and_are_refused_without_one(tokenizer):
    lm = vouch_for(tiny_model("llama"), tokenizer, "llama")
    scores = score_puzzle(lm, puzzle(answer=1))
    assert np.array_equal(scores.margins, scores.qk[..., 1] - scores.qk[..., 0])
    assert np.array_equal(scores.margins > 0, scores.choices == 1)
    with pytest.raises(PuzzleError, match="no known answer"):
        _ = score_puzzle(lm, puzzle(answer=None)).margins


def test_a_puzzle_beyond_the_models_reach_is_refused_with_how_far(tokenizer):
    lm = vouch_for(tiny_model("gpt2", n_positions=40), tokenizer, "tiny")
    with pytest.raises(
        PromptError, match=r"'p1' is [\d,]+ tokens too long: it has [\d,]+, tiny reads at most 40"
    ):
        score_puzzle(lm, puzzle())


def test_an_unknown_rope_is_refused(tokenizer):
    lm = vouch_for(tiny_model("llama"), tokenizer, "llama")
    with pytest.raises(PromptError, match="'before' is not one of 'raw', 'pre', 'post'"):
        score_puzzle(lm, puzzle(), rope="before")
