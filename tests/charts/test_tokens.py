"""The prompt as it is drawn: what stands where, at any width, and what a click selects."""

import json
from itertools import pairwise

import pandas as pd
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from qkcore.charts.theme import CELL
from qkcore.charts.tokens import (
    MAX_WORD,
    blocks_of,
    measured,
    shown,
    text_width,
    token_strip,
)

PROMPT = ["Context", ":", " Max", " is", " a", " wump", "us", ".", " Rex", " is", " red", ".", "\n"]
PREMISES = [None, None, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, None]
HEBREW = ["\u05de\u05e7\u05e1", " \u05d0\u05d3\u05d5\u05dd", "."]


def strip_frame(texts, premises, values=None, key=0):
    n = len(texts)
    frame = pd.DataFrame(
        {"token": range(n), "text": texts, "value": [1.0] * n if values is None else values}
    )
    frame["premise"] = pd.array(premises, dtype="Int64")
    return frame.assign(is_key=frame["token"] == key, in_scale=True)


def marks_of(frame, width, kind):
    """What Vega places at a width: of all tokens' boxes ("rect"), or words ("text")."""
    spec = token_strip(frame, "x").properties(width=width, autosize={"type": "none"}).to_dict()
    scene = vl_convert.vegalite_to_scenegraph(spec)
    scene = json.loads(scene) if isinstance(scene, str) else scene
    found = []

    def walk(node):
        if node.get("marktype") == kind and str(node.get("name", "")).endswith("_marks"):
            found.append(node["items"])
        for item in node.get("items", []):
            walk(item)

    walk(scene["scenegraph"])
    return found[0]


def lines_of(boxes):
    """(x, end) of the boxes of each line, from above."""
    lines = {}
    for box in boxes:
        lines.setdefault(round(box["y"]), []).append((box["x"], box["x"] + box["width"]))
    return [sorted(lines[y]) for y in sorted(lines)]


@pytest.mark.parametrize("width", [200, 340, 900])
def test_tokens_of_a_line_stand_side_by_side_within_the_width(width):
    frame = strip_frame(PROMPT * 3, [*PREMISES, *[None] * 2 * len(PROMPT)])
    lines = lines_of(marks_of(frame, width, "rect"))
    assert sum(map(len, lines)) == len(frame)
    for line in lines:
        assert line[0][0] == pytest.approx(0, abs=1e-6)
        for (_, end), (start, _) in pairwise(line):
            assert start == pytest.approx(end, abs=1e-6)
        assert line[-1][1] <= width


def test_every_premise_begins_a_line_and_no_word_is_parted():
    lines = lines_of(marks_of(strip_frame(PROMPT, PREMISES), 900, "rect"))
    assert list(map(len, lines)) == [2, 6, 5]
    texts = ["Max", " is", " a", " rather", " tall", " wump", "us", "."]
    boxes = marks_of(strip_frame(texts, [0] * 8), 170, "rect")
    lines = [round(box["y"]) for box in boxes]
    assert lines == sorted(lines)
    assert lines[0] < lines[5] == lines[6] == lines[7]


def test_a_premise_from_right_to_left_begins_at_the_right_and_others_at_the_left():
    frame = strip_frame(["Max", " is", " red.", *HEBREW], [0, 0, 0, 1, 1, 1])
    boxes = marks_of(frame, 500, "rect")
    assert boxes[0]["x"] == 0
    first, second, last = boxes[3:]
    assert first["x"] + first["width"] == pytest.approx(500)
    assert second["x"] + second["width"] == pytest.approx(first["x"])
    assert last["x"] + last["width"] == pytest.approx(second["x"])


def test_text_is_of_the_pages_own_type_and_none_is_monospaced():
    spec = token_strip(strip_frame(PROMPT, PREMISES), "x").to_dict()
    assert "monospace" not in str(spec)
    (words,) = [one for one in spec["layer"] if one["mark"]["type"] == "text"]
    assert "font" not in words["mark"]


def test_a_click_selects_the_tokens_premise_and_hovering_tells_the_value():
    spec = token_strip(strip_frame(PROMPT, PREMISES), "x").to_dict()
    (select,) = spec["params"]
    assert (select["name"], select["select"]["fields"]) == (CELL, ["premise"])
    for layer in spec["layer"]:
        assert [one["field"] for one in layer["encoding"]["tooltip"]] == ["drawn", "value"]


def test_the_break_after_the_last_premise_begins_no_line():
    texts = ["Context", ":", " Max", " is", " red", ".", " Rex", " too", ".", "\n", "Answer", ":"]
    premises = [None, None, 0, 0, 0, 0, 1, 1, 1, None, None, None]
    assert blocks_of(texts, premises) == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.text(max_size=30), st.none() | st.integers(0, 3)), min_size=1, max_size=60
    )
)
def test_words_begin_where_a_token_does_and_none_is_longer_than_a_line_can_be(tokens):
    texts, premises = zip(*tokens, strict=True)
    frame = measured(strip_frame(texts, list(premises)))
    assert (frame["word"] <= frame["within"]).all()
    ends = frame["within"] + frame["wide"]
    for block, own in frame.groupby("block"):
        assert set(own["word"]) <= set(own["within"]), block
    longest = max(MAX_WORD, frame["wide"].max())
    assert (ends - frame["word"]).max() <= longest + 1e-6
    assert frame["longest"].iloc[0] == pytest.approx((ends - frame["word"]).max())


def test_widths_are_those_of_source_sans():
    # 16 px: "Max is a wumpus." as Chromium measures it, within a pixel
    assert text_width("Max is a wumpus.") == pytest.approx(116.9, abs=1)
    assert text_width("\u5bd2") == 16
    assert text_width("e\u0301") == text_width("e")


def test_what_cannot_be_seen_is_drawn_as_something_that_can():
    assert shown("\x1b[31m") == "\ufffd[31m"
    assert shown("<b>*x*</b>") == "<b>*x*</b>"
    assert shown("🙂") == "🙂"
    assert len(shown("a" * 100_000)) == 20


def test_a_token_out_of_the_scale_is_drawn_without_colour():
    frame = strip_frame(["Max", " is", " red"], [0, 0, 0], [-900.0, 2.0, -1.0])
    frame = frame.assign(in_scale=frame["token"] > 0)
    spec = token_strip(frame, "Products").to_dict()
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [-2.0, 2.0]
    assert len(marks_of(frame, 500, "rect")) == 2
    assert len(marks_of(frame, 500, "text")) == 3


def test_values_that_are_all_zero_still_have_a_scale():
    spec = token_strip(strip_frame(["a", "b"], [None, None], [0.0, 0.0]), "Products").to_dict()
    low, high = spec["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert low < high
