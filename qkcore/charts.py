"""Tidy frame in, Altair chart out. Reads nothing, computes nothing that has a name in qkcore.metrics.

Colours come from the theme's ranges (.streamlit/config.toml), so light and dark each have their own: the first
categorical colour is the chosen head, the second the model; the middle of the diverging range is chance.
"""

import altair as alt
import pandas as pd

from qkcore.wording import accuracy_text, head_name

GREY = "#8a8f98"  # legible on white and on near-black
WHO = ("chosen head", "model")
RULE = "surface rule"
POINT = "cell"  # the name of the grid's selection; its value holds layer and head


def head_grid(heads: pd.DataFrame, chance: float, chosen: tuple[int, int] | None) -> alt.LayerChart:
    """Accuracy of every head as a heat map, a click on a cell selecting it.

    Args:
        heads: layer, head, accuracy, low, high, n; one row a head.
        chance: accuracy of guessing, the scale's middle; the scale always runs from 0 to 1, so that runs compare.
        chosen: the head to ring.
    """
    frame = heads.assign(
        name=[head_name(layer, head) for layer, head in zip(heads["layer"], heads["head"], strict=True)],
        text=[accuracy_text(*row) for row in heads[["accuracy", "low", "high", "n"]].itertuples(index=False)],
    )
    x = alt.X("head:O", title="Head", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("layer:O", title="Layer", sort="descending", axis=alt.Axis(labelOverlap=True))
    click = alt.selection_point(name=POINT, fields=["layer", "head"], toggle=False)
    cells = (
        alt.Chart(frame)
        .mark_rect(cursor="pointer")
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "accuracy:Q",
                title="Accuracy on test puzzles",
                # Mixed in RGB the way from orange to blue leads over grey; the default leads over pink.
                scale=alt.Scale(domain=[0, 1], domainMid=chance, interpolate="rgb"),
                legend=alt.Legend(
                    format=".0%", orient="top", gradientLength=220, titleLimit=300, values=[0, 0.25, 0.5, 0.75, 1]
                ),
            ),
            tooltip=[alt.Tooltip("name:N", title="Head"), alt.Tooltip("text:N", title="Accuracy")],
        )
        .add_params(click)
    )
    ringed = frame if chosen is None else frame[(frame["layer"] == chosen[0]) & (frame["head"] == chosen[1])]
    ring = (
        alt.Chart(ringed.assign(who=WHO[0]))
        .mark_rect(filled=False, strokeWidth=3)
        .encode(
            x=x,
            y=y,
            stroke=alt.Stroke("who:N", scale=alt.Scale(domain=WHO), legend=None),
            tooltip=[alt.Tooltip("name:N", title="Chosen head"), alt.Tooltip("text:N", title="Accuracy")],
        )
    )
    n_layers = heads["layer"].nunique()
    chart = alt.layer(cells, ring) if chosen is not None else alt.layer(cells)
    return chart.properties(height=160 + min(30 * n_layers, 900))


def difficulty_curves(by_steps: pd.DataFrame, luck: pd.DataFrame, chance: float, head: str) -> alt.LayerChart:
    """Accuracy of a head and of the model at each number of steps, with 95 % intervals.

    Args:
        head: the head's name, which stands in the legend.
        by_steps: who (the head's name, "model", or "surface rule" without interval and dashed), steps, accuracy, low,
            high, n.
        luck: steps, q95: what the best of all heads gets by luck, 95th percentile. May be empty.
        chance: accuracy of guessing.
    """
    frame = by_steps.assign(
        text=[accuracy_text(*row) for row in by_steps[["accuracy", "low", "high", "n"]].itertuples(index=False)]
    )
    x = alt.X(
        "steps:Q",
        title="Steps (rules to apply)",
        axis=alt.Axis(format="d", tickMinStep=1, values=sorted(frame["steps"].unique().tolist())),
        scale=alt.Scale(domain=[frame["steps"].min() - 0.4, frame["steps"].max() + 0.4], nice=False),
    )
    y = alt.Y("accuracy:Q", title="Accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%"))
    legend = alt.Legend(orient="top", title=None)
    both = (head, "model")
    scale = alt.Scale(domain=both)
    tooltip = [
        alt.Tooltip("who:N", title="Who"),
        alt.Tooltip("steps:Q", title="Steps", format="d"),
        alt.Tooltip("text:N", title="Accuracy"),
    ]
    solid = frame[frame["who"].isin(both)]
    base = alt.Chart(solid).encode(x=x, color=alt.Color("who:N", scale=scale, legend=legend), tooltip=tooltip)
    shape = alt.Shape("who:N", scale=alt.Scale(domain=both, range=["circle", "square"]), legend=legend)
    layers = [
        _reference_line(pd.DataFrame({"value": [chance]}), "chance", dash=[1, 0]),
        alt.Chart(frame[frame["who"] == RULE])
        .mark_line(color=GREY, strokeDash=[7, 4], point=alt.OverlayMarkDef(color=GREY, size=30))
        .encode(x=x, y=y, tooltip=tooltip),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title="Accuracy"), y2="high:Q"),
        base.mark_line().encode(y=y),
        base.mark_point(filled=True, size=80, opacity=1).encode(y=y, shape=shape),
    ]
    if len(luck):
        layers.append(_luck_marks(luck))
    return alt.layer(*layers).properties(height=300)


def _reference_line(frame: pd.DataFrame, label: str, dash: list[int]) -> alt.LayerChart:
    line = alt.Chart(frame).mark_rule(color=GREY, strokeWidth=1, strokeDash=dash).encode(y="value:Q")
    text = line.mark_text(color=GREY, align="left", dx=4, dy=7, x=0, text=label, fontSize=12)
    return line + text


def _luck_marks(luck: pd.DataFrame) -> alt.Chart:
    """A dotted tick at each number of steps; a line would invite reading between whole numbers."""
    left, right = luck["steps"].astype(float) - 0.3, luck["steps"].astype(float) + 0.3
    frame = luck.assign(left=left, right=right, label="luck line: best of all heads by chance, 95th percentile")
    return (
        alt.Chart(frame)
        .mark_rule(color=GREY, strokeWidth=2, strokeDash=[2, 3])
        .encode(
            x="left:Q",
            x2="right:Q",
            y="q95:Q",
            tooltip=[alt.Tooltip("label:N", title="What"), alt.Tooltip("q95:Q", title="Accuracy", format=".1%")],
        )
    )
