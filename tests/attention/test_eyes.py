"""Checkpoints that see are scored as the complete model reads text, and no tower is in memory."""

import json

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from qkcore.__main__ import main
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import load_model
from qkcore.attention.memory import memory_needed
from qkcore.attention.pretrained import load_pretrained
from qkcore.attention.text_part import LeftOut
from qkcore.scoring.score import prompts_of, score_puzzle
from tests.attention.architectures import logits_of_weights
from tests.attention.eyed_models import (
    AFTER_ONLY,
    SEEING,
    query_and_key,
    seeing,
    text_attentions,
)
from tests.attention.test_coverage import at_key, to_logit
from tests.tiny import close, puzzle, tiny_tokenizer

CANDIDATES = ("true", "false yes")  # one token and several


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of each type, as its authors would save it, by type."""
    folders = {}
    for name in SEEING:
        folders[name] = tmp_path_factory.mktemp("seeing") / name
        seeing(name).save_pretrained(folders[name])
        tiny_tokenizer().save_pretrained(folders[name])
    return folders


@pytest.fixture(scope="module")
def loaded(saved):
    """Each of them as it is scored, loaded when it is first asked for."""
    made = {}

    def load(name):
        if name not in made:
            made[name] = load_model(saved[name], device="cpu")
        return made[name]

    return load


def read_alone(model, ids, **options):
    """(inputs of the text's attention modules, output) of a complete model given text only."""
    inputs, handles = [], []
    for module in text_attentions(model):

        def note(_module, args, kwargs):
            inputs.append((args[0] if args else kwargs["hidden_states"])[0])

        handles.append(module.register_forward_pre_hook(note, with_kwargs=True))
    with torch.no_grad():
        output = model(input_ids=torch.tensor([ids]), use_cache=False, **options)
    for handle in handles:
        handle.remove()
    return inputs, output


@pytest.mark.parametrize("name", SEEING)
def test_what_is_loaded_gives_the_logits_of_the_complete_model_given_text(name, saved):
    model = load_pretrained(str(saved[name]), torch.float32, "cpu").model.eval()
    ids = list(range(2, 40))
    with torch.no_grad():
        ours = model(input_ids=torch.tensor([ids])).logits
    assert close(ours, read_alone(seeing(name), ids)[1].logits)


@pytest.mark.parametrize("name", SEEING)
def test_no_tower_is_in_memory_and_the_estimate_says_so(name, saved):
    loaded = load_pretrained(str(saved[name]), torch.float32, "cpu")
    here = sum(weight.numel() for weight in loaded.model.parameters())
    complete = seeing(name)
    towers = sum(
        weight.numel()
        for key, weight in complete.named_parameters()
        if any(word in key for word in ("vision_tower", "vision_model", "visual", "projector"))
    )
    assert towers > 0
    assert here == sum(weight.numel() for weight in complete.parameters()) - towers
    assert loaded.left_out == ("vision",)
    kept = {one.data_ptr(): one.numel() for one in loaded.model.state_dict().values()}
    assert memory_needed(saved[name]) == 4 * sum(kept.values())


@pytest.mark.parametrize("name", [name for name in SEEING if name not in AFTER_ONLY])
def test_scores_before_rotary_are_those_of_the_complete_models_weights(name, loaded):
    lm, complete, asked = loaded(name), seeing(name), puzzle(candidates=CANDIDATES)
    (prompt,) = prompts_of(lm, [asked])
    ours = score_puzzle(lm, asked)
    for index, ids in enumerate(prompt.candidates):
        inputs, output = read_alone(complete, prompt.tokens + ids)
        modules = text_attentions(complete)
        for layer, (module, x) in enumerate(zip(modules, inputs, strict=True)):
            query, key = query_and_key(module, x, complete.config.get_text_config())
            key = key[prompt.key_at].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
            expected = (query[-1] * key).sum(-1).detach()
            assert close(ours.qk[layer, :, index], expected), f"layer {layer}"
        assert close(ours.logits[index], output.logits[0, len(prompt.tokens) - 1, ids[0]])


@pytest.mark.parametrize("name", SEEING)
def test_scores_after_rotary_are_what_the_complete_models_weights_come_from(name, loaded):
    """Between two keys of a row, log weights differ by scaling * (score - score)."""
    lm, complete = loaded(name), seeing(name, attn_implementation="eager")
    (prompt,) = prompts_of(lm, [puzzle(candidates=CANDIDATES)])
    positions = [len(prompt.tokens) - 1, len(prompt.tokens) - 3]  # inside of every window
    scores = {at: at_key(lm, prompt, at) for at in positions}
    for index, ids in enumerate(prompt.candidates):
        _, output = read_alone(complete, prompt.tokens + ids, output_attentions=True)
        for layer, weights in enumerate(output.attentions):
            logs = logits_of_weights(weights[0, :, -1])
            expected = logs[:, positions[0]] - logs[:, positions[1]]
            first, second = (to_logit(lm, layer, scores[at][layer, :, index]) for at in positions)
            assert close(first - second, expected), f"layer {layer}"


def test_check_says_what_is_left_out(saved, capsys):
    assert main(["check", "--model", str(saved["qwen3_vl"])]) == 0
    said = capsys.readouterr().out
    assert "reads: text only; its part for vision is not loaded" in said
    assert "(qwen3_vl_text)" in said


def test_the_chat_template_of_an_older_checkpoints_processor_is_found(saved):
    folder = saved["qwen2_5_vl"]
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_model(folder).tokenizer.chat_template == template


def test_a_checkpoint_that_sees_and_does_not_write_is_refused_in_one_sentence(tmp_path):
    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    text = sizes | dict(vocab_size=420)
    vision = sizes | dict(image_size=28, patch_size=14)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    CLIPModel(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="cannot be loaded as a causal language model"):
        load_model(tmp_path)


def test_a_part_that_is_left_out_says_so_when_it_is_needed():
    with pytest.raises(RuntimeError, match="needs its part for images or sound to read text"):
        LeftOut()(torch.zeros(1))
