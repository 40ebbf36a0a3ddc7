"""The lens after the last layer is the model's own answer, whatever the model does to get there.

Every family: bit for bit where the whole output matrix is multiplied in the same shape, to rounding
where only the answers' rows are. What it says after earlier layers is compared with a model that
was really cut short.
"""

from functools import cache

import pytest
import torch
from transformers import AutoModelForCausalLM

from qkcore.attention.capture import capture
from qkcore.attention.continued import capture_apart
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.lens import find_lens
from qkcore.attention.load import vouch_for
from qkcore.attention.rows import rows_of
from qkcore.scoring.score import prompts_of
from tests.attention.architectures import DIFFERING, POST_ONLY, SUPPORTED, made
from tests.attention.eyed_models import SEEING, seeing
from tests.attention.hybrids import HYBRIDS
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

FAMILIES = SUPPORTED | DIFFERING | POST_ONLY | HYBRIDS
STATEMENTS = ("Max is metallic.", "Max is not a wumpus.", "Tumpuses are a.")


@cache
def tokenizer():
    return tiny_tokenizer()


def read(lm, statements=STATEMENTS):
    """(lens, what a pass over several statements about one context told, their prompts)."""
    prompts = prompts_of(lm, [puzzle(one, puzzle_id=one) for one in statements])
    lens = find_lens(lm.model, lm.geometry, lm.check.tolerance)
    rope = lm.geometry.ropes[-1:]
    if lm.geometry.is_side_by_side:
        found = capture(lm.model, lm.geometry, rows_of([prompts]), rope, layers=lens.layers)
    else:
        found = capture_apart(lm.model, lm.geometry, [prompts], rope, lens.layers)
    return lens, found, prompts


@pytest.mark.parametrize("name", FAMILIES)
def test_after_the_last_layer_the_lens_is_the_models_own_answer(name):
    model_type, config, *_ = FAMILIES[name]
    lm = vouch_for(made(model_type, config), tokenizer(), name)
    lens, found, prompts = read(lm)
    assert found.states.cue.shape[1] == lm.geometry.n_layers
    last = found.states.cue[:, -1]
    # Gemma 3n brings its streams together by matrices, whose rounding depends on how many tokens.
    is_exact = "gemma3n" not in name
    assert torch.equal(lens.logits(last), found.logits) or not is_exact
    assert float((lens.logits(last) - found.logits).abs().max()) < 1e-5
    answers = torch.tensor(sorted(set(prompts[0].answer_tokens)))
    some = lens.logits(last, answers)
    scale = float(found.logits.abs().max())
    assert float((some - found.logits[..., answers]).abs().max()) < 1e-5 * scale
    assert not close(lens.logits(found.states.cue[:, 0]), found.logits)


@pytest.mark.parametrize("model_type", SEEING)
def test_the_part_that_reads_text_has_a_lens_too(model_type):
    lm = vouch_for(seeing(model_type), tokenizer(), model_type)
    lens, found, _ = read(lm)
    assert torch.equal(lens.logits(found.states.cue[:, -1]), found.logits)


# One that ties its output matrix to its embeddings, and one that does not; soft-capped; with a
# bias; scaled; with a layer of its own before the output matrix.
CUT = {
    "tied": ("llama", dict(tie_word_embeddings=True)),
    "untied": ("llama", dict(tie_word_embeddings=False)),
    "soft-capped": ("gemma2 (soft cap, window)", {}),
    "scaled": ("cohere", {}),
    "divided": ("granite", dict(logits_scaling=8.0)),
    "with a bias": ("gptj (partial rotary)", {}),
    "post-norm": ("olmo2 (norm over all heads)", {}),
    "own path": ("bloom (ALiBi)", {}),
    "with a head of its own": ("modernbert-decoder (window)", {}),
}


@pytest.mark.parametrize("kind", CUT)
def test_the_lens_after_a_layer_is_the_answer_of_a_model_cut_off_there(kind):
    name, changes = CUT[kind]
    model_type, config, *_ = SUPPORTED[name]
    model = made(model_type, config | changes)
    lm = vouch_for(model, tokenizer(), kind)
    lens, found, (prompt,) = read(lm, STATEMENTS[:1])
    for layer in range(lm.geometry.n_layers):
        fresh = made(model_type, config | changes)
        fresh.load_state_dict(model.state_dict())
        expected = cut_after(fresh, layer, prompt.tokens)
        ours = lens.logits(found.states.cue[:, layer])[0, 0]
        assert close(ours, expected), f"layer {layer}"


def cut_after(model, layer, tokens):
    """(vocabulary,) the last token's logits of a model without its later layers."""
    lists = [
        (owner, name, layers)
        for owner in model.modules()
        for name, layers in owner.named_children()
        if isinstance(layers, torch.nn.ModuleList) and len(layers) == 3
    ]
    ((owner, name, layers),) = lists
    setattr(owner, name, layers[: layer + 1])
    config = model.config.get_text_config()
    config.num_hidden_layers = layer + 1
    with torch.no_grad():
        ids = torch.tensor([tokens])
        return model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1]


def test_whether_weights_are_tied_is_what_the_test_above_says():
    tied, untied = (
        AutoModelForCausalLM.from_config(made("llama", SUPPORTED["llama"][1] | CUT[kind][1]).config)
        for kind in ("tied", "untied")
    )
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    assert untied.lm_head.weight is not untied.model.embed_tokens.weight


def test_a_model_is_as_it_was_when_the_lens_has_been_read():
    lm = vouch_for(tiny_model("llama"), tokenizer(), "tiny")
    lens, found, prompts = read(lm)
    lens.logits(found.states.cue[:, 0], torch.tensor(prompts[0].answer_tokens))
    assert not [module for module in lm.model.modules() if "forward" in vars(module)]
    again = capture(lm.model, lm.geometry, rows_of([prompts]))
    assert again.states is None
    assert torch.equal(again.logits, found.logits)


class Sideways(torch.nn.Module):
    """A norm that also knows something that no layer returned: whether one has attended."""

    def __init__(self, model):
        super().__init__()
        self.norm, self.has_attended = model.model.norm, False
        model.model.layers[0].self_attn.register_forward_hook(self.note)

    def note(self, *_):
        self.has_attended = True

    def forward(self, hidden):
        found = self.norm(hidden) if self.has_attended else self.norm(hidden) + 1.0
        self.has_attended = False
        return found


def test_a_model_that_answers_from_more_than_its_last_state_has_no_lens_and_says_so():
    model = tiny_model("llama")
    model.model.norm = Sideways(model)
    lm = vouch_for(model, tokenizer(), "sideways")
    with pytest.raises(UnsupportedModelError, match=r"'llama' has no lens: .* differs .* by \d"):
        find_lens(lm.model, lm.geometry, lm.check.tolerance)


def test_a_model_whose_layers_stand_in_no_list_has_no_lens_and_says_so():
    lm = vouch_for(tiny_model("llama"), tokenizer(), "tiny")
    lm.model.model.layers.append(lm.model.model.layers[0])
    with pytest.raises(UnsupportedModelError, match="its 3 layers do not stand in a list"):
        find_lens(lm.model, lm.geometry, lm.check.tolerance)
