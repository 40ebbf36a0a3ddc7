"""What is left, and how sure a choice is, as they were given."""

import pandas as pd
import pytest

from qkcore.charts.left_over import stability_curve, what_is_left
from tests.charts.test_curves import rows_of

STEPS = pd.DataFrame(
    {
        "step": ["gap to the model", "after calibration", "after the best surface rule"],
        "rival": ["the model", "the calibrated model", '"contains not"'],
        "left": [0.38, 0.178, -0.12],
        "low": [0.30, 0.12, -0.16],
        "high": [0.45, 0.231, -0.08],
        "rival_accuracy": [0.5, 0.702, 1.0],
    }
)


def test_steps_stand_in_their_order_in_points_and_name_the_best_rival():
    chart = what_is_left(STEPS)
    rows = rows_of(chart, "left")
    assert rows["step"].tolist() == STEPS["step"].tolist()
    assert rows["left"].tolist() == pytest.approx([38.0, 17.8, -12.0])
    assert rows["label"].tolist() == ["+38.0", "+17.8", "−12.0"]
    assert rows["text"].iloc[1] == "+17.8 points (+12.0 to +23.1)"
    assert rows["beside"].iloc[2] == '"contains not", 100.0\xa0%'
    layers = chart.to_dict()["layer"]
    axes = [layer["encoding"]["x"]["axis"] for layer in layers if "axis" in layer["encoding"]["x"]]
    assert {axis["tickMinStep"] for axis in axes} == {1}  # whole numbers, each once
    assert {layer["encoding"]["y"]["sort"] for layer in layers if "y" in layer["encoding"]} == {
        None
    }


def test_the_curve_of_the_choice_has_a_tick_for_every_size():
    table = pd.DataFrame(
        {
            "n": [10, 50, 344],
            "median": [0.6, 0.8, 0.88],
            "low": [0.5, 0.6, 0.88],
            "high": [0.9, 0.88, 0.88],
            "same_head": [0.1, 0.6, 1.0],
        }
    )
    chart = stability_curve(table)
    rows = rows_of(chart, "median")
    assert rows["text"].iloc[0] == "60.0\xa0% (50.0 to 90.0)"
    axes = [layer["encoding"]["x"]["axis"]["values"] for layer in chart.to_dict()["layer"]]
    assert axes == [[10, 50, 344]] * 4
