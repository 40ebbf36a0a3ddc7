"""Every model type in docs/models.md is scored like an oracle that knows its weights.

Or it is refused with the reason.
"""

from functools import cache

import numpy as np
import pytest
import torch

from qkcore.attention.capture import capture
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import vouch_for
from qkcore.attention.rows import rows_of, separate_rows_of
from qkcore.scoring.score import prompts_of, score_puzzle
from tests import ROOT
from tests.attention.architectures import (
    POST_ONLY,
    REFUSED,
    SUPPORTED,
    attentions,
    logits_of_weights,
    made,
    recomputed,
)
from tests.attention.coverage_table import table, vouched
from tests.tiny import close, puzzle, tiny_tokenizer

CANDIDATES = ("true", "false yes")  # one token and several, all within the smallest window


@cache
def tokenizer():
    return tiny_tokenizer()


def plain_pass(model, ids, **options):
    """(attention inputs of (token, feature), output) of an ordinary call that nobody reads."""
    inputs, handles = [], []
    for module in attentions(model):

        def note(_module, args, kwargs):
            inputs.append((args[0] if args else kwargs["hidden_states"])[0])

        handles.append(module.register_forward_pre_hook(note, with_kwargs=True))
    with torch.no_grad():
        output = model(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            use_cache=False,
            **options,
        )
    for handle in handles:
        handle.remove()
    return inputs, output


@pytest.mark.parametrize("name", SUPPORTED)
def test_scores_before_rotary_equal_those_of_the_modules_own_weights(name):
    model_type, config, layout = SUPPORTED[name]
    fresh, asked = made(model_type, config), puzzle(candidates=CANDIDATES)
    lm = vouched(name)
    (prompt,) = prompts_of(lm, [asked])
    ours = score_puzzle(lm, asked)
    for index, ids in enumerate(prompt.candidates):
        inputs, output = plain_pass(fresh, prompt.tokens + ids)
        for layer, (module, x) in enumerate(zip(attentions(fresh), inputs, strict=True)):
            query, key = recomputed(layout, module, x, fresh.config)
            key = key[prompt.key_at].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
            expected = (query[-1] * key).sum(-1).detach()
            assert close(ours.qk[layer, :, index], expected), f"layer {layer}"
        assert close(ours.logits[index], output.logits[0, len(prompt.tokens) - 1, ids[0]])


# Asked for weights, this one computes other hidden states (see own_paths); it has no rotary, so
# before is after.
@pytest.mark.parametrize("name", [name for name in SUPPORTED if name != "falcon (ALiBi)"])
def test_scores_after_rotary_are_what_the_models_own_attention_weights_come_from(name):
    """Between two keys of a row, log weights differ by scaling * (score - score).

    Whatever softmax did to both.
    """
    lm = vouched(name)
    model_type, config, _ = SUPPORTED[name]
    (prompt,) = prompts_of(lm, [puzzle(candidates=CANDIDATES)])
    # Near the query: inside of every window
    positions = [len(prompt.tokens) - 1, len(prompt.tokens) - 3]
    scores = {at: at_key(lm, prompt, at) for at in positions}
    fresh = made(model_type, config | {"attn_implementation": "eager"})
    compared = set()
    for index, ids in enumerate(prompt.candidates):
        _, output = plain_pass(fresh, prompt.tokens + ids, output_attentions=True)
        for layer, weights in enumerate(output.attentions):
            if "indexed" in name and not weights[0, :, -1, positions].all():
                continue  # the indexer has left one of the keys out
            compared.add(layer)
            logs = logits_of_weights(weights[0, :, -1])
            expected = (
                logs[:, positions[0]]
                - logs[:, positions[1]]
                - bias_of(name, positions, weights.shape[1])
            )
            first, second = (to_logit(lm, layer, scores[at][layer, :, index]) for at in positions)
            assert close(first - second, expected), f"layer {layer}"
    assert compared


def at_key(lm, prompt, key_at):
    """(layer, head, candidate) scores after rotary, with the key read elsewhere."""
    from dataclasses import replace

    from qkcore.scoring.arithmetic import qk_scores

    asked = replace(prompt, key_at=key_at)
    if lm.geometry.is_side_by_side:
        captured = capture(lm.model, lm.geometry, rows_of([[asked]]), ("post",))
        keys = lm.geometry.keys_by_head(captured.keys["post"][0, ..., 0, :], axis=-2)
        return qk_scores(captured.queries["post"][0], keys)
    captured = capture(lm.model, lm.geometry, separate_rows_of([asked]), ("post",))
    keys = lm.geometry.keys_by_head(captured.keys["post"][..., 0, :], axis=-2)
    rows = qk_scores(captured.queries["post"], keys)
    return rows[..., 0].movedim(0, -1)


def to_logit(lm, layer, scores):
    """The scaling and soft cap of the type's paper, from its own configuration or module."""
    config = lm.model.config
    module = attentions(lm.model)[layer]
    if config.model_type == "mpt":
        return scores * module.softmax_scale
    if config.model_type == "gpt_neo":
        return scores
    scaling = getattr(module, "scaling", None)
    if scaling is None:
        scaling = module.head_dim**-0.5
    logits = scores * scaling
    cap = getattr(config, "attn_logit_softcapping", None)
    return cap * torch.tanh(logits / cap) if cap else logits


def bias_of(name, positions, n_heads):
    """ALiBi's difference between two keys (arXiv 2108.12409).

    A slope a head times the distance of the keys.
    """
    if "ALiBi" not in name:
        return 0.0
    powers = torch.arange(1, 1 + 4)
    # Six heads: four, then two between
    slopes = torch.cat([2.0 ** (-2 * powers), 2.0 ** -(2.0 * torch.arange(1, 3) - 1)])
    if name.startswith("mpt"):
        all_slopes = 2.0 ** (-torch.arange(1, 9) * 8 / 8)
        slopes = torch.cat([all_slopes[1::2], all_slopes[0::2]])[:n_heads]
    return slopes * (positions[0] - positions[1])


@pytest.mark.parametrize(
    "name",
    ["gpt2", "opt", "bloom (ALiBi)", "mpt (ALiBi)", "falcon (ALiBi)", "gpt_neo (local layers)"],
)
def test_without_rotary_both_scores_are_the_same(name):
    pre, post = (score_puzzle(vouched(name), puzzle(), rope=rope).qk for rope in ("pre", "post"))
    assert np.array_equal(pre, post)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_with_the_reason(name):
    model_type, config, reason = REFUSED[name]
    with pytest.raises(UnsupportedModelError, match=reason) as refusal:
        vouch_for(made(model_type, config), tokenizer(), name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", POST_ONLY)
def test_a_model_that_changes_queries_after_rotary_has_scores_after_it_only(name):
    lm = vouch_for(made(*POST_ONLY[name]), tokenizer(), name)
    assert "pre" not in lm.geometry.ropes
    assert np.isfinite(score_puzzle(lm, puzzle(), rope="post").qk).all()
    with pytest.raises(UnsupportedModelError, match="no score before it; use rope 'raw' or 'post'"):
        score_puzzle(lm, puzzle())


def test_the_documented_table_is_what_the_tests_cover():
    assert (ROOT / "docs" / "models.md").read_text() == table()
