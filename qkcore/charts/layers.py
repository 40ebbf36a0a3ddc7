"""Who can tell the answer after each layer, and what is lost on the way: tidy frame to chart.

What all charts share is in `theme`.
"""

from typing import Any

import altair as alt
import pandas as pd

from qkcore.charts.theme import GREY, print_words
from qkcore.wording import accuracy_text, head_name, texts_of

# What the legend says, by who it is in `layer_curves`. Thin: the lens without its offset, and the
# probe that was fitted on shuffled answers.
HEAD, MODEL, LENS, PROBE = "best head", "model", "lens", "probe"
CURVES = {"best head": HEAD, "calibrated lens": LENS, "probe": PROBE}
THIN = {"lens": LENS, "control probe": PROBE}
SHAPES = {HEAD: "circle", LENS: "triangle-up", PROBE: "diamond", MODEL: "square"}
COLOURS = [HEAD, MODEL, "vote", LENS, "neither", PROBE]  # by place in the theme's categories
ENDS = ("", "_low", "_high")  # of the columns of a share and its interval
LOST, FOUND = "right in the middle, wrong at the output", "wrong in the middle, right at the output"


def layer_chart(
    curves: pd.DataFrame,
    chance: float,
    luck: float | None = None,
    value: str = "accuracy",
    title: str = "Accuracy",
) -> alt.LayerChart:
    """How right head, lens, probe and model are by layer, with 95 % intervals as bands.

    Args:
        curves: as `layer_curves` gives them, at least one row.
        chance: accuracy of guessing.
        luck: what the best of all heads gets by luck, 95th percentile; None: not drawn.
        value: "accuracy" or "auc"; by the latter nobody is calibrated, and only who has a score is
            drawn.
        title: what the shares are, for the axis.
    """
    frame = _worded(curves.dropna(subset=[value]))
    last = float(curves["layer"].max())
    x = alt.X(
        "layer:Q",
        title="Layer",
        axis=alt.Axis(format="d", tickMinStep=1, labelOverlap=True),
        scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False),
    )
    axis = alt.Axis(format=".0%" if value == "accuracy" else ".1f")
    y = alt.Y(f"{value}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=axis)
    tooltip = [
        alt.Tooltip("named:N", title="Who"),
        alt.Tooltip("layer:Q", title="Layer", format="d"),
        alt.Tooltip("text:N", title="Right"),
        alt.Tooltip("auc:Q", title="AUC", format=".2f"),
    ]
    colour, shape = _legends(frame)
    both: dict[str, Any] = {"x": x, "color": colour, "tooltip": tooltip}
    base = alt.Chart(frame[frame["who"].isin(CURVES)]).encode(**both)
    thin = alt.Chart(frame[frame["who"].isin(THIN) & (value == "accuracy")])
    model = alt.Chart(frame[frame["who"] == "calibrated model"].assign(layer=last))
    layers = [*_lines_across(frame, chance, luck, value)]
    if value == "accuracy":
        ends = base.encode(y=alt.Y("low:Q", title=title), y2=alt.Y2("high:Q"))
        layers.append(ends.mark_area(opacity=0.15, line=False))
    layers += [
        model.mark_rule(strokeWidth=1.5).encode(y=y, color=colour, tooltip=tooltip),
        thin.mark_line(strokeWidth=1, opacity=0.7).encode(y=y, detail=alt.Detail("who:N"), **both),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=40, opacity=1).encode(y=y, shape=shape),
        model.mark_point(filled=True, size=80, opacity=1).encode(y=y, shape=shape, **both),
    ]
    keys = [("line", "chance")]
    if (frame["who"] == "surface rule").any():
        keys.append(("dashed", "best surface rule"))
    if luck is not None and value == "accuracy":
        keys.append(("dotted", "luck line"))
    words = print_words(f"{title} by layer", *keys, ("band", "95 % interval"))
    return alt.LayerChart(layer=layers, height=400, usermeta=words)


