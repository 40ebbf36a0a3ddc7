"""Sliding windows that the self-check's short text does not fill.

Prompts are several times as long. The oracle is an ordinary call for each statement and candidate,
with the model's own masks, of a model that nobody has prepared; queries and keys come from the
weights of its modules (tests.attention.architectures).
"""

from dataclasses import replace
from functools import lru_cache

import pytest
import torch

from qkcore.asking.templates import PromptError
from qkcore.attention.load import vouch_for
from qkcore.attention.row_check import N_TOKENS
from qkcore.attention.rows import groups_of
from qkcore.scoring.score import prompts_of, score_puzzles
from tests.attention.architectures import (
    EXPERTS,
    FULL,
    GROUPED,
    OWN_HEAD_DIM,
    attentions,
    made,
    recomputed,
)
from tests.attention.test_coverage import plain_pass
from tests.tiny import close, puzzle, tiny_tokenizer

WINDOW = 32
SLIDING = dict(sliding_window=WINDOW)
MIXED = SLIDING | dict(layer_types=["sliding_attention", "full_attention", "sliding_attention"])
TYPES = {
    "mistral": (OWN_HEAD_DIM | SLIDING, "separate"),
    "phi3": (GROUPED | SLIDING, "qkv_proj"),
    "gemma2": (OWN_HEAD_DIM | MIXED | dict(query_pre_attn_scalar=10), "separate"),
    "gemma3_text": (OWN_HEAD_DIM | MIXED | dict(query_pre_attn_scalar=10), "separate"),
    "cohere2": (OWN_HEAD_DIM | MIXED, "separate"),
    "gpt_oss": (OWN_HEAD_DIM | EXPERTS | MIXED, "separate"),
    "qwen2": (GROUPED | MIXED | dict(use_sliding_window=True), "separate"),
    "olmo3": (GROUPED | MIXED, "separate"),
    "exaone4": (OWN_HEAD_DIM | MIXED, "separate"),
    "modernbert-decoder": (
        FULL | MIXED | dict(local_attention=2 * WINDOW),
        "separate",
    ),
}
STATEMENTS = (
    "Max is metallic.",
    "Every wumpus is a tumpus and Max is not a wumpus.",
    "Max is a wumpus.",
)
CONTEXT = "Max is a wumpus. Every wumpus is a tumpus. Tumpuses are not metallic. " * 8


@lru_cache(maxsize=1)
def tokenizer():
    return tiny_tokenizer()


def asked():
    """Statements about one context, packed into one row.

    Several candidates stand side by side after each.
    """
    return [
        puzzle(
            statement,
            puzzle_id=statement,
            context=CONTEXT.strip(),
            candidates=("true", "false yes", "unknown"),
        )
        for statement in STATEMENTS
    ]


def oracle(model_type, config, prompt):
    """(layer, head, candidate) scores and (candidate,) logits from one plain call a candidate."""
    model, layout = made(model_type, config), TYPES.get(model_type, (config, "separate"))[1]
    columns, logits = [], []
    for ids in prompt.candidates:
        inputs, output = plain_pass(model, prompt.tokens + ids)
        layers = []
        for module, x in zip(attentions(model), inputs, strict=True):
            query, key = recomputed(layout, module, x, model.config)
            key = key[prompt.key_at].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
            layers.append((query[-1] * key).sum(-1).detach())
        columns.append(torch.stack(layers))
        logits.append(output.logits[0, len(prompt.tokens) - 1, ids[0]])
    return torch.stack(columns, dim=-1), torch.stack(logits)


@pytest.mark.parametrize("model_type", TYPES)
def test_packed_statements_and_candidates_see_what_the_models_own_window_lets_them_see(model_type):
    config = TYPES[model_type][0]
    lm = vouch_for(made(model_type, config), tokenizer(), model_type)
    prompts = prompts_of(lm, asked())
    assert groups_of(prompts) == [[0, 1, 2]]
    assert min(len(prompt.tokens) for prompt in prompts) >= 150 > 4 * WINDOW > 4 * N_TOKENS
    assert (lm.geometry.window, lm.geometry.is_side_by_side) == (WINDOW, True)
    for prompt, scores in zip(prompts, score_puzzles(lm, asked()), strict=True):
        qk, logits = oracle(model_type, config, prompt)
        assert close(scores.qk, qk)
        assert close(scores.logits, logits)


@pytest.mark.parametrize("wrong", [WINDOW - 1, WINDOW + 1, 10_000])
@pytest.mark.parametrize("model_type", TYPES)
def test_a_window_wrong_by_one_position_passes_the_self_check_and_would_fail_here(
    model_type, wrong
):
    config = TYPES[model_type][0]
    lm = vouch_for(made(model_type, config), tokenizer(), model_type)
    misread = replace(lm, geometry=replace(lm.geometry, window=wrong))
    first, *_ = prompts_of(lm, asked())
    scores = next(score_puzzles(misread, asked()))
    qk, _ = oracle(model_type, config, first)
    assert not close(scores.qk, qk)


@pytest.mark.parametrize("model_type", TYPES)
def test_the_oracles_own_window_is_as_wide_as_configured(model_type):
    """Counted in the weights that eager attention returns.

    The last token sees so many, where the layer slides.
    """
    config = TYPES[model_type][0]
    model = made(model_type, config | {"attn_implementation": "eager"})
    ids = torch.randint(420, (150,), generator=torch.Generator().manual_seed(1)).tolist()
    _, output = plain_pass(model, ids, output_attentions=True)
    seen = [int((weights[0, :, -1] > 0).any(dim=0).sum()) for weights in output.attentions]
    kinds = config.get("layer_types", ["sliding_attention"] * 3)
    assert seen == [WINDOW if kind == "sliding_attention" else 150 for kind in kinds]


def test_a_window_that_a_model_states_and_does_not_heed_limits_its_prompts():
    """Moshi's configuration names a window, and its mask has none.

    Up to the window that makes no difference.
    """
    config = OWN_HEAD_DIM | dict(sliding_window=200)
    lm = vouch_for(made("moshi", config), tokenizer(), "moshi")
    assert lm.geometry.max_positions == 200
    prompts = prompts_of(lm, asked())
    for prompt, scores in zip(prompts, score_puzzles(lm, asked()), strict=True):
        assert prompt.n_positions > 150
        assert close(scores.qk, oracle("moshi", config, prompt)[0])
    narrow = vouch_for(made("moshi", OWN_HEAD_DIM | SLIDING), tokenizer(), "moshi")
    with pytest.raises(PromptError, match=f"moshi reads at most {WINDOW}"):
        prompts_of(narrow, asked())


def test_the_check_of_the_window_leaves_the_configuration_as_it_was():
    lm = vouch_for(made("mistral", TYPES["mistral"][0]), tokenizer(), "mistral")
    assert lm.model.config.sliding_window == WINDOW
    assert lm.geometry.max_positions == TYPES["mistral"][0]["max_position_embeddings"]
