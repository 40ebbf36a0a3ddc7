import tomllib

import altair as alt
import pandas as pd

from qkcore.charts.theme import WIDTH, for_print, themed
from tests import ROOT

LIGHT = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]["light"]
CATEGORICAL, DIVERGING = LIGHT["chartCategoricalColors"], LIGHT["chartDivergingColors"]


def bars() -> alt.LayerChart:
    frame = pd.DataFrame({"who": ["head", "model"], "n": [1, 2]})
    return alt.layer(alt.Chart(frame).mark_bar().encode(x="n:Q", color="who:N"))


def test_a_themed_chart_has_the_colours_of_the_light_page_on_white():
    config = themed(bars()).to_dict()["config"]
    assert config["range"]["category"] == CATEGORICAL
    for name in ("diverging", "heatmap", "ramp"):
        assert config["range"][name] == DIVERGING
    assert config["background"] == "white"


def test_a_themed_chart_is_the_picture_that_the_page_offers():
    assert themed(bars()).to_dict() == for_print(bars(), CATEGORICAL, DIVERGING)


def test_a_themed_chart_is_a_copy_that_keeps_a_width_of_its_own():
    chart, narrow = bars(), bars().properties(width=200)
    assert themed(chart).width == WIDTH
    assert themed(narrow).width == 200
    assert chart.width is alt.Undefined
    assert chart.config is alt.Undefined
