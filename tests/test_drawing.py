"""Charts that are made once say the same as charts made anew."""

import json
from pathlib import Path

import altair as alt
import pandas as pd
import pyarrow as pa
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.frame.drawing import drawn

ROOT = Path(__file__).parents[1]
FRAME = pd.DataFrame({"layer": [0, 1, 2], "accuracy": [0.5, None, 0.75], "name": ["a", "b", None]})


def dots(frame, title="t"):
    """A chart function as qkcore has them."""
    return alt.Chart(frame, title=title).mark_point().encode(x="layer:O", y="accuracy:Q")


def test_the_same_arguments_give_the_same_chart_and_others_another():
    st.cache_resource.clear()
    first = drawn(dots, FRAME)
    assert drawn(dots, FRAME.copy()) is first
    assert drawn(dots, FRAME, title="other") is not first
    assert drawn(dots, FRAME.assign(accuracy=1.0)) is not first


def test_one_value_in_a_large_frame_makes_another_chart():
    large = pd.DataFrame({"layer": range(60_000), "accuracy": 0.5})
    first = drawn(dots, large)
    changed = large.copy()
    for row in (1, 12_345, 59_998):
        changed.loc[row, "accuracy"] = 0.6
        assert drawn(dots, changed) is not first
        changed.loc[row, "accuracy"] = 0.5
    assert drawn(dots, changed) is first


def test_what_is_shown_is_what_altair_says():
    shown = drawn(dots, FRAME)
    with alt.theme.enable("none"):
        expected = dots(FRAME).to_dict()
    rows = expected.pop("datasets")
    assert json.dumps(shown.spec, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert {name: table.to_pylist() for name, table in shown.data.items()} == rows
    assert all(isinstance(table, pa.Table) for table in shown.data.values())


def test_a_grid_of_80_layers_and_64_heads_is_shown():
    frame = pd.DataFrame({"layer": range(80 * 64), "accuracy": 0.5, "name": "x"})
    (table,) = drawn(dots, frame).data.values()
    assert table.num_rows == 80 * 64


def test_a_chart_reaches_the_screen_with_its_data_each_time():
    def script():
        from pages.frame.drawing import drawn, show_chart
        from tests.test_drawing import FRAME, dots

        show_chart(drawn(dots, FRAME), key="chart", alt="Three dots")

    at = AppTest.from_function(script).run()
    for _ in range(2):
        assert not at.exception
        proto = at.get("vega_lite_chart")[0].proto
        assert proto.alt == "Three dots"
        with pa.ipc.open_stream(proto.datasets[0].data.data) as stream:
            assert stream.read_all().num_rows == 3
        at.run()


def test_pages_of_results_show_charts_this_way_only():
    for path in [*ROOT.glob("pages/results/*.py"), *ROOT.glob("pages/frame/*.py")]:
        assert "altair_chart(" not in path.read_text(), path
