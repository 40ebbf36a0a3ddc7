"""Heads of every model type are switched off as a plain hook on its output projection does it."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from qkcore import InputError
from qkcore.attention.capture import logits_of
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.rows import rows_of
from qkcore.attention.switching import Replacements, Switching, changing
from qkcore.scoring.interventions import Interventions, answers_without
from qkcore.scoring.replacing import replacements_of
from qkcore.scoring.score import prompts_of, score_puzzle
from tests.attention import architectures, hybrids, test_coverage, test_hybrids
from tests.attention.architectures import SUPPORTED, made
from tests.attention.hybrids import HYBRIDS
from tests.tiny import close, puzzle

TWICE = "diffllama (attends twice)"
NAMES = [name for name in [*SUPPORTED, *HYBRIDS] if name != TWICE]
OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj", "Wo")
NORMED = {"bitnet": "attn_sub_norm"}  # between heads and output projection
# What multiplies heads' outputs stands before their projection, so that the mean is taken before it
GATED = {
    "afmoe (window)",
    "qwen3_next",
    "qwen3_5_text",
    "qwen3_5_moe_text",
    "bailing_hybrid (latent attention)",
    *NORMED,
}
MASKLESS = ("bloom", "falcon", "mpt")  # families that keep their mask to themselves


def vouched(name):
    return (test_coverage if name in SUPPORTED else test_hybrids).vouched(name)


def fresh(name, **changes):
    model_type, config, *_ = (SUPPORTED | HYBRIDS)[name]
    return made(model_type, config | changes)


def attentions(name, model):
    """The model's attention modules, in the order of its layers with heads."""
    return (architectures if name in SUPPORTED else hybrids).attentions(model)


def projection(name, module):
    """What takes all heads' outputs together: a module of the attention, (.., head * dim)."""
    wanted = (NORMED[name],) if name in NORMED else OUTPUTS
    (found,) = (child for own, child in module.named_children() if own in wanted)
    return found


def hooked(name, place, change):
    """A fresh model in which `change(states)` edits the (row, token, head, dim) of one layer.

    By the number of the call, since several layers may share a module.
    """
    model = fresh(name)
    n_heads, calls = vouched(name).geometry.n_heads, []

    def before(_module, args):
        calls.append(None)
        if len(calls) - 1 != place:
            return None
        states = change(args[0].unflatten(-1, (n_heads, -1)).clone())
        return (states.flatten(-2),)

    for module in attentions(name, model):
        projection(name, module).register_forward_pre_hook(before)
    return model


def plain(model, tokens):
    """(vocabulary,) logits after the last token, of an ordinary call."""
    with torch.no_grad():
        ids = torch.tensor([tokens])
        return model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1]


def asked(lm, **changes):
    (prompt,) = prompts_of(lm, [puzzle(**changes)])
    return prompt


@pytest.mark.parametrize("name", NAMES)
def test_switching_no_head_off_changes_no_bit(name):
    lm = vouched(name)
    prompt = asked(lm)
    (answers,) = answers_without(lm, prompt, [[]])
    scored = score_puzzle(lm, prompt.puzzle, rope="post").logits
    assert answers.tobytes() == scored.tobytes()
    rows = rows_of([[prompt]]) if lm.geometry.is_side_by_side else None
    if rows is not None:
        ordinary = logits_of(lm.model, lm.geometry, rows)
        nobody = Switching([[]], Replacements("zero"), rows.key_at, rows.logits_at, [1])
        with changing(nobody):
            assert torch.equal(logits_of(lm.model, lm.geometry, rows), ordinary)
        assert nobody.told == set(lm.geometry.head_layers)


@pytest.mark.parametrize("name", NAMES)
def test_a_head_switched_off_is_a_zero_before_the_output_projection(name):
    lm = vouched(name)
    prompt, layers = asked(lm), lm.geometry.head_layers
    variants = [[(layers[0], 1)], [(layers[-1], lm.geometry.n_heads - 1)]]
    ours = answers_without(lm, prompt, variants, kind="zero")
    whole = answers_without(lm, prompt, [[]])
    for place, ((_, head),), found in zip((0, len(layers) - 1), variants, ours, strict=True):

        def zeroed(states, head=head):
            states[:, :, head] = 0
            return states

        expected = plain(hooked(name, place, zeroed), prompt.tokens)
        assert close(found, expected[list(prompt.answer_tokens)])
        assert not np.array_equal(found, whole[0])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GATED])
def test_the_mean_is_that_of_the_output_projections_input_over_all_tokens_of_prompts(name):
    lm = vouched(name)
    others = [
        puzzle("Max is a tumpus.", puzzle_id="a"),
        puzzle("Max is metallic.", puzzle_id="b"),
        puzzle("Ben drinks water.", puzzle_id="c", context="Ben is a wumpus."),
    ]
    layers = lm.geometry.head_layers
    place, head = len(layers) - 1, 2
    states = []

    def note(found):
        states.append(found[0, :, head])
        return found

    for one in prompts_of(lm, others):
        plain(hooked(name, place, note), one.tokens)
    mean = torch.cat(states).mean(0)

    def replaced(found):
        found[:, :, head] = mean
        return found

    prompt = asked(lm)
    means = replacements_of(lm, others)
    (ours,) = answers_without(lm, prompt, [[(layers[-1], head)]], means=means)
    expected = plain(hooked(name, place, replaced), prompt.tokens)
    assert close(ours, expected[list(prompt.answer_tokens)])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HYBRIDS])
