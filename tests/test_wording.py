import pandas as pd
import pytest

from qkcore.wording import WORD_JOINER, escaped, set_names, short_names, visible


@pytest.mark.parametrize(
    "text", ["see https://evil.example/a", "www.evil.example", "write to a@b.example"]
)
def test_addresses_in_typed_text_are_no_links_but_read_the_same(text):
    shown = escaped(text)
    assert WORD_JOINER in shown
    assert shown.replace(WORD_JOINER, "").replace("\\", "") == text


@pytest.mark.parametrize("sign", ["\u202e", "\u2067", "\u200f"])
def test_signs_that_turn_the_direction_of_writing_are_spelt_out(sign):
    assert visible(f"true{sign}") == f"true\\u{ord(sign):04x}"
    assert sign not in escaped(f"true{sign}")


def test_letters_of_scripts_from_right_to_left_stay_as_typed():
    assert visible("מקס הוא חתול") == "מקס הוא חתול"


@pytest.mark.parametrize(
    "path",
    [
        "/srv/models/secret/SmolLM2-135M-Instruct.Q4_1.gguf",
        r"C:\models\secret\SmolLM2-135M-Instruct.Q4_1.gguf",
        "/srv/secret/hub/models--HuggingFaceTB--SmolLM2-135M-Instruct/snapshots/12fd25f",
        "secret/SmolLM2-135M-Instruct-GGUF:SmolLM2-135M-Instruct-Q8_0.gguf",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    ],
)
def test_a_model_is_called_by_its_own_name_wherever_it_lies(path):
    assert short_names([path]) == {path: "SmolLM2-135M-Instruct"}


def test_models_of_one_name_are_told_apart_without_showing_a_folder():
    names = ["/srv/one/m", "/srv/two/m", "ann/m", "m.Q4_1"]
    found = short_names(names)
    assert len(set(found.values())) == 4
    assert "srv" not in "".join(found.values())
    assert found["ann/m"] == "ann/m"
    assert found["m.Q4_1"] == "m.Q4_1"


def test_a_name_is_never_shortened_to_nothing():
    for name in ("Q4_1", ".gguf", "/", "f16.gguf", "GGUF", "x"):
        assert short_names([name])[name], name


def test_a_twin_is_named_by_its_parent_wherever_that_is():
    columns = ["puzzle_set", "puzzle_set_sha256", "twin_of"]
    there = pd.DataFrame([("pararule-plus-twin", "b", "a"), ("pararule-plus", "a", None)])
    gone = pd.DataFrame([("prontoqa-twin", "b", "a")])
    assert set_names(there.set_axis(columns, axis=1)) == {
        "pararule-plus-twin": "PARARULE-Plus, twin",
        "pararule-plus": "PARARULE-Plus",
    }
    assert set_names(gone.set_axis(columns, axis=1)) == {"prontoqa-twin": "PrOntoQA, twin"}


def test_two_twins_of_one_set_have_names_of_their_own():
    columns = ["puzzle_set", "puzzle_set_sha256", "twin_of"]
    runs = pd.DataFrame([("s", "a", None), ("s-twin", "b", "a"), ("s-other", "c", "a")])
    assert set_names(runs.set_axis(columns, axis=1)) == {
        "s": "s",
        "s-twin": "s-twin",
        "s-other": "s-other",
    }
