"""Charts of layers hold the numbers they were given.

(What they look like is for eyes.)
"""

import numpy as np
import pandas as pd
import pytest

from qkcore.charts.layers import FOUND, LOST, layer_chart, loss_chart
from tests.charts.test_curves import rows_of


def curves(n_layers: int = 4) -> pd.DataFrame:
    """As `layer_curves` gives them, each layer a little more right."""
    rows = [
        (who, layer, 2 if who == "best head" else None, 0.5 + 0.1 * layer)
        for who in ("best head", "calibrated lens", "lens", "probe", "control probe")
        for layer in range(n_layers)
    ]
    rows += [(who, None, None, 0.7) for who in ("model", "calibrated model", "surface rule")]
    frame = pd.DataFrame(rows, columns=["who", "layer", "head", "accuracy"])
    frame = frame.assign(n=100, n_right=50, n_groups=50, auc=frame["accuracy"])
    frame.loc[frame["who"].isin(["probe", "control probe", "surface rule"]), "auc"] = np.nan
    frame = frame.assign(low=frame["accuracy"] - 0.05, high=frame["accuracy"] + 0.05)
    return frame.astype({"layer": "Int64", "head": "Int64"})


def drawn_values(chart, value: str = "accuracy") -> dict:
    """What each name is drawn at, by name: from the frames of the chart."""
    found: dict = {}
    for rows in chart.to_dict()["datasets"].values():
        frame = pd.DataFrame(rows)
        if "who" in frame:
            for who, own in frame.groupby("who"):
                found[who] = own[value].tolist()
    return found


def test_every_curve_is_drawn_with_its_numbers():
    found = drawn_values(layer_chart(curves(), chance=0.5, luck=0.6))
    assert found["calibrated lens"] == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert set(found) == {
        "best head", "calibrated lens", "lens", "probe", "control probe", "calibrated model",
    }  # fmt: skip
    assert found["calibrated model"] == [0.7]


def test_the_model_stands_at_the_last_layer():
    chart = layer_chart(curves(), chance=0.5)
    frames = [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]
    (own,) = [one for one in frames if set(one.get("who", ())) == {"calibrated model"}]
    assert own["layer"].tolist() == [3.0]


def test_chance_rule_and_luck_are_lines_and_no_colours():
    spec = layer_chart(curves(), chance=0.25, luck=0.6).to_dict()
    lines = [rows[0]["at"] for rows in spec["datasets"].values() if "at" in rows[0]]
    assert sorted(lines) == [0.25, 0.6, 0.7]
    dashes = [
        one["mark"].get("strokeDash") for one in spec["layer"] if one["mark"]["type"] == "rule"
    ]
    assert [7, 4] in dashes
    assert [2, 3] in dashes


def test_by_auc_only_who_has_one_is_drawn():
    found = drawn_values(layer_chart(curves(), chance=0.25, luck=0.6, value="auc"), "auc")
    assert "probe" not in found
    assert "calibrated lens" in found
    spec = layer_chart(curves(), chance=0.25, luck=0.6, value="auc").to_dict()
    lines = [rows[0]["at"] for rows in spec["datasets"].values() if rows and "at" in rows[0]]
    assert lines == [0.5]


def test_names_differ_in_shape_and_place_of_colour():
    spec = layer_chart(curves(), chance=0.5).to_dict()
    encodings = [one["encoding"] for one in spec["layer"] if "shape" in one["encoding"]]
    for encoding in encodings:
        scale = encoding["shape"]["scale"]
        shown = encoding["shape"]["legend"]["values"]
        shapes = dict(zip(scale["domain"], scale["range"], strict=True))
        assert len({shapes[name] for name in shown}) == len(shown) == 4
        # With one domain for both, Vega-Lite draws one legend
        assert encoding["color"]["scale"]["domain"] == scale["domain"]


def test_losses_are_drawn_by_steps_with_what_chance_loses():
    losses = pd.DataFrame(
        {
            "steps": pd.array([None, 1, 2], dtype="Int64"),
            "n": [30, 10, 20],
            "lost": [0.2, 0.1, 0.3],
            "lost_low": [0.1, 0.05, 0.2],
            "lost_high": [0.3, 0.2, 0.4],
            "found": [0.02, 0.01, 0.03],
            "found_low": [0.01, 0.0, 0.02],
            "found_high": [0.03, 0.02, 0.04],
            "lost_by_chance": [0.25, 0.2, 0.3],
        }
    )
    frame = rows_of(loss_chart(losses), "what").sort_values(["what", "steps"])
    assert frame[frame["what"] == LOST]["share"].tolist() == [0.1, 0.3]
    assert frame[frame["what"] == FOUND]["share"].tolist() == [0.01, 0.03]
    assert rows_of(loss_chart(losses), "left")["lost_by_chance"].tolist() == [0.2, 0.3]
