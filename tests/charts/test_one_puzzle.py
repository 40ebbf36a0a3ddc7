"""Charts of one puzzle: what is drawn where, and that signs say what colours say."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkcore.charts.one_puzzle import (
    COLUMNS,
    own_curve_chart,
    premise_bars,
    puzzle_grid,
    shown,
    strip_places,
    token_strip,
)
from qkcore.charts.theme import CELL
from qkcore.results.one_puzzle import grid_frame
from qkcore.results.scores import Scores
from tests.tiny import puzzle


@pytest.fixture
def grid():
    qk = np.random.default_rng(0).normal(size=(3, 4, 2))
    return grid_frame(Scores(puzzle(answer=0), qk, np.zeros(2)), None, [(0, 1)])


def strip_frame(texts, premises, values=None, key=0):
    n = len(texts)
    frame = pd.DataFrame(
        {"token": range(n), "text": texts, "value": [1.0] * n if values is None else values}
    )
    frame["premise"] = pd.array(premises, dtype="Int64")
    return frame.assign(is_key=frame["token"] == key, in_scale=frame["token"] > 0)


def test_a_premise_from_right_to_left_begins_at_the_right_and_others_at_the_left():
    texts = ["Max", " is", " red.", "\u05de\u05e7\u05e1", " \u05d0\u05d3\u05d5\u05dd."]
    spec = token_strip(strip_frame(texts, [0, 0, 0, 1, 1]), "x").to_dict()
    (words,) = [rows for rows in spec["datasets"].values() if "ink" in rows[0]]
    assert [row["start"] for row in words[:3]] == [0, 3, 6]
    first, second = words[3:]
    assert first["end"] == COLUMNS
    assert second["end"] == first["start"]
    assert second["start"] < second["end"]


def test_the_grid_has_a_sign_in_every_cell_and_a_named_selection(grid):
    spec = puzzle_grid(grid, (2, 3), "Margin").to_dict()
    marks = [
        layer["mark"] if isinstance(layer["mark"], str) else layer["mark"]["type"]
        for layer in spec["layer"]
    ]
    assert marks == ["rect", "text", "text", "rect", "rect"]
    assert spec["params"][0]["name"] == CELL
    assert spec["params"][0]["select"]["fields"] == ["layer", "head"]
    drawn = next(iter(spec["datasets"].values()))
    assert {row["mark"] for row in drawn} == {"+", "−"}


def test_a_grid_of_a_large_model_has_no_signs_and_a_bounded_height():
    qk = np.random.default_rng(0).normal(size=(80, 64, 2)).astype(np.float32)
    frame = grid_frame(Scores(puzzle(answer=0), qk, np.zeros(2)), None)
    chart = puzzle_grid(frame, (0, 0), "Margin")
    assert len(chart.layer) == 3
    assert chart.height <= 1_060


def test_each_premise_begins_a_line_and_the_break_after_the_last_does_not():
    texts = ["Context", ":", " Max", " is", " red", ".", " Rex", " too", ".", "\n", "Answer", ":"]
    premises = [None, None, 0, 0, 0, 0, 1, 1, 1, None, None, None]
    lines = [line for line, _, _ in strip_places(texts, premises)]
    assert lines == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3]


@given(
    st.lists(
        st.tuples(st.text(max_size=30), st.none() | st.integers(0, 3)), min_size=1, max_size=60
    )
)
def test_boxes_of_a_line_never_overlap_and_lines_are_full_at_most(tokens):
    texts, premises = zip(*tokens, strict=True)
    places = list(strip_places(texts, premises))
    for (line, _, end), (next_line, start, next_end) in pairwise(places):
        assert (
            (next_line, start) == (line, end)
            if next_line == line
            else (next_line, start) == (line + 1, 0)
        )
        assert start <= next_end <= COLUMNS


def test_what_cannot_be_seen_is_drawn_as_something_that_can():
    assert shown("\x1b[31m") == "\ufffd[31m"
    assert shown("<b>*x*</b>") == "<b>*x*</b>"
    assert shown("🙂") == "🙂"
    assert len(shown("a" * 100_000)) == 20


def test_the_first_token_is_drawn_without_colour_and_out_of_the_scale():
    spec = token_strip(
        strip_frame(["Max", " is", " red"], [0, 0, 0], [-900.0, 2.0, -1.0]), "Products"
    ).to_dict()
    tint = spec["layer"][0]
    assert tint["encoding"]["color"]["scale"]["domain"] == [-2.0, 2.0]
    assert [row["token"] for row in spec["datasets"][tint["data"]["name"]]] == [1, 2]
    ringed = spec["datasets"][spec["layer"][1]["data"]["name"]]
    assert [row["token"] for row in ringed] == [0]


def test_values_that_are_all_zero_still_have_a_scale():
    spec = token_strip(strip_frame(["a", "b"], [None, None], [0.0, 0.0]), "Products").to_dict()
    low, high = spec["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert low < high


def test_premises_of_the_proof_are_marked_by_shape():
    frame = pd.DataFrame(
        {
            "premise": [1, 2],
            "sentence": ["A.", "B." * 60],
            "value": [1.0, -2.0],
            "role": ["in the proof", "not in it"],
        }
    )
    spec = premise_bars(frame, "Sum").to_dict()
    points = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "point")
    assert points["mark"]["shape"] == "diamond"
    assert [row["premise"] for row in spec["datasets"][points["data"]["name"]]] == [1]


def test_the_curve_keeps_one_shape_for_each_who():
    frame = pd.DataFrame(
        {"who": ["model", "head"] * 2, "n_added": [0, 0, 1, 1], "n": 1, "share_right": [1, 0, 1, 1]}
    )
    spec = own_curve_chart(frame, {"model": "model", "head": "L1 H2", "vote": "vote"}).to_dict()
    scale = spec["layer"][1]["encoding"]["shape"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        "L1 H2": "circle",
        "model": "square",
    }
