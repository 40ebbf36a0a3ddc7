"""No legend is a bar of colours.

A browser finds the bar's gradient by the page's address, so that it goes blank once a click has
changed the address.
"""

import pandas as pd
import pytest
import vl_convert

from qkcore.charts.grids import gap_grid, head_grid, transfer_matrix
from qkcore.charts.tokens import token_strip
from tests.charts.test_grids import HEADS


def _strip():
    frame = pd.DataFrame({"token": [0, 1], "text": ["Max", " is"], "value": [-3.7, 8.1]})
    frame["premise"] = pd.array([0, 0], dtype="Int64")
    return token_strip(frame.assign(is_key=[False, True], in_scale=True), "Product")


def _gaps():
    columns = {"steps": [1], "distractors": [0], "n": [9], "gap": [0.1], "low": [0.0]}
    return gap_grid(pd.DataFrame(columns).assign(high=0.2, p=0.1), "Gap, points")


def _transfer():
    names = {"chosen_on": ["a"], "tested_on": ["a"]}
    return transfer_matrix(HEADS.head(1).assign(**names), 0.5)


CHARTS = {
    "grid": (lambda: head_grid(HEADS, 0.5, (0, 1)), ["0%", "25%", "50%", "75%", "100%"]),
    "stretched": (
        lambda: head_grid(HEADS, 0.5, None, is_stretched=True),
        ["10.0%", "50.0%", "90.0%"],
    ),
    "gaps": (_gaps, ["−50", "−25", "+0", "+25", "+50"]),
    "transfer": (_transfer, ["0%", "100%"]),
    "strip": (_strip, ["−8", "8"]),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_legend_of_numbers_is_squares_with_their_values(name):
    make, labels = CHARTS[name]
    picture = vl_convert.vegalite_to_svg(make().to_dict())
    assert "radient" not in picture
    for label in labels:
        assert f">{label}<" in picture, label
