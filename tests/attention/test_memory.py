"""What is told of a model before it is loaded."""

import torch

from qkcore.asking.known_words import unknown_words
from qkcore.attention.load import load_model
from qkcore.attention.memory import memory_needed


def test_the_memory_needed_is_that_of_the_parameters_in_float32(tiny_folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    assert memory_needed(tiny_folder) == 4 * sum(one.numel() for one in model.parameters())


def test_the_bundled_model_needs_what_its_card_says():
    model = load_model("data/reference").model
    assert memory_needed("data/reference") == 4 * sum(one.numel() for one in model.parameters())


def test_a_folder_that_cannot_be_read_has_no_size(tmp_path):
    assert memory_needed(tmp_path / "gone") is None
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    assert memory_needed(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    assert memory_needed(tmp_path) is None


def test_all_unknown_words_are_listed_with_near_ones():
    found = unknown_words(
        "data/reference", "Max is a wompus. Every wompus is a Dragon. Max is hapy."
    )
    assert list(found) == ["wompus", "Dragon", "hapy"]
    assert "wumpus" in found["wompus"]
    assert found["Dragon"] == []
    assert found["hapy"][0] == "happy"


def test_a_model_without_a_list_of_words_knows_all_as_far_as_anybody_said(tiny_folder):
    assert unknown_words(tiny_folder, "Dragons!") == {}
