"""Heat maps: tidy frame in, Altair chart out. What all charts share is in `theme`.

Reads nothing, computes nothing that has a name in qkcore.statistics.
"""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from qkcore.charts.theme import (
    CELL,
    GREY,
    LINES,
    grid_height,
    legible,
    print_words,
    rows_without_heads,
    swatches,
)
from qkcore.wording import (
    accuracy_text,
    gap_text,
    head_name,
    percent,
    signed_tenths,
    tenths,
    texts_of,
)

GAIN_REACH = 0.5  # gains and gaps beyond 50 points are drawn as 50
SLASH = "M-0.7,0.7L0.7,-0.7"  # hatching: a stroke across a cell


def head_grid(
    heads: pd.DataFrame,
    chance: float,
    chosen: tuple[int, int] | None,
    measure: str = "accuracy",
    title: str = "Accuracy",
    n_kv_heads: int | None = None,
    absent: Sequence[int] = (),
    is_stretched: bool = False,
) -> alt.LayerChart:
    """A measure of every head as a heat map, a click on a cell selecting it.

    Args:
        heads: layer, head, accuracy, low, high, n, the measure, and optionally is_above_luck: cells
            where it is false are hatched; and constant: cells where it is not missing are marked.
        chance: accuracy of guessing, the scale's middle; the scale always runs from 0 to 1, so that
            runs compare. A gain runs from -50 to +50 points round 0, an AUC round one half.
        chosen: the head to ring.
        measure: a column of the frame,
        title: and its title.
        n_kv_heads: lines between groups of heads that share keys; None or as many as heads draws
            none.
        absent: layers of the model that have no heads; each is an empty row that says so.
        is_stretched: let the scale reach only as far from its middle as some head does.

    >>> from qkcore import ResultStore, demo_store, head_grid, measures
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> chart = head_grid(measures(store, run), store.chance(run, "test"), store.best_head(run))
    >>> type(chart).__name__
    'LayerChart'
    """
    frame = heads.assign(
        name=texts_of(heads, head_name, "layer", "head"),
        text=texts_of(heads, accuracy_text, "accuracy", "low", "high", "n"),
        shown=[
            f"{signed_tenths(value)} points" if measure == "gain" else percent(value)
            for value in heads[measure]
        ],
    )[["layer", "head", measure, "name", "text", "shown", *({"is_above_luck"} & {*heads.columns})]]
    x = alt.X("head:O", title="Head", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("layer:O", title="Layer", sort="descending", axis=alt.Axis(labelOverlap=True))
    tooltip = [alt.Tooltip("name:N", title="Head"), alt.Tooltip("text:N", title="Accuracy")]
    if measure != "accuracy":
        tooltip.append(alt.Tooltip("shown:N", title=title))
    middle = 0.0 if measure == "gain" else 0.5 if measure == "auc" else chance
    reach = float((heads[measure] - middle).abs().max()) if is_stretched else 0.0
    cells = (
        alt.Chart(frame)
        .mark_rect(cursor="pointer")
        .encode(x=x, y=y, color=_colour(measure, title, middle, reach), tooltip=tooltip)
        .add_params(alt.selection_point(name=CELL, fields=["layer", "head"], toggle=False))
    )
    layers, keys = [cells], []
    n_layers, n_heads = heads["layer"].nunique() + len(absent), heads["head"].nunique()
    if absent:
        layers.append(rows_without_heads(absent, n_layers))
    is_constant = np.zeros(len(frame), dtype=bool)
    if "constant" in heads:
        is_constant = heads["constant"].notna().to_numpy()
    if "is_above_luck" in frame:
        is_hatched = ~frame["is_above_luck"] & ~is_constant
        hatched = alt.Chart(frame[is_hatched]).encode(x=x, y=y, tooltip=tooltip)
        layers.append(_hatching(hatched, grid_height(n_layers) / n_layers))
        keys.append(("hatch", "not above the luck line"))
    if is_constant.any():
        muted = alt.Chart(frame[is_constant]).encode(x=x, y=y, tooltip=tooltip)
        layers.extend(_muted(muted))
        keys.append(("constant", "always says the same"))
    if n_kv_heads is not None and n_kv_heads < n_heads:
        layers.append(_group_lines(n_heads, n_kv_heads))
        keys.append(("divider", "heads in between share keys"))
    if chosen is not None:
        ringed = frame[(frame["layer"] == chosen[0]) & (frame["head"] == chosen[1])]
        layers.append(_ring(alt.Chart(ringed.assign(who="head")).encode(x=x, y=y, tooltip=tooltip)))
        keys.append(("ring", head_name(*chosen)))
    words = print_words(f"{title} of every head", *keys)
    return alt.LayerChart(layer=layers, height=grid_height(n_layers) + 130, usermeta=words)


def _hatching(cells: alt.Chart, cell_height: float) -> alt.Chart:
    """A stroke across each of the cells, which are so many pixels high."""
    return cells.mark_point(
        shape=SLASH,
        size=min(cell_height, 24) ** 2 / 2,
        color=GREY,
        strokeWidth=1,
        opacity=0.7,
        aria=False,
    )


def _muted(cells: alt.Chart) -> list[alt.Chart]:
    """A sign on each of the cells: the head says the same whatever the puzzle.

    Dark on light, so that it stays visible on every colour.
    """
    # Not a text, which some browsers' minimum size would blow up in a large grid
    sign = "M-0.6,-0.25L0.6,-0.25M-0.6,0.25L0.6,0.25"
    return [
        cells.mark_point(
            shape=sign, size=60, stroke=stroke, strokeWidth=width, opacity=0.8, aria=False
        )
        for stroke, width in (("#ffffff", 3.5), ("#000000", 1.2))
    ]


def _group_lines(n_heads: int, n_kv_heads: int) -> alt.Chart:
    """Lines between groups of heads that share keys."""
    starts = [head for head in range(1, n_heads) if head % (n_heads // n_kv_heads) == 0]
    lines = alt.Chart(pd.DataFrame({"head": starts})).mark_rule(
        color=GREY, strokeWidth=1.5, aria=False
    )
    return lines.encode(x=alt.X("head:O", bandPosition=0))


def _ring(cell: alt.Chart) -> alt.Chart:
    """A frame in the chosen head's colour; `cell` has the column who."""
    colour = alt.Stroke("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None)
    return cell.mark_rect(filled=False, strokeWidth=3, aria=False).encode(stroke=colour)


def _colour(
    measure: str, title: str, middle: float, reach: float = 0.0, n_values: int = 5
) -> alt.Color:
    """A diverging scale, mixed in RGB; fixed unless it is told how far to reach from its middle.

    The legend of shares names so many values; where names take half a phone's width, few have room.

    So orange goes over grey to blue; the default goes over pink.
    """
    label = "format(datum.value, '.0%')"
    if reach > 0:
        ends = [middle - reach, middle + reach]
        scale = alt.Scale(domain=ends, domainMid=middle, interpolate="rgb")
        values = [ends[0], middle, ends[1]]
        label = (
            "format(100 * datum.value, '+.1f')" if measure == "gain" else label.replace(".0", ".1")
        )
    elif measure in ("gain", "gap"):
        scale = alt.Scale(
            domain=[-GAIN_REACH, GAIN_REACH], domainMid=0, interpolate="rgb", clamp=True
        )
        values, label = [-0.5, -0.25, 0, 0.25, 0.5], "format(100 * datum.value, '+.0f')"  # points
    else:
        scale = alt.Scale(domain=[0, 1], domainMid=middle, interpolate="rgb")
        values = np.linspace(0, 1, n_values).tolist()
    legend = swatches(labelExpr=label, values=values)
    return alt.Color(f"{measure}:Q", title=title, scale=scale, legend=legend)


def gap_grid(gaps: pd.DataFrame, title: str) -> alt.LayerChart:
    """The gap at each number of steps and distractors, with its value in the cell.

    Args:
        gaps: steps, distractors, n, gap, low, high, p.
        title: whose gap, for the legend.

    >>> from qkcore import ResultStore, demo_store, exam, gap_grid, gaps
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> cells = gaps(exam(store, run, 6, 1), ["steps", "distractors"])
    >>> type(gap_grid(cells, "Gap of L6 H1, points")).__name__
    'LayerChart'
    """
    frame = gaps.assign(
        text=texts_of(gaps, gap_text, "gap", "low", "high", "p"),
        label=[f"{100 * gap:+.0f}".replace("-", "−") for gap in gaps["gap"]],
    )
    base = alt.Chart(frame).encode(
        x=alt.X("steps:O", title="Steps (rules to apply)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("distractors:O", title="Distractors", sort="descending"),
        tooltip=[
            alt.Tooltip("steps:O", title="Steps"),
            alt.Tooltip("distractors:O", title="Distractors"),
            alt.Tooltip("text:N", title="Gap"),
            alt.Tooltip("n:Q", title="Puzzles", format=","),
        ],
    )
    cells = base.mark_rect().encode(color=_colour("gap", title, 0))
    return alt.LayerChart(
        layer=[cells, *legible(base.encode(text=alt.Text("label:N")))],
        height=110 + 34 * frame["distractors"].nunique(),
        usermeta=print_words(f"{title}, by steps and distractors"),
    )


def transfer_matrix(transfers: pd.DataFrame, chance: float) -> alt.LayerChart:
    """Rows: the set a head was chosen on; columns: the set it is tested on; the diagonal is ringed.

    Args:
        transfers: chosen_on, tested_on, layer, head, n, accuracy, low, high.
        chance: accuracy of guessing, the middle of the scale.

    >>> from qkcore import ResultStore, demo_store, transfer_matrix, transfers
    >>> store = ResultStore.kept(demo_store())
    >>> runs = store.runs().query("model == 'reference' and rope == 'pre'")["run_id"]
    >>> type(transfer_matrix(transfers(store, tuple(runs)), chance=0.5)).__name__
    'LayerChart'
    """
    names = texts_of(transfers, head_name, "layer", "head")
    frame = transfers.assign(
        text=texts_of(transfers, accuracy_text, "accuracy", "low", "high", "n"),
        name=names,
        row=[f"{own}\n{name}" for own, name in zip(transfers["chosen_on"], names, strict=True)],
        label=[tenths(accuracy) for accuracy in transfers["accuracy"]],
    )
    base = alt.Chart(frame).encode(
        x=alt.X(
            "tested_on:N",
            title="Tested on",
            axis=alt.Axis(labelAngle=-40, labelLimit=0, labelOverlap=False),
        ),
        y=alt.Y(
            "row:N",
            title="Chosen on",
            axis=alt.Axis(labelExpr=LINES, labelLimit=0, labelOffset=-5),
        ),
        tooltip=[
            alt.Tooltip("chosen_on:N", title="Chosen on"),
            alt.Tooltip("tested_on:N", title="Tested on"),
            alt.Tooltip("name:N", title="Head"),
            alt.Tooltip("text:N", title="Accuracy"),
        ],
    )
    cells = base.mark_rect().encode(
        color=_colour("accuracy", "Accuracy on test puzzles", chance, n_values=3)
    )
    own = base.transform_filter("datum.chosen_on == datum.tested_on").mark_rect(
        filled=False, stroke=GREY, strokeWidth=2
    )
    labels = legible(base.encode(text=alt.Text("label:N")))
    return alt.LayerChart(
        layer=[cells, own, *labels],
        height=190 + 40 * frame["chosen_on"].nunique(),
        usermeta=print_words(
            "Heads chosen on one set, tested on another", ("outline", "tested on the set itself")
        ),
    )
