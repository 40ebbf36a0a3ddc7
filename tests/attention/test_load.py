import json
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoModelForCausalLM
from transformers.models.auto import CONFIG_MAPPING
from transformers.utils import logging

from qkcore.attention import load, recording
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import load_model, vouch_for
from tests.tiny import tiny_model, tiny_tokenizer


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "tiny"
    tiny_model("qwen3").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_saved_model_loads_with_its_geometry_and_check(saved):
    lm = load_model(saved)
    assert (lm.geometry.n_layers, lm.geometry.n_heads, lm.geometry.n_kv_heads) == (3, 4, 1)
    assert (lm.name, lm.dtype) == ("tiny", "float32")
    assert max(lm.check.attention, lm.check.rotation, lm.check.raw, lm.check.rows) < 1e-4


def test_the_revision_follows_the_weights_and_not_the_folder(saved, tmp_path):
    before = load_model(saved).revision
    moved = saved.rename(tmp_path / "elsewhere")
    assert load_model(moved).revision == before
    tiny_model("qwen3", seed=1).save_pretrained(moved)
    assert load_model(moved).revision != before


def test_a_folder_loads_without_a_progress_bar_and_downloads_keep_theirs(saved, capfd):
    logging.enable_progress_bar()
    load_model(saved)
    assert not capfd.readouterr().err
    assert logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    load_model(saved)
    assert not logging.is_progress_bar_enabled()
    logging.enable_progress_bar()


def test_half_precision_is_loaded_when_asked_for(saved):
    assert load_model(saved, dtype="bfloat16").dtype == "bfloat16"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be loaded"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"not tensors"),
            "cannot be loaded",
        ),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer|cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (
            lambda folder: (folder / "config.json").write_text(
                '{"model_type": "qwen3", "hidden_size": "many"}'
            ),
            "cannot be loaded",
        ),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(saved, spoil, message):
    spoil(saved)
    with pytest.raises(UnsupportedModelError, match=message) as refusal:
        load_model(saved)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(saved, device):
    with pytest.raises(UnsupportedModelError, match=f"device '{device}'"):
        load_model(saved, device=device)


def test_pickled_weights_are_refused(saved):
    torch.save(tiny_model("qwen3").state_dict(), saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModelError, match="safetensors"):
        load_model(saved)


def test_missing_weights_are_refused_instead_of_made_up(saved):
    config = json.loads((saved / "config.json").read_text())
    config["num_hidden_layers"] = 4
    config.pop("layer_types", None)
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UnsupportedModelError, match=r"weights are missing .*layers\.3.*would be random"
    ):
        load_model(saved)


def test_a_path_that_does_not_exist_is_not_looked_up_on_the_hub(tmp_path):
    with pytest.raises(UnsupportedModelError, match="is not a folder"):
        load_model(tmp_path / "nowhere")


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"tokenizer has \d+ tokens, the model only 50"):
        vouch_for(tiny_model("llama", vocab_size=50), tiny_tokenizer(), "tiny")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (dict(model_type="mamba", num_hidden_layers=2), "no softmax attention"),
        (
            dict(model_type="xglm", d_model=32, num_layers=2, attention_heads=4, ffn_dim=32),
            "attention function be set",
        ),
    ],
)
def test_architectures_that_cannot_be_read_are_refused(config, reason):
    made = CONFIG_MAPPING[config.pop("model_type")](vocab_size=420, hidden_size=32, **config)
    with pytest.raises(UnsupportedModelError, match=reason):
        vouch_for(AutoModelForCausalLM.from_config(made), tiny_tokenizer(), "tiny")


def test_a_misread_model_is_refused_by_the_self_check(monkeypatch):
    """Keys read one token too early: every score would be a number, and wrong."""
    honest = recording.read_at
    monkeypatch.setattr(
        recording, "read_at", lambda states, at, axis: honest(states, (at - 1).clamp_min(0), axis)
    )
    with pytest.raises(
        UnsupportedModelError, match=r"not read rightly: attention rebuilt .* differs"
    ):
        vouch_for(tiny_model("llama"), tiny_tokenizer(), "tiny")


