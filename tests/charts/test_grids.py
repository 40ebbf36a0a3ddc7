import pandas as pd
import pytest
from altair.utils.schemapi import SchemaValidationError

from qkcore.charts.curves import difficulty_curves
from qkcore.charts.grids import head_grid
from qkcore.charts.one_puzzle import puzzle_grid

NO_HEADS = {"value": "no heads"}
WHO = ("L0 H1", "model")

HEADS = pd.DataFrame(
    {
        "layer": [0, 0],
        "head": [0, 1],
        "accuracy": [0.5, 0.9],
        "low": [0.4, 0.8],
        "high": [0.6, 0.95],
        "n": [100, 100],
    }
)
CURVES = pd.DataFrame(
    {
        "who": list(WHO),
        "steps": [2, 2],
        "accuracy": [0.9, 0.7],
        "low": [0.8, 0.6],
        "high": [0.95, 0.8],
        "n": [100, 100],
    }
)


def test_the_grids_neutral_colour_is_chance_and_its_ends_are_fixed():
    scale = head_grid(HEADS, 0.25, None).to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert (scale["domain"], scale["domainMid"]) == ([0, 1], 0.25)


def test_hovering_a_cell_gives_the_exact_value_with_n():
    (data,) = head_grid(HEADS, 0.5, None).to_dict()["datasets"].values()
    assert [row["text"].replace("\xa0", " ") for row in data] == [
        "50.0 % (40.0 to 60.0, n = 100)",
        "90.0 % (80.0 to 95.0, n = 100)",
    ]


@pytest.mark.parametrize("reach", [0.05, 0.4])
def test_stretched_colours_reach_as_far_from_chance_as_some_head_does(reach):
    heads = HEADS.assign(accuracy=[0.5 - reach / 2, 0.5 + reach])
    chart = head_grid(heads, 0.5, None, is_stretched=True).to_dict()
    scale = chart["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == pytest.approx([0.5 - reach, 0.5 + reach])
    assert scale["domainMid"] == 0.5


def test_heads_that_are_all_at_chance_leave_nothing_to_stretch():
    heads = HEADS.assign(accuracy=0.5)
    chart = head_grid(heads, 0.5, None, is_stretched=True).to_dict()
    assert chart["layer"][0]["encoding"]["color"]["scale"]["domain"] == [0, 1]


def test_only_the_chosen_head_is_ringed():
    chart = head_grid(HEADS, 0.5, (0, 1)).to_dict()
    ring = chart["datasets"][chart["layer"][1]["data"]["name"]]
    assert [(row["layer"], row["head"]) for row in ring] == [(0, 1)]


def test_a_click_names_layer_and_head():
    (parameter,) = head_grid(HEADS, 0.5, None).to_dict()["params"]
    assert parameter["name"] == "cell"
    assert parameter["select"]["fields"] == ["layer", "head"]


@pytest.mark.parametrize("draw", ["stored", "live"])
def test_a_layer_without_heads_is_a_row_of_words_and_never_a_colour(draw):
    if draw == "stored":
        chart = head_grid(HEADS, 0.5, (0, 1), absent=(1, 2)).to_dict()
    else:
        one = HEADS.assign(name="", answer="", verdict="", margin=1.0, scaled=1.0, mark="+")
        one["is_known_good"] = False
        chart = puzzle_grid(one, (0, 1), "Margin", absent=(1, 2)).to_dict()
    texts = [layer for layer in chart["layer"] if layer["encoding"].get("text") == NO_HEADS]
    assert [
        [row["layer"] for row in chart["datasets"][layer["data"]["name"]]] for layer in texts
    ] == [[1, 2]]
    for layer in chart["layer"]:
        if "color" in layer["encoding"]:
            rows = chart["datasets"][layer["data"]["name"]]
            assert {row["layer"] for row in rows} == {0}


def test_steps_are_whole_numbers_on_the_axis():
    axis = difficulty_curves(CURVES, pd.DataFrame(), 0.5, WHO[0]).to_dict()["layer"][2]["encoding"][
        "x"
    ]["axis"]
    assert (axis["format"], axis["values"]) == ("d", [2])


def test_head_and_model_differ_by_shape_too():
    chart = difficulty_curves(
        CURVES, pd.DataFrame({"steps": [2], "q95": [0.6]}), 0.5, WHO[0]
    ).to_dict()
    shapes = [
        layer["encoding"]["shape"]["scale"]
        for layer in chart["layer"]
        if "shape" in layer.get("encoding", {})
    ]
    assert shapes == [{"domain": list(WHO), "range": ["circle", "square"]}]


def test_a_surface_rule_is_dashed():
    rule = CURVES.iloc[:1].assign(who="surface rule")
    chart = difficulty_curves(pd.concat([CURVES, rule]), pd.DataFrame(), 0.5, WHO[0]).to_dict()
    (dashed,) = [
        layer for layer in chart["layer"] if layer.get("mark", {}).get("strokeDash") == [7, 4]
    ]
    assert [row["who"] for row in chart["datasets"][dashed["data"]["name"]]] == ["surface rule"]


@pytest.mark.parametrize("missing", ["accuracy", "n"])
def test_a_frame_that_lacks_a_column_is_an_error_and_not_an_empty_chart(missing):
    with pytest.raises((KeyError, SchemaValidationError)):
        head_grid(HEADS.drop(columns=missing), 0.5, None)


def test_a_head_that_always_says_the_same_is_marked_and_not_hatched():
    constant = pd.array([1, *[None] * (len(HEADS) - 1)], dtype="Int64")
    heads = HEADS.assign(is_above_luck=False, constant=constant)
    chart = head_grid(heads, 0.5, None).to_dict()
    hatched, halo, marked = (
        chart["datasets"][layer["data"]["name"]]
        for layer in chart["layer"]
        if "shape" in layer["mark"]
    )
    first = tuple(HEADS[["layer", "head"]].iloc[0])
    assert [(row["layer"], row["head"]) for row in marked] == [first]
    assert halo == marked
    assert len(hatched) == len(HEADS) - 1
    assert first not in {(row["layer"], row["head"]) for row in hatched}
