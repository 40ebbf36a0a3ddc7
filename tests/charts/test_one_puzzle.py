"""Charts of one puzzle: what is drawn where, and that signs say what colours say."""

import numpy as np
import pandas as pd
import pytest
import vl_convert

from qkcore.charts.one_puzzle import (
    own_curve_chart,
    premise_bars,
    puzzle_grid,
)
from qkcore.charts.paper import paper_figure
from qkcore.charts.theme import CELL
from qkcore.results.one_puzzle import grid_frame
from qkcore.results.scores import Scores
from tests.tiny import puzzle


@pytest.fixture
def grid():
    qk = np.random.default_rng(0).normal(size=(3, 4, 2))
    return grid_frame(Scores(puzzle(answer=0), qk, np.zeros(2)), None, [(0, 1)])


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


def test_on_paper_the_grid_names_its_head_and_who_votes(grid):
    svg = paper_figure(puzzle_grid(grid, (2, 3), "Margin"), about="tiny on one puzzle")
    for words in ("Margins of every head on one puzzle", "L2 H3", "heads that vote"):
        assert words in svg
    assert "heads that vote" not in paper_figure(
        puzzle_grid(grid.assign(is_known_good=False), (2, 3), "Margin")
    )


def test_premises_of_the_proof_are_marked_by_shape():
    frame = pd.DataFrame(
        {
            "premise": [1, 2],
            "sentence": ["A.", "B." * 60],
            "value": [1.0, -2.0],
            "role": ["in the proof", "not in it"],
        }
    )
    chart = premise_bars(frame, "Sum")
    assert "premises of the proof" in paper_figure(chart)
    spec = chart.to_dict()
    points = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "point")
    assert points["mark"]["shape"] == "diamond"
    assert [row["premise"] for row in spec["datasets"][points["data"]["name"]]] == [1]


def test_ticks_of_sums_are_plain_numbers_however_large():
    for value, tick in ((23.0, "20"), (41_000.0, "40,000"), (0.0041, "0.004")):
        frame = pd.DataFrame(
            {"premise": [1], "sentence": ["A."], "value": [value], "role": ["not in it"]}
        )
        picture = vl_convert.vegalite_to_svg(premise_bars(frame, "Sum").to_dict())
        assert f">{tick}<" in picture
        assert "e+" not in picture.split("</style>")[-1]


def test_a_premise_is_named_in_full_while_it_is_short():
    sentence = "Every wumpus is a tumpus today."
    frame = pd.DataFrame({"premise": [1], "sentence": [sentence], "value": [1.0], "role": [""]})
    assert sentence in vl_convert.vegalite_to_svg(premise_bars(frame, "Sum").to_dict())


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
