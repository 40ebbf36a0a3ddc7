"""Raw scores are dot products of what hooks on a model's own projections give.

Fused weights are cut apart by hand here, in the layout that a type's authors chose.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from qkcore.attention import projections
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import vouch_for
from qkcore.scoring.alignment import align
from qkcore.scoring.score import prompts_of, score_puzzle, score_puzzles
from qkcore.scoring.worked_example import worked_example
from tests.attention.architectures import (
    FULL,
    GROUPED,
    POST_ONLY,
    SUPPORTED,
    attentions,
    made,
)
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

CANDIDATES = ("true", "false yes")
SETS_A_SWITCH = {
    "stablelm (a norm a head)": ("stablelm", GROUPED | dict(qk_layernorm=True), "separate"),
    "phi (norm)": ("phi", FULL | dict(qk_layernorm=True), "separate"),
    "cohere (norm)": ("cohere", GROUPED | dict(use_qk_norm=True), "separate"),
    "glm4_moe (norm)": (
        "glm4_moe",
        SUPPORTED["glm4_moe"][1] | dict(use_qk_norm=True),
        "separate",
    ),
    "olmo (clips)": ("olmo", GROUPED | dict(clip_qkv=0.5), "separate"),
    "gpt_neox (bias, all dims turned)": ("gpt_neox", FULL | dict(rotary_pct=1.0), "interleaved"),
}
AFTER_ROTARY = {name: (*made_of, "separate") for name, made_of in POST_ONLY.items()}
ALL = SUPPORTED | SETS_A_SWITCH | AFTER_ROTARY
# As their papers have it: queries and keys are normed between projection and rotary.
NORMED = {
    "qwen3 (QK-norm)",
    "qwen3_moe",
    "gemma3_text (QK-norm, window)",
    "olmo2 (norm over all heads)",
    "olmo3 (window)",
    "olmoe",
    "exaone4 (window, layers without rotary)",
    "apertus",
    "persimmon (fused)",
    "dots1",
    "flex_olmo",
    "minimax_m2",
    "afmoe (window)",
    "stablelm (a norm a head)",
    "phi (norm)",
    "cohere (norm)",
    "glm4_moe (norm)",
}
# Fused or latent projections, by layout; all others have one for queries and one for keys.
MODULES = {
    "c_attn": ("c_attn",),
    "c_attn one kv head": ("c_attn",),
    "interleaved": ("query_key_value",),
    "thirds": ("Wqkv",),
    "falcon one kv head": ("query_key_value",),
    "falcon grouped": ("query_key_value",),
    "qkv_proj": ("qkv_proj",),
    "codegen": ("qkv_proj",),
    "Wq": ("Wq", "Wk"),
    "separate": ("q_proj", "k_proj"),
}


@cache
def tokenizer():
    return tiny_tokenizer()


@cache
def vouched(name):
    model_type, config, _ = ALL[name]
    return vouch_for(made(model_type, config), tokenizer(), name)


def hooked(layout, model, ids):
    """[(query, key)] of each layer: (token, head, dim) and (token, kv head, dim), off a call."""
    outputs, handles = [], []
    for module in attentions(model):
        given = {}
        outputs.append(given)
        for name in projecting(layout, module):

            def note(_module, _args, output, given=given, name=name):
                given[name] = output.reshape(len(ids), -1).clone()

            handles.append(getattr(module, name).register_forward_hook(note))
    mask = torch.ones(1, len(ids), dtype=torch.long)
    with torch.no_grad():
        model(torch.tensor([ids]), attention_mask=mask, use_cache=False)
    for handle in handles:
        handle.remove()
    return [cut_apart(layout, given, model.config) for given in outputs]


def projecting(layout, module):
    """The names of the modules that queries and keys come from."""
    if layout == "latent":
        query = "q_proj" if getattr(module, "q_proj", None) else "q_b_proj"
        return query, "kv_a_proj_with_mqa", "kv_b_proj"
    return MODULES[layout]


def cut_apart(layout, given, config):
    """(query, key) of what the projections gave, each (token, columns)."""
    n_heads = config.num_attention_heads
    n_kv_heads = getattr(config, "num_key_value_heads", None) or n_heads
    if layout == "latent":  # a head's key: dims of its own, and those that serve all heads
        query, compressed, expanded = given.values()
        own = expanded.unflatten(1, (n_heads, -1))[..., : config.qk_nope_head_dim]
        shared = compressed[:, None, config.kv_lora_rank :].expand(-1, n_heads, -1)
        return query.unflatten(1, (n_heads, -1)), torch.cat([own, shared], dim=-1)
    if len(given) == 2:
        query, key = given.values()
        return query.unflatten(1, (n_heads, -1)), key.unflatten(1, (n_kv_heads, -1))
    (fused,) = given.values()
    size = config.hidden_size // n_heads
    if layout == "interleaved":
        query, key, _ = fused.unflatten(1, (n_heads, 3, -1)).unbind(2)
        return query, key
    if layout == "codegen":
        query, _, key = fused.unflatten(1, (4, 3, -1)).unbind(2)
        return query.reshape(len(fused), n_heads, -1), key.reshape(len(fused), n_heads, -1)
    if layout == "falcon grouped":
        groups = fused.unflatten(1, (config.num_kv_heads, -1, size))
        return groups[:, :, :-2].flatten(1, 2), groups[:, :, -2]
    # Queries first, then keys, then values.
    n_keys = {"qkv_proj": n_kv_heads, "c_attn": n_heads, "thirds": n_heads}.get(layout, 1)
    heads = fused.unflatten(1, (-1, size))
    return heads[:, :n_heads], heads[:, n_heads : n_heads + n_keys]


@pytest.mark.parametrize("name", ALL)
def test_raw_scores_are_products_of_what_hooks_on_the_projections_give(name):
    model_type, config, layout = ALL[name]
    fresh, asked, lm = made(model_type, config), puzzle(candidates=CANDIDATES), vouched(name)
    (prompt,) = prompts_of(lm, [asked])
    ours = score_puzzle(lm, asked, rope="raw").qk
    for index, ids in enumerate(prompt.candidates):
        for layer, (query, key) in enumerate(hooked(layout, fresh, prompt.tokens + ids)):
            key = key[prompt.key_at].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
            assert close(ours[layer, :, index], (query[-1] * key).sum(-1)), f"layer {layer}"


@pytest.mark.parametrize("name", [name for name in ALL if name not in AFTER_ROTARY])
def test_raw_is_before_rotary_in_models_without_norm_and_only_in_them(name):
    raw, pre = (score_puzzle(vouched(name), puzzle(), rope=rope).qk for rope in ("raw", "pre"))
    assert close(raw, pre) is not (name in NORMED or name == "olmo (clips)")


@pytest.mark.parametrize("name", AFTER_ROTARY)
def test_a_model_that_norms_after_rotary_has_raw_scores_and_none_before_rotary(name):
    assert vouched(name).geometry.ropes == ("raw", "post")


@pytest.mark.parametrize("name", ["qwen3 (QK-norm)", "olmo2 (norm over all heads)"])
def test_the_models_own_norms_of_raw_states_are_those_before_rotary(name):
    """Both readings of one pass, and the norm's formula (arXiv 1910.07467) between them."""
    from qkcore.attention.capture import capture
    from qkcore.attention.rows import rows_of

    lm = vouched(name)
    rows = rows_of([prompts_of(lm, [puzzle()])])
    captured = capture(lm.model, lm.geometry, rows, ("raw", "pre"))
    for layer, module in enumerate(attentions(lm.model)):
        raw, pre = (captured.queries[rope][0, layer] for rope in ("raw", "pre"))  # head, n, dim
        weight = module.q_norm.weight
        axes = (-1,) if weight.numel() == raw.shape[-1] else (0, 2)  # of a head, or of all
        length = (raw.pow(2).mean(axes, keepdim=True) + lm.model.config.rms_norm_eps).sqrt()
        factor = weight if len(axes) == 1 else weight.unflatten(0, (len(raw), 1, -1))
        assert close((raw / length * factor).detach(), pre)


