"""Charts that are made once say the same as charts made anew."""

import altair as alt
import pandas as pd
import pyarrow as pa
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.widgets.drawing import drawn, drawn_once
from tests import files_of

FRAME = pd.DataFrame({"layer": [0, 1, 2], "accuracy": [0.5, None, 0.75], "name": ["a", "b", None]})
KNOWN_TO_BROWSERS = {"bool", "double", "int32", "int64", "large_string", "string"}


def dots(frame, title="t"):
    """A chart function as qkcore has them."""
    return alt.Chart(frame, title=title).mark_point().encode(x="layer:O", y="accuracy:Q")


def layered(frame):
    """Several layers of which two share their rows, as most charts of qkcore."""
    base = alt.Chart(frame.assign(is_good=[True, False, True], n=[1, 2, 3])).encode(
        x="layer:O", y="accuracy:Q"
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule().encode(y="zero:Q")
    return alt.layer(
        base.mark_line(), base.mark_point().encode(color="is_good:N"), zero, height=100
    )


def test_the_same_arguments_give_the_same_chart_and_others_another():
    st.cache_resource.clear()
    first = drawn(dots, FRAME)
    assert drawn(dots, FRAME.copy()).spec is first.spec
    assert drawn(dots, FRAME, title="other").spec is not first.spec
    assert drawn(dots, FRAME.assign(accuracy=1.0)).spec is not first.spec


def test_one_value_in_a_large_frame_makes_another_chart():
    large = pd.DataFrame({"layer": range(60_000), "accuracy": 0.5})
    first = drawn(dots, large)
    changed = large.copy()
    for row in (1, 12_345, 59_998):
        changed.loc[row, "accuracy"] = 0.6
        assert drawn(dots, changed).spec is not first.spec
        changed.loc[row, "accuracy"] = 0.5
    assert drawn(dots, changed).spec is first.spec


@pytest.mark.parametrize("make", [dots, layered])
def test_what_is_shown_is_what_altair_says(make):
    shown = drawn(make, FRAME)
    with alt.theme.enable("none"):
        expected = make(FRAME).to_dict()  # checked by Altair against Vega-Lite's schema
    rows = expected.pop("datasets")
    assert _with_rows(
        shown.spec, {name: table.to_pylist() for name, table in shown.data.items()}
    ) == _with_rows(expected, rows)
    assert {
        str(kind) for table in shown.data.values() for kind in table.schema.types
    } <= KNOWN_TO_BROWSERS


def _with_rows(spec, rows: dict):
    """The specification with each frame's rows where its name stands."""
    if isinstance(spec, dict) and spec.keys() == {"name"} and spec["name"] in rows:
        return rows[spec["name"]]
    if isinstance(spec, dict):
        return {key: _with_rows(value, rows) for key, value in spec.items()}
    return [_with_rows(value, rows) for value in spec] if isinstance(spec, list) else spec


def test_a_chart_that_cannot_be_made_leaves_altair_as_it_was():
    def broken(frame):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        drawn_once(broken, FRAME)
    assert alt.data_transformers.active == "default"
    assert "datasets" in dots(FRAME).to_dict()


def test_a_grid_of_80_layers_and_64_heads_is_shown():
    frame = pd.DataFrame({"layer": range(80 * 64), "accuracy": 0.5, "name": "x"})
    (table,) = drawn(dots, frame).data.values()
    assert table.num_rows == 80 * 64


def test_a_chart_reaches_the_screen_with_its_data_each_time():
    def script():
        from pages.widgets.drawing import drawn, show_chart
        from tests.pages.test_drawing import FRAME, dots

        show_chart(drawn(dots, FRAME), key="chart", alt="Three dots")

    at = AppTest.from_function(script).run()
    for _ in range(2):
        assert not at.exception
        proto = at.get("vega_lite_chart")[0].proto
        assert proto.alt == "Three dots"
        with pa.ipc.open_stream(proto.datasets[0].data.data) as stream:
            assert stream.read_all().num_rows == 3
        at.run()


def test_pages_show_charts_this_way_only():
    for path in files_of("pages/**/*.py"):
        assert "altair_chart(" not in path.read_text(), path