def test_heads_mixed_up_before_rotary_are_refused_by_the_self_check(monkeypatch):
    honest = recording.Recording.note_rotation

    def mixed_up(self, which, given, returned, token_axis):
        honest(self, which, given.roll(1, dims=1), returned, token_axis)

    monkeypatch.setattr(recording.Recording, "note_rotation", mixed_up)
    with pytest.raises(UnsupportedModelError, match="not the same before and after rotary"):
        vouch_for(tiny_model("llama"), tiny_tokenizer(), "tiny")


def test_states_that_pass_for_those_before_rotary_and_are_not_are_never_scored_as_such(monkeypatch):
    """A rotary function that nobody saw.

    What is read is rotated already, and must not go by the name of "pre".
    """
    monkeypatch.setattr(recording.Recording, "note_rotation", lambda *_, **__: None)
    lm = vouch_for(tiny_model("llama"), tiny_tokenizer(), "tiny")
    assert "pre" not in lm.geometry.ropes
    unturned = vouch_for(tiny_model("gpt2"), tiny_tokenizer(), "tiny")
    assert unturned.geometry.ropes == ("raw", "pre", "post")


def test_a_model_that_fails_on_the_short_text_is_refused_in_one_line():
    model = tiny_model("llama")
    model.model.layers[1].self_attn.o_proj = torch.nn.Linear(3, 3)
    with pytest.raises(UnsupportedModelError, match="fails the self-check's short text") as refusal:
        vouch_for(model, tiny_tokenizer(), "tiny")
    assert "\n" not in str(refusal.value)


def test_the_model_stays_usable_and_unrecorded_outside_of_capture(saved):
    lm = load_model(saved)
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = tiny_model("qwen3")
    with torch.no_grad():
        assert torch.allclose(lm.model(ids).logits, plain(ids).logits, atol=1e-4)


@pytest.fixture
def hub(monkeypatch):
    """Counts the questions to the hub.

    Each gets the next of the answers (the last one again and again).
    """
    asked, answers = [], []

    def metadata(url, **_):
        asked.append(url)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    went_on = lambda *_, **__: pytest.fail("went on to load")  # noqa: E731
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", went_on)
    return asked, answers


def test_a_name_that_cannot_be_looked_up_is_refused_after_two_questions(hub):
    asked, answers = hub
    answers.append(ConnectionError("Name or service not known\nand more"))
    with pytest.raises(
        UnsupportedModelError, match=r"no folder nobody/typo, .*not known\); check the name"
    ) as refusal:
        load_model("nobody/typo")
    assert len(asked) == 2
    assert asked[0].endswith("nobody/typo/resolve/main/config.json")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("second", ["found", "refused by the hub"])
def test_one_hiccup_of_the_network_does_not_keep_a_model_from_loading(hub, monkeypatch, second):
    asked, answers = hub
    answer = None if second == "found" else HfHubHTTPError("gone", response=httpx_response(404))
    answers.extend([ConnectionError("reset"), answer])
    monkeypatch.setattr(
        load, "load_pretrained", lambda model, *_: (_ for _ in ()).throw(KeyError("loading"))
    )
    with pytest.raises(KeyError, match="loading"):
        load_model("nobody/typo")
    assert len(asked) == 2


def httpx_response(status):
    return SimpleNamespace(status_code=status, headers={}, request=None, url="", reason="", text="")


def test_a_model_in_the_cache_is_loaded_without_asking(hub, monkeypatch):
    asked, _ = hub
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "config.json")
    monkeypatch.setattr(
        load, "load_pretrained", lambda model, *_: (_ for _ in ()).throw(KeyError("loading"))
    )
    with pytest.raises(KeyError, match="loading"):
        load_model("somebody/known")
    assert not asked