@pytest.mark.parametrize("n_puzzles", [1, 5])
def test_raw_scores_do_not_depend_on_the_batch(n_puzzles):
    lm = vouched("qwen3 (QK-norm)")
    puzzles = [
        puzzle(f"Max is {'not ' * n}metallic.", puzzle_id=str(n), context=f"Max is {n}.")
        for n in range(n_puzzles)
    ]
    for together, asked in zip(score_puzzles(lm, puzzles, rope="raw"), puzzles, strict=True):
        assert close(together.qk, score_puzzle(lm, asked, rope="raw").qk)


def test_alignment_and_the_worked_example_read_what_is_scored():
    lm, asked = vouched("qwen3 (QK-norm)"), puzzle()
    scores = score_puzzle(lm, asked, rope="raw").qk
    found = align(lm, asked, rope="raw")
    assert close(found.products[..., found.key_at], scores)
    example = worked_example(lm, prompts_of(lm, [asked]), 1, 4, "raw")
    products = np.array(example.query_vectors) @ np.array(example.key_vector)
    assert close(products, scores[1, 4])


def test_half_precision_reads_the_same_projections():
    model_type, config, _ = ALL["qwen3 (QK-norm)"]
    lm = vouch_for(made(model_type, config).bfloat16(), tokenizer(), "half")
    assert lm.geometry.projections == vouched("qwen3 (QK-norm)").geometry.projections


