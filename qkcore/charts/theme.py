"""What all charts share: greys, sizes, names of selections, and marks that are legible everywhere.

Colours come from the theme's ranges (.streamlit/config.toml), so light and dark each have their
own: the first categorical colour is the chosen head, the second the model, the third the vote; the
middle of the diverging range is chance, or no gap.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

GREY = "#8a8f98"  # legible on white and on near-black
CELL = "cell"  # the name of a grid's selection; its value holds layer and head
FONT = 13  # pixels: labels on marks
SMALL_FONT = 12  # labels beside lines
CELL_HEIGHT = 30  # pixels a layer of a grid, while there is room
MAX_GRID_HEIGHT = 900


def grid_height(n_layers: int) -> int:
    """Height of a grid's cells together, in pixels."""
    return min(max(CELL_HEIGHT * n_layers, 120), MAX_GRID_HEIGHT)


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
        spec = chart.properties(width=640).to_dict()
    ranges = {name: list(diverging) for name in ("diverging", "heatmap", "ramp")}
    ranges["category"] = list(categorical)
    config = spec.get("config", {})
    spec["config"] = config | {"range": ranges, "background": "white", "font": "sans-serif"}
    return spec
