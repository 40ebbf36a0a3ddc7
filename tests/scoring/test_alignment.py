"""Why a head answers as it does: one reading for the tints and for the score."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkcore.attention.load import vouch_for
from qkcore.scoring.alignment import align
from qkcore.scoring.score import score_puzzle
from tests.tiny import puzzle, tiny_model, tiny_tokenizer

TYPES = ["llama", "qwen3", "gpt2"]


@pytest.fixture(scope="module", params=TYPES)
def lm(request):
    return vouch_for(tiny_model(request.param), tiny_tokenizer(), request.param)


@pytest.fixture(scope="module")
def llama():
    return vouch_for(tiny_model("llama"), tiny_tokenizer(begins_with_bos=True), "llama")


@pytest.mark.parametrize("rope", ["raw", "pre", "post"])
@pytest.mark.parametrize("candidates", [("true", "false"), ("true", "not metallic", "unknown")])
def test_the_product_at_the_key_token_is_the_score(lm, rope, candidates):
    one = puzzle(candidates=candidates)
    alignment = align(lm, one, rope=rope)
    scores = score_puzzle(lm, one, rope=rope).qk
    at_key = alignment.products[..., alignment.key_at]
    np.testing.assert_allclose(at_key, scores, atol=1e-5 * np.abs(scores).max())


def test_products_are_those_of_an_ordinary_pass_with_hooks(llama):
    """The oracle projects hidden states by hand, candidate by candidate.

    Without any of the project's reading.
    """
    one = puzzle()
    alignment = align(llama, one)
    layer, head = 1, 4
    for candidate, word in enumerate(one.candidates):
        text = (
            "Decide from the context whether the statement is true or false.\n"
            f"Context: {one.context}\nStatement: {one.statement}\nAnswer: {word}"
        )
        queries, keys = projections(llama, layer, text)
        query = queries.unflatten(-1, (6, 10))[-1, head]
        expected = keys.unflatten(-1, (2, 10))[: len(alignment.texts), head // 3] @ query
        np.testing.assert_allclose(
            alignment.of(layer, head, candidate),
            expected.numpy(),
            atol=1e-5 * float(expected.abs().max()),
        )


def projections(lm, layer: int, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(token, head * dim) what a layer's q_proj and k_proj give in an ordinary pass."""
    kept = []
    attention = lm.model.model.layers[layer].self_attn
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: kept.append(output[0]))
        for module in (attention.q_proj, attention.k_proj)
    ]
    with torch.inference_mode():
        lm.model(**lm.tokenizer(text, return_tensors="pt"))
    for hook in hooks:
        hook.remove()
    return kept[0], kept[1]


def test_reading_tokens_in_several_passes_changes_nothing(llama):
    whole, cut = align(llama, puzzle()), align(llama, puzzle(), max_values=500)
    np.testing.assert_allclose(cut.products, whole.products, atol=1e-4)


def test_a_model_with_separate_rows_is_read_alike(llama):
    separate = replace(llama, geometry=replace(llama.geometry, is_side_by_side=False))
    one = puzzle(candidates=("true", "not metallic", "unknown"))
    np.testing.assert_allclose(align(separate, one).products, align(llama, one).products, atol=1e-4)


def test_every_token_has_its_text_and_its_premise(llama):
    alignment = align(llama, puzzle())
    assert "".join(alignment.texts).endswith("Statement: Max is metallic.\nAnswer:")
    assert alignment.sentences == (
        "Max is a wumpus.",
        "Every wumpus is a tumpus.",
        "Tumpuses are not metallic.",
    )
    for number, sentence in enumerate(alignment.sentences):
        own = [
            text
            for text, one in zip(alignment.texts, alignment.premises, strict=True)
            if one == number
        ]
        assert "".join(own).strip() == sentence
    outside = [
        text for text, one in zip(alignment.texts, alignment.premises, strict=True) if one is None
    ]
    assert "wumpus" not in "".join(outside)


def test_premise_sums_add_up_the_tokens_of_each_premise(llama):
    alignment = align(llama, puzzle())
    ones = np.ones(len(alignment.texts))
    assert alignment.by_premise(ones).sum() == sum(one is not None for one in alignment.premises)
    difference = alignment.of(0, 0, 0, other=1)
    first = [value for value, one in zip(difference, alignment.premises, strict=True) if one == 0]
    assert alignment.by_premise(difference)[0] == pytest.approx(sum(first), rel=1e-5)


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and text.isprintable()))
def test_whatever_is_typed_the_texts_join_to_the_prompt(context):
    lm = vouch()
    alignment = align(lm, puzzle(context=context))
    assert "".join(alignment.texts).startswith("Decide from the context")
    assert f"Context: {context}\n" in "".join(alignment.texts)
    assert len(alignment.texts) == len(alignment.premises) == alignment.products.shape[-1]


@cache
def vouch():
    return vouch_for(tiny_model("llama"), tiny_tokenizer(), "llama")