class Off(nn.Module):
    """A norm that is switched off; no attribute of a norm is left."""

    def forward(self, states):
        return states


def test_a_norm_of_queries_alone_is_seen_in_queries_alone():
    model = tiny_model("qwen3")
    for layer in model.model.layers:
        layer.self_attn.k_norm = Off()
    lm = vouch_for(model, tokenizer(), "queries")
    assert lm.geometry.ropes == ("raw", "pre", "post")
    raw, pre = (score_puzzle(lm, puzzle(), rope=rope).qk for rope in ("raw", "pre"))
    assert not close(raw, pre)
    places = {
        piece.module.rpartition(".")[2] for one in lm.geometry.projections for piece in one.keys
    }
    assert places == {"k_proj"}


class Doubled(nn.Module):
    """A factor for each column: affine, and no projection."""

    def forward(self, states):
        return 2 * states


def test_a_mere_factor_after_the_projection_is_not_taken_for_one():
    model = tiny_model("qwen3")
    for layer in model.model.layers:
        layer.self_attn.q_norm, layer.self_attn.k_norm = Doubled(), Doubled()
    lm = vouch_for(model, tokenizer(), "doubled")
    raw, pre = (score_puzzle(lm, puzzle(), rope=rope).qk for rope in ("raw", "pre"))
    assert close(4 * raw, pre)


class Bent(nn.Linear):
    """A projection with a norm inside: what it gives is no projection's output."""

    def forward(self, states):
        return nn.functional.normalize(super().forward(states), dim=-1)


def test_a_model_whose_projections_cannot_be_told_says_so_in_one_sentence():
    model = tiny_model("llama")
    for layer in model.model.layers:
        layer.self_attn.q_proj.__class__ = Bent
    lm = vouch_for(model, tokenizer(), "bent")
    assert lm.geometry.ropes == ("pre", "post")
    assert lm.check.raw is None
    sentence = (
        "its queries and keys cannot be followed back to the projections .* no raw score; use rope "
        "'pre' or 'post'$"
    )
    for ask in (score_puzzle, align):
        with pytest.raises(UnsupportedModelError, match=sentence):
            ask(lm, puzzle(), rope="raw")


def test_projections_that_are_read_otherwise_than_found_are_not_offered(monkeypatch):
    """Each head's columns read one dim too late: every score would be a number, and wrong."""
    honest = projections.Piece.read

    def late(self, output, positions, *rest):
        return honest(
            replace(self, starts=tuple(start + 1 for start in self.starts)), output, positions
        )

    monkeypatch.setattr(projections.Piece, "read", late)
    lm = vouch_for(made("gpt2", ALL["gpt2"][1]), tokenizer(), "late")
    assert lm.geometry.ropes == ("pre", "post")


def test_no_hook_is_left_on_the_model():
    """Beyond those that transformers and `attach` leave there."""
    model = tiny_model("llama")

    def n_hooks():
        return sum(len(module._forward_hooks) for module in model.modules())

    lm = vouch_for(model, tokenizer(), "llama")
    with torch.no_grad():
        model(torch.tensor([[1, 2]]))
    before = n_hooks()
    score_puzzle(lm, puzzle(), rope="raw")
    vouch_for(model, tokenizer(), "again")
    assert n_hooks() == before
