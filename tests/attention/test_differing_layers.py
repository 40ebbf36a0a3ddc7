"""Layers that differ in head size or kv heads, or share keys: Gemma 3n and Gemma 4."""

from functools import cache

import pytest
import torch

from qkcore.attention.load import vouch_for
from qkcore.scoring.alignment import align
from qkcore.scoring.score import prompts_of, score_puzzle
from qkcore.scoring.worked_example import worked_example
from tests.attention.architectures import DIFFERING, attentions, logits_of_weights, made
from tests.attention.test_coverage import at_key
from tests.tiny import close, puzzle, tiny_tokenizer


@cache
def vouched(name):
    return vouch_for(made(*DIFFERING[name]), tiny_tokenizer(), name)


def own_states(model, ids):
    """By layer, (query, key) before rotary of an ordinary pass: (token, head, dim).

    From the layer's own weights; where it has none for keys, those of the last layer of its kind
    that has.
    """
    inputs, found, kept = [], [], {}

    def note(_module, args, kwargs):
        inputs.append((args[0] if args else kwargs["hidden_states"])[0])

    handles = [
        module.register_forward_pre_hook(note, with_kwargs=True) for module in attentions(model)
    ]
    with torch.no_grad():
        output = model(torch.tensor([ids]), use_cache=False, output_attentions=True)
        kinds = model.config.layer_types
        for module, x, kind in zip(attentions(model), inputs, kinds, strict=True):
            size = module.head_dim
            query = module.q_norm(module.q_proj(x).unflatten(1, (-1, size)))
            if not module.is_kv_shared_layer:
                kept[kind] = module.k_norm(module.k_proj(x).unflatten(1, (-1, size)))
            found.append((query, kept[kind]))
    for handle in handles:
        handle.remove()
    return found, output


@pytest.mark.parametrize("name", DIFFERING)
def test_scores_before_rotary_equal_those_of_the_modules_own_weights(name):
    lm, fresh, asked = vouched(name), made(*DIFFERING[name]), puzzle()
    (prompt,) = prompts_of(lm, [asked])
    ours = score_puzzle(lm, asked)
    for index, ids in enumerate(prompt.candidates):
        found, output = own_states(fresh, prompt.tokens + ids)
        for layer, (query, key) in enumerate(found):
            key = key[prompt.key_at].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
            assert close(ours.qk[layer, :, index], (query[-1] * key).sum(-1)), f"layer {layer}"
        logits = output.logits[0, len(prompt.tokens) - 1]
        assert abs(ours.logits[index] - logits[ids[0]]) < 1e-4 * logits.abs().max()


@pytest.mark.parametrize("name", DIFFERING)
def test_scores_after_rotary_are_what_the_models_own_attention_weights_come_from(name):
    model_type, config = DIFFERING[name]
    lm, fresh = vouched(name), made(model_type, config | {"attn_implementation": "eager"})
    (prompt,) = prompts_of(lm, [puzzle()])
    positions = [len(prompt.tokens) - 1, len(prompt.tokens) - 3]
    first, second = (at_key(lm, prompt, at) for at in positions)
    for index, ids in enumerate(prompt.candidates):
        _, output = own_states(fresh, prompt.tokens + ids)
        for layer, weights in enumerate(output.attentions):
            logs = logits_of_weights(weights[0, :, -1])
            expected = logs[:, positions[0]] - logs[:, positions[1]]
            found = (first - second)[layer, :, index] * attentions(lm.model)[layer].scaling
            assert close(found, expected), f"layer {layer}"


def test_a_worked_example_shows_the_vectors_of_its_own_layer():
    lm, one = vouched("gemma4_text (larger heads and fewer kv heads in some layers)"), puzzle()
    (prompt,) = prompts_of(lm, [one])
    scores, found = score_puzzle(lm, one), align(lm, one)
    for layer, size in ((0, 10), (1, 16)):
        example = worked_example(lm, [prompt], layer, 5, "pre")
        assert len(example.key_vector) == size
        assert {len(query) for query in example.query_vectors} == {size}
        products = torch.tensor(example.query_vectors) @ torch.tensor(example.key_vector)
        assert close(products, scores.of(layer, 5))
        assert close(found.of(layer, 5, 0)[found.key_at], scores.of(layer, 5)[0])
