"""Charts of one puzzle: every head's answer, sums of premises, the puzzle's own curve.

Tidy frame in, Altair chart out, as in qkcore.charts.grids, with the theme's colours. Right and
wrong differ by a sign as well as by colour.
"""

from collections.abc import Sequence
from functools import partial

import altair as alt
import numpy as np
import pandas as pd

from qkcore.charts.theme import (
    CELL,
    GREY,
    READABLE,
    grid_height,
    print_words,
    rows_without_heads,
    swatches,
)
from qkcore.charts.tokens import visible_signs
from qkcore.wording import head_name

MAX_SIGNED = 1_100  # cells with a sign in them; smaller cells show it in the tooltip only


def puzzle_grid(
    frame: pd.DataFrame, chosen: tuple[int, int], legend: str, absent: Sequence[int] = ()
) -> alt.LayerChart:
    """Every head's answer to one puzzle; a click on a cell selects it.

    Args:
        frame: from `one_puzzle.grid_frame`.
        chosen: the head to ring.
        legend: what the colour means.
        absent: layers of the model that have no heads; each is an empty row that says so.

    >>> from qkcore import bundled_model, grid_frame, load_model, puzzle_grid
    >>> from qkcore import score_puzzle, typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> scores = score_puzzle(load_model(bundled_model()), one)
    >>> type(puzzle_grid(grid_frame(scores, None), (6, 1), "Margin")).__name__
    'LayerChart'
    """
    x = alt.X("head:O", title="Head", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("layer:O", title="Layer", sort="descending", axis=alt.Axis(labelOverlap=True))
    tooltip = [
        alt.Tooltip("name:N", title="Head"),
        alt.Tooltip("answer:N", title="Answer"),
        alt.Tooltip("verdict:N", title="That is"),
        alt.Tooltip("margin:Q", title="Margin", format=".3g"),
        alt.Tooltip("scaled:Q", title="Margin / its usual size", format=".2f"),
    ]
    base = alt.Chart(frame).encode(x=x, y=y, tooltip=tooltip)
    cells = base.mark_rect(cursor="pointer").encode(
        color=alt.Color(
            "scaled:Q",
            title=legend,
            scale=alt.Scale(domain=[-2, 2], domainMid=0, clamp=True, interpolate="rgb"),
            legend=swatches(values=[-2, -1, 0, 1, 2], format="+"),
        )
    )
    cells = cells.add_params(alt.selection_point(name=CELL, fields=["layer", "head"], toggle=False))
    layers = [cells]
    n_layers = frame["layer"].nunique() + len(absent)
    if absent:
        layers.append(rows_without_heads(absent, n_layers))
    if len(frame) <= MAX_SIGNED:
        # White on a dark rim is legible on every tint of both themes.
        sign = base.encode(text=alt.Text("mark:N"))
        letter = partial(sign.mark_text, fontSize=15, fontWeight="bold", cursor="pointer")
        layers.append(letter(stroke="#000000", strokeWidth=3, strokeOpacity=0.6))
        layers.append(letter(color="#ffffff"))
    good = alt.Chart(frame[frame["is_known_good"]]).mark_rect(
        filled=False, cursor="pointer", strokeWidth=2, strokeDash=[4, 2], stroke=GREY
    )
    layers.append(good.encode(x=x, y=y))
    own = frame[(frame["layer"] == chosen[0]) & (frame["head"] == chosen[1])]
    ring = alt.Chart(own.assign(who="chosen head")).mark_rect(
        filled=False, cursor="pointer", strokeWidth=3
    )
    colour = alt.Stroke("who:N", scale=alt.Scale(domain=["chosen head"]), legend=None)
    layers.append(ring.encode(x=x, y=y, stroke=colour, tooltip=tooltip))
    keys = [("ring", head_name(*chosen))]
    if frame["is_known_good"].any():
        keys.append(("outline", "heads that vote"))
    words = print_words("Margins of every head on one puzzle", *keys)
    return alt.LayerChart(layer=layers, height=160 + grid_height(n_layers), usermeta=words)


def premise_bars(frame: pd.DataFrame, legend: str) -> alt.LayerChart:
    """What each premise adds up to; those of the proof are marked.

    Args:
        frame: premise (number from 1), sentence, value, role ("in the proof" or "not in it", or
            "").
        legend: what the value means.
    """
    frame = frame.assign(
        label=[
            f"{number}. {_short(text)}"
            for number, text in zip(frame["premise"], frame["sentence"], strict=True)
        ]
    )
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=0, labelOverlap=False))
    tooltip = [
        alt.Tooltip("sentence:N", title="Premise"),
        alt.Tooltip("role:N", title="Role"),
        alt.Tooltip("value:Q", title="Sum", format=".3g"),
    ]
    reach = max(float(np.abs(frame["value"]).max()), 1e-9)
    x = alt.X(
        "value:Q",
        title=legend,
        scale=alt.Scale(domain=[-reach * 1.1, reach * 1.1], nice=False),
        axis=alt.Axis(tickCount=4, format=READABLE),
    )
    bars = alt.Chart(frame).mark_bar(height=10, color=GREY).encode(x=x, y=y, tooltip=tooltip)
    proof = (
        alt.Chart(frame[frame["role"] == "in the proof"].assign(who="chosen head"))
        .mark_point(shape="diamond", filled=True, size=90, opacity=1)
        .encode(
            x=alt.X("value:Q"),
            y=y,
            color=alt.Color("who:N", scale=alt.Scale(domain=["chosen head"]), legend=None),
            tooltip=tooltip,
        )
    )
    zero = alt.Chart(pd.DataFrame({"value": [0]})).mark_rule(color=GREY).encode(x=alt.X("value:Q"))
    keys = [("diamond", "premises of the proof")] if len(proof.data) else []
    words = print_words("What a head's query matches, by premise", *keys)
    height = 60 + 24 * len(frame)
    return alt.LayerChart(layer=[zero, bars, proof], height=height, usermeta=words)