def loss_chart(losses: pd.DataFrame) -> alt.LayerChart:
    """What is lost and found on the way, by steps, with 95 % intervals; grey: lost by chance alone.

    Args:
        losses: as `lost_on_the_way` gives them; the row of all steps together is left out.
    """
    rows = losses.dropna(subset=["steps"]).astype({"steps": int})
    columns = ["share", "low", "high"]
    sides = [
        rows[["steps", "n", "lost_by_chance"]].assign(
            what=what,
            place=rows["steps"] + shift,  # side by side, so that intervals do not hide each other
            **{name: rows[side + end] for name, end in zip(columns, ENDS, strict=True)},
        )
        for side, what, shift in (("lost", LOST, -0.06), ("found", FOUND, 0.06))
    ]
    frame = pd.concat(sides, ignore_index=True)
    frame["text"] = texts_of(frame, accuracy_text, *columns, "n")
    chance = rows.assign(left=rows["steps"] - 0.3, right=rows["steps"] + 0.3)
    values = sorted(int(step) for step in rows["steps"])
    x = alt.X(
        "place:Q",
        title="Steps (rules to apply)",
        axis=alt.Axis(format="d", tickMinStep=1, values=values),
        scale=alt.Scale(domain=[values[0] - 0.4, values[-1] + 0.4], nice=False),
    )
    domain = [LOST, FOUND]
    legend = alt.Legend(
        orient="top", title=None, labelLimit=320, symbolOpacity=1, columns=1, values=domain
    )
    # What is lost, the lens had; what is found, the model has
    places = alt.Scale(domain=["head", FOUND, "vote", LOST])
    colour = alt.Color("what:N", scale=places, legend=legend)
    signs = alt.Scale(domain=places.domain, range=["circle", "square", "circle", "triangle-down"])
    shape = alt.Shape("what:N", scale=signs, legend=legend)
    base = alt.Chart(frame).encode(
        x=x,
        color=colour,
        tooltip=[
            alt.Tooltip("what:N", title="What"),
            alt.Tooltip("steps:Q", title="Steps", format="d"),
            alt.Tooltip("text:N", title="Share"),
            alt.Tooltip("lost_by_chance:Q", title="Lost by chance alone", format=".1%"),
        ],
    )
    share = "Share of test puzzles"
    y = alt.Y("share:Q", title=share, axis=alt.Axis(format=".0%"))
    ends = base.encode(y=alt.Y("low:Q", title=share), y2=alt.Y2("high:Q"))
    by_chance = alt.Chart(chance).mark_rule(color=GREY, strokeWidth=1.5)
    return alt.LayerChart(
        layer=[
            ends.mark_rule(strokeWidth=2),
            base.mark_line().encode(y=y),
            base.mark_point(filled=True, size=80, opacity=1).encode(y=y, shape=shape),
            # Last: the first one decides where the axis begins
            by_chance.encode(x=alt.X("left:Q"), x2=alt.X2("right:Q"), y=alt.Y("lost_by_chance:Q")),
        ],
        height=300,
        usermeta=print_words("Lost on the way, by steps", ("interval", "95 % interval")),
    )


def _worded(curves: pd.DataFrame) -> pd.DataFrame:
    """With the words of tooltips, and of the legend."""
    legend = CURVES | THIN | {"calibrated model": MODEL}
    named = [
        who if pd.isna(head) else head_name(layer, head)
        for who, layer, head in curves[["who", "layer", "head"]].itertuples(index=False)
    ]
    return curves.drop(columns="head").assign(
        named=named,
        text=texts_of(curves, accuracy_text, "accuracy", "low", "high", "n"),
        legend=curves["who"].map(legend),
        layer=curves["layer"].astype(float),
    )


def _legends(frame: pd.DataFrame) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape, with a legend of who is there."""
    there = [name for name in SHAPES if (frame["legend"] == name).any()]
    legend = alt.Legend(
        orient="top", title=None, labelLimit=260, symbolOpacity=1, values=there, columns=2
    )
    colour = alt.Color("legend:N", scale=alt.Scale(domain=COLOURS), legend=legend)
    # One domain for both: else Vega-Lite may draw two legends
    scale = alt.Scale(domain=COLOURS, range=[SHAPES.get(name, "circle") for name in COLOURS])
    return colour, alt.Shape("legend:N", scale=scale, legend=legend)


def _lines_across(
    frame: pd.DataFrame, chance: float, luck: float | None, value: str
) -> list[alt.Chart]:
    """Chance, the luck line and the surface rule, from side to side."""
    # Without words beside it: where curves begin they are at chance, and would run through them
    lines = [_line(chance if value == "accuracy" else 0.5, strokeWidth=1)]
    rule = frame[frame["who"] == "surface rule"]
    if len(rule):
        lines.append(_line(float(rule[value].iloc[0]), strokeWidth=2, strokeDash=[7, 4]))
    if luck is not None and value == "accuracy":
        lines.append(_line(luck, strokeWidth=2, strokeDash=[2, 3]))
    return lines


def _line(at: float, **how: Any) -> alt.Chart:
    line = alt.Chart(pd.DataFrame({"at": [at]})).encode(y=alt.Y("at:Q"))
    return line.mark_rule(color=GREY, **how)
