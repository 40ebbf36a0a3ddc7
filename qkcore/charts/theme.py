"""What all charts share: greys, sizes, names of selections, and marks that are legible everywhere.

Colours come from the theme's ranges (.streamlit/config.toml), so light and dark each have their
own: the first categorical colour is the chosen head, the second the model, the third the vote; the
middle of the diverging range is chance, or no gap. The dashboard hands them to a chart by itself;
elsewhere `themed` does.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from textwrap import wrap
from typing import Any

import altair as alt
import pandas as pd

from qkcore.bundled import APP

GREY = "#8a8f98"  # legible on white and on near-black
CELL = "cell"  # the name of a grid's selection; its value holds layer and head
LINES = "split(datum.label, '\\n')"  # `labelExpr` of labels of several lines
# d3-format of numbers of any size on axes and legends: 20,000 and 0.02, never 2e+4
READABLE = ",~r"
FONT = 13  # pixels: labels on marks
SMALL_FONT = 12  # labels beside lines
CELL_HEIGHT = 30  # pixels a layer of a grid, while there is room
MAX_GRID_HEIGHT = 900
TITLE = 20  # letters of an axis's title that have room beside long labels on a phone
WIDTH = 640  # pixels, outside of the dashboard, where nothing stretches a chart


def grid_height(n_layers: int) -> int:
    """Height of a grid's cells together, in pixels."""
    return min(max(CELL_HEIGHT * n_layers, 120), MAX_GRID_HEIGHT)


def rows_without_heads(absent: Sequence[int], n_layers: int) -> alt.Chart:
    """What stands in a grid's rows of layers that have no heads: words, and no colour.

    Args:
        absent: those layers.
        n_layers: of the grid, these and the others.
    """
    rows = pd.DataFrame({"layer": list(absent)})
    rows = rows.assign(name=[f"L{layer} has no softmax heads" for layer in absent])
    font = min(SMALL_FONT, 0.8 * grid_height(n_layers) / n_layers)
    return (
        alt.Chart(rows)
        .mark_text(color=GREY, fontSize=font, align="left")
        .encode(
            x=alt.XValue(8),  # pixels: clear of the lines between groups
            y=alt.Y("layer:O", sort="descending"),
            text=alt.TextValue("no heads"),
            tooltip=alt.Tooltip("name:N", title="Layer"),
        )
    )


def title_lines(title: str) -> list[str]:
    """An axis's title in lines that are no wider than a phone leaves to an axis beside long labels.

    >>> title_lines("Head ahead of its best rival, points")
    ['Head ahead of its best', 'rival, points']
    """
    return wrap(title, max(len(title) // 2 + 4, TITLE), break_long_words=False)


def swatches(**legend: Any) -> alt.Legend:
    """A legend of a scale of numbers: a square of colour for each of a few values.

    Never the browser's bar of colours: its gradient is named by the page's address, and is gone
    once a click has changed that.

    Args:
        legend: for `alt.Legend`; `values` says which values.
    """
    return alt.Legend(
        type="symbol",
        symbolType="square",
        orient="top",
        direction="horizontal",
        titleLimit=340,
        **legend,
    )


def legible(text: alt.Chart, **words: Any) -> list[alt.Chart]:
    """The text's marks, black with a white halo: legible on every colour, in light and in dark.

    Args:
        text: a chart that encodes text, without a mark.
        words: for `mark_text`.
    """
    halo = text.mark_text(
        fontSize=FONT, color="white", stroke="white", strokeWidth=3, opacity=0.85, **words
    )
    return [halo, text.mark_text(fontSize=FONT, color="black", **words)]


def print_words(title: str, *keys: tuple[str, str]) -> dict[str, Any]:
    """What a chart says of itself on paper, for its `usermeta`; see `paper.paper_figure`.

    Args:
        title: what is shown, of whom.
        keys: (mark, what it means) of marks that no legend explains; marks are those of
            `paper.MARKS`.
    """
    return {"print": {"title": title, "keys": [list(key) for key in keys]}}


def for_print(
    chart: alt.TopLevelMixin, categorical: Sequence[str], diverging: Sequence[str]
) -> dict[str, Any]:
    """The chart's Vega-Lite specification with colours of its own, on white, for a paper.

    Args:
        chart: to print.
        categorical: the colours that a page gets from its theme for names,
        diverging: and for numbers.
    """
    with alt.data_transformers.disable_max_rows():
        spec = chart.properties(width=WIDTH).to_dict()
    spec["config"] = spec.get("config", {}) | vega_config(categorical, diverging)
    return spec


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The chart in the dashboard's light colours, on white, for a notebook or a file.

    Without it Altair's own colours are used, in which no colour means the head, the model or
    chance. Comes last: Altair does not join charts that have been themed.

    Returns:
        A copy, 640 pixels wide unless the chart says its width.

    >>> from qkcore import ResultStore, demo_store, gap_chart, run_gaps, themed
    >>> gaps_of_runs = run_gaps(ResultStore.kept(demo_store()))
    >>> chart = themed(gap_chart(gaps_of_runs, "run_id", "Gap to the model in points"))
    >>> chart.width, chart.config.background
    (640, 'white')
    """
    width = getattr(chart, "width", alt.Undefined)
    width = WIDTH if width is alt.Undefined else width
    return chart.properties(width=width).configure(**vega_config(*_light_colours()))


def vega_config(categorical: Sequence[str], diverging: Sequence[str]) -> dict[str, Any]:
    """What Vega-Lite is told of colours, by the places in which charts ask for them."""
    ranges = {name: list(diverging) for name in ("diverging", "heatmap", "ramp")}
    ranges["category"] = list(categorical)
    return {"range": ranges, "background": "white", "font": "sans-serif"}


@cache
def _light_colours() -> tuple[list[str], list[str]]:
    """(categorical, diverging) of the dashboard's light theme."""
    theme = tomllib.loads((APP / ".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]
    return theme["light"]["chartCategoricalColors"], theme["light"]["chartDivergingColors"]
