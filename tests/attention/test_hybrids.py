"""Models in which some layers have no heads are scored in the others, by the model's own numbers.

Like an oracle that knows the weights and which layers have heads.
"""

from functools import cache

import pytest
import torch

from qkcore.attention.load import vouch_for
from qkcore.scoring.score import prompts_of, score_puzzle
from tests.attention.architectures import logits_of_weights, made
from tests.attention.hybrids import HYBRIDS, attentions, recomputed
from tests.attention.test_coverage import at_key, tokenizer
from tests.tiny import close, puzzle

CANDIDATES = ("true", "false yes")


@cache
def vouched(name):
    model_type, config, *_ = HYBRIDS[name]
    return vouch_for(made(model_type, config), tokenizer(), name)


def plain_pass(model, ids, **options):
    """([(attention module, its input)] in order, output) of an ordinary call."""
    calls, handles = [], []

    def note(module, args, kwargs):
        calls.append((module, (args[0] if args else kwargs["hidden_states"])[0]))

    for module in attentions(model):
        handles.append(module.register_forward_pre_hook(note, with_kwargs=True))
    with torch.no_grad():
        output = model(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(), use_cache=False,
            **options,
        )  # fmt: skip
    for handle in handles:
        handle.remove()
    return calls, output


@pytest.mark.parametrize("name", HYBRIDS)
def test_layers_keep_the_numbers_that_they_have_in_the_model(name):
    model_type, config, _, layers = HYBRIDS[name]
    fresh, lm = made(model_type, config), vouched(name)
    assert score_puzzle(lm, puzzle()).layers == lm.geometry.head_layers == layers
    calls, _ = plain_pass(fresh, list(range(12)))
    for number, (module, _) in zip(layers, calls, strict=True):
        assert module in set(fresh.model.layers[number].modules())


@pytest.mark.parametrize("name", HYBRIDS)
def test_scores_before_rotary_equal_those_of_the_modules_own_weights(name):
    model_type, config, layout, layers = HYBRIDS[name]
    fresh, asked, lm = made(model_type, config), puzzle(candidates=CANDIDATES), vouched(name)
    (prompt,) = prompts_of(lm, [asked])
    ours = score_puzzle(lm, asked)
    assert len(ours.qk) == len(layers)
    for index, ids in enumerate(prompt.candidates):
        calls, output = plain_pass(fresh, prompt.tokens + ids)
        for number, (layer, (module, x)) in enumerate(zip(layers, calls, strict=True)):
            query, key = recomputed(layout, module, x, fresh.config, number)
            key = key[prompt.key_at].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
            expected = (query[-1] * key).sum(-1).detach()
            found = [ours.of(layer, head)[index] for head in range(len(expected))]
            assert close(found, expected), f"layer {layer}"
        logits = output.logits[0, len(prompt.tokens) - 1]
        assert abs(ours.logits[index] - logits[ids[0]]) < 1e-4 * logits.abs().max()


@pytest.mark.parametrize("name", HYBRIDS)
def test_scores_after_rotary_are_what_the_models_own_attention_weights_come_from(name):
    """As in test_coverage: between two keys, log weights differ by scaling * (score - score)."""
    model_type, config, _, layers = HYBRIDS[name]
    lm, fresh = vouched(name), made(model_type, config | {"attn_implementation": "eager"})
    (prompt,) = prompts_of(lm, [puzzle(candidates=CANDIDATES)])
    positions = [len(prompt.tokens) - 1, len(prompt.tokens) - 3]
    first, second = (at_key(lm, prompt, at) for at in positions)
    for index, ids in enumerate(prompt.candidates):
        calls, output = plain_pass(fresh, prompt.tokens + ids, output_attentions=True)
        n_tokens = len(prompt.tokens + ids)
        weights = [one for one in output.attentions if one.shape[-2:] == (n_tokens, n_tokens)]
        assert len(weights) == len(layers)
        for place, (own, (module, _)) in enumerate(zip(weights, calls, strict=True)):
            logs = logits_of_weights(own[0, :, -1])
            expected = logs[:, positions[0]] - logs[:, positions[1]]
            found = (first - second)[place, :, index] * module.scaling
            assert close(found, expected), f"layer {layers[place]}"