def _short(text: str, n: int = 34) -> str:
    text = " ".join(text.split())
    return visible_signs(text if len(text) <= n else text[: n - 1] + "…")


def own_curve_chart(frame: pd.DataFrame, names: dict[str, str]) -> alt.LayerChart:
    """The share of draws answered right as distractors are added to one puzzle.

    Args:
        frame: from `one_puzzle.own_curve`.
        names: what "model", "head" and "vote" are called.
    """
    frame = frame.assign(name=frame["who"].map(names))
    domain = [names[who] for who in ("head", "model", "vote") if who in set(frame["who"])]
    shapes = dict(zip(("head", "model", "vote"), ("circle", "square", "diamond"), strict=True))
    scale = alt.Scale(domain=domain)
    legend = alt.Legend(orient="top", title=None)
    base = alt.Chart(frame).encode(
        x=alt.X(
            "n_added:Q",
            title="Distractors added",
            axis=alt.Axis(format="d", values=sorted(set(frame["n_added"]))),
            scale=alt.Scale(domain=[-0.3, 5.3], nice=False),
        ),
        y=alt.Y(
            "share_right:Q",
            title="Share of draws answered right",
            axis=alt.Axis(format=".0%"),
            scale=alt.Scale(domain=[-0.04, 1.04], nice=False),
        ),
        color=alt.Color("name:N", scale=scale, legend=legend),
        tooltip=[
            alt.Tooltip("name:N", title="Who"),
            alt.Tooltip("n_added:Q", title="Distractors added", format="d"),
            alt.Tooltip("share_right:Q", title="Right", format=".0%"),
            alt.Tooltip("n:Q", title="Draws", format="d"),
        ],
    )
    marks = base.mark_point(filled=True, size=90, opacity=0.9).encode(
        shape=alt.Shape(
            "name:N",
            legend=legend,
            scale=alt.Scale(
                domain=domain, range=[shapes[who] for who in shapes if names[who] in domain]
            ),
        )
    )
    words = print_words("Draws answered right, by distractors added")
    return alt.LayerChart(layer=[base.mark_line(opacity=0.7), marks], height=260, usermeta=words)