def test_layers_that_are_replayed_give_what_whole_passes_give(name):
    lm = vouched(name)
    one, two = prompts_of(lm, [puzzle(), puzzle("Max is a tumpus.", puzzle_id="p2")])
    last = lm.geometry.n_layers - 1
    off = [[(last, 0)], [(last, 1), (last - 1, 2)], [(last - 1, 0), (last - 1, 1)]]
    replayed, whole = (
        Interventions(lm, Replacements("zero"), is_replayed=known)
        for known in ({}, {last: False, last - 1: False})
    )
    assert close(replayed.answers([one, two], off), whole.answers([one, two], off))
    assert replayed.is_replayed == {last: True, last - 1: True}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(MASKLESS)])
def test_a_cut_path_leaves_the_other_tokens_their_shares(name):
    """Without one key, a head's output is (output - weight * value) / (1 - weight).

    Weights and values are those of an ordinary pass.
    """
    lm = vouched(name)
    if not hasattr(attentions(name, lm.model)[0], "v_proj") or name in GATED:
        pytest.skip("its values are not to be had from a module of their own")
    prompt, head, place = asked(lm), 1, len(lm.geometry.head_layers) - 1
    layer = lm.geometry.head_layers[place]
    model = fresh(name, attn_implementation="eager")
    values = []
    module = attentions(name, model)[min(place, len(attentions(name, model)) - 1)]
    module.v_proj.register_forward_hook(lambda _module, _args, output: values.append(output[0]))
    ids = torch.tensor([prompt.tokens])
    with torch.no_grad():
        found = model(ids, attention_mask=torch.ones_like(ids), output_attentions=True,
                      use_cache=False)  # fmt: skip
    n = len(prompt.tokens)
    weights = [one for one in found.attentions if one is not None and one.shape[-1] == n]
    weight = weights[-1][0, head, -1, prompt.key_at]

    def without(states):
        size = states.shape[-1]
        own = values[-1].unflatten(-1, (-1, size))
        value = own[prompt.key_at, head // (lm.geometry.n_heads // own.shape[1])]
        states[0, -1, head] = (states[0, -1, head] - weight * value) / (1 - weight)
        return states

    expected = plain(hooked(name, place, without), prompt.tokens)
    (ours,) = answers_without(lm, prompt, [[(layer, head)]], kind="knock-out")
    assert close(ours, expected[list(prompt.answer_tokens)])


@pytest.mark.parametrize("name", ["bloom (ALiBi)", "mpt (ALiBi)", "falcon (grouped)"])
def test_a_path_that_cannot_be_cut_is_refused(name):
    lm = vouched(name)
    with pytest.raises(UnsupportedModelError, match="keeps its attention's mask to itself"):
        answers_without(lm, asked(lm), [[(1, 1)]], kind="knock-out")


def test_a_path_that_a_window_has_cut_already_is_refused():
    lm = vouched("mistral (window)")
    far = replace(asked(lm), key_at=0)
    with pytest.raises(InputError, match="puzzle 'p1': layer 1 does not look back from the cue"):
        answers_without(lm, far, [[(1, 1)]], kind="knock-out")


def test_a_layer_that_attends_twice_is_refused():
    lm = test_coverage.vouched(TWICE)
    with pytest.raises(UnsupportedModelError, match="layer 1 attends several times"):
        answers_without(lm, asked(lm), [[(1, 1)]], kind="zero")
    with pytest.raises(UnsupportedModelError, match="attends several times"):
        replacements_of(lm, [puzzle()])


def test_query_heads_that_share_a_key_are_switched_off_one_by_one():
    lm = vouched("llama")  # three query heads a key
    answers = answers_without(lm, asked(lm), [[(1, head)] for head in range(6)], kind="zero")
    assert len({row.tobytes() for row in answers}) == 6


def test_outside_of_a_change_and_on_other_threads_nothing_is_changed():
    lm = vouched("llama")
    rows = rows_of([[asked(lm)]])
    ordinary, elsewhere = logits_of(lm.model, lm.geometry, rows), []
    off = Switching([[(0, 0)]], Replacements("zero"), rows.key_at, rows.logits_at, [1])
    with changing(off):
        assert not torch.equal(logits_of(lm.model, lm.geometry, rows), ordinary)
        thread = threading.Thread(
            target=lambda: elsewhere.append(logits_of(lm.model, lm.geometry, rows))
        )
        thread.start()
        thread.join()
    assert torch.equal(elsewhere[0], ordinary)
    assert torch.equal(logits_of(lm.model, lm.geometry, rows), ordinary)
