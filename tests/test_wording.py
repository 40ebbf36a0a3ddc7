import pytest

from qkcore.wording import WORD_JOINER, escaped, visible


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
