"""Charts of one puzzle: every head's answer, its eye on every token, the puzzle's own curve.

Tidy frame in, Altair chart out, as in qkcore.charts.grids, with the theme's colours. Right and
wrong differ by a sign as well as by colour.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial

import altair as alt
import numpy as np
import pandas as pd

from qkcore.charts.theme import CELL, GREY, grid_height, rows_without_heads, swatches
from qkcore.wording import is_right_to_left

COLUMNS = 44  # characters a line of the token strip: what fits a phone
MAX_TOKENS = 2_000  # tokens that are drawn; the table has all of them
MAX_SIGNED = 1_100  # cells with a sign in them; smaller cells show it in the tooltip only
LEGEND_HEIGHT = 60  # pixels
MAX_SHOWN = 20  # characters of a token that are drawn
# Pixels: a monospaced sign's height, and a little more than its width
STRIP_FONT, STRIP_COLUMN = (12, 7.3)


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
    return alt.LayerChart(layer=layers, height=160 + grid_height(n_layers))


def shown(text: str) -> str:
    r"""A token's text as it can be drawn.

    Line breaks and signs that cannot be seen, as signs that can.

    >>> shown(" Max"), shown("\n"), shown("a\x00b")
    (' Max', '⏎', 'a�b')
    """
    text = text.replace("\n", "⏎").replace("\t", " ")
    text = text if len(text) < MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(
        "\ufffd" if unicodedata.category(sign) in ("Cc", "Cs", "Co", "Cn") else sign
        for sign in text
    )


def _width(text: str) -> int:
    """Columns that a text takes; signs of East Asia and emoji take two."""
    return sum(
        2 if unicodedata.east_asian_width(sign) in "WF" else not unicodedata.combining(sign)
        for sign in text
    )


def strip_places(
    texts: Sequence[str], premises: Sequence[int | None], columns: int = COLUMNS
) -> Iterator[tuple[int, int, int]]:
    """(line, first column, column after the last) of each token.

    Every premise begins a line, long ones are wrapped.

    >>> list(strip_places(["Max", " is", " red.", " Rex"], [0, 0, 0, 1], columns=8))
    [(0, 0, 3), (0, 3, 6), (1, 0, 4), (2, 0, 3)]
    """
    line, column, is_break = 0, 0, False
    before = premises[0] if len(premises) else None
    for number, (text, premise) in enumerate(zip(texts, premises, strict=True)):
        is_new = number > 0 and (is_break or (premise != before and text.strip()))
        width = _width(shown(text))
        if is_new or (column and column + width > columns):
            line, column = line + 1, 0
        if column == 0:
            width = _width(shown(text).lstrip(" ")) if text.strip() else width
        yield line, column, column + width
        column, is_break = column + width, text.endswith("\n")
        before = premise if text.strip() else before


def token_strip(frame: pd.DataFrame, legend: str) -> alt.LayerChart:
    """Every token of the prompt, tinted by a value; the key token is ringed.

    Args:
        frame: token (number), text, premise (Int64, NA outside of premises), value, is_key,
            in_scale (False: left without colour).
        legend: what the tint means.

    >>> import pandas as pd
    >>> from qkcore import token_strip
    >>> tokens = ["Max", " is", " red", ".", " Rex", " is", " kind", "."]
    >>> frame = pd.DataFrame({"token": range(8), "text": tokens, "value": range(-4, 4)})
    >>> frame["premise"] = pd.array([0] * 4 + [1] * 4, dtype="Int64")
    >>> frame = frame.assign(is_key=frame["token"] == 7, in_scale=True)
    >>> type(token_strip(frame, "Query times key")).__name__
    'LayerChart'
    """
    frame = _placed(frame.head(MAX_TOKENS))
    reach = max(float(frame.loc[frame["in_scale"], "value"].abs().max() or 0), 1e-9)
    n_columns, n_lines = max(COLUMNS, int(frame["end"].max())), int(frame["line"].max()) + 1
    tooltip = [
        alt.Tooltip("drawn:N", title="Token"),
        alt.Tooltip("value:Q", title="Value", format=".3g"),
    ]

    def boxes(of: pd.DataFrame) -> alt.Chart:
        return alt.Chart(of).encode(
            x=alt.X("start:Q", axis=None, scale=alt.Scale(domain=[0, n_columns], nice=False)),
            x2=alt.X2("end:Q"),
            y=alt.Y("line:Q", axis=None, scale=alt.Scale(domain=[n_lines, 0], nice=False)),
            y2=alt.Y2("below:Q"),
            tooltip=tooltip,
        )

    tint = alt.Color(
        "value:Q",
        title=legend,
        scale=alt.Scale(domain=[-reach, reach], domainMid=0, clamp=True, interpolate="rgb"),
        legend=swatches(values=_three(reach), format="~g"),
    )
    ring = alt.Stroke("who:N", scale=alt.Scale(domain=["chosen head"]), legend=None)
    key = frame[frame["is_key"]].assign(who="chosen head")
    # The theme's second colour is its ink; left alone, text would be black in the dark theme too.
    ink = alt.Color("ink:N", scale=alt.Scale(domain=["chosen head", "model"]), legend=None)
    words = alt.Chart(frame.assign(ink="model")).mark_text(
        align="left", baseline="middle", font="monospace", fontSize=STRIP_FONT
    )
    chart = alt.LayerChart(
        layer=[
            boxes(frame[frame["in_scale"]]).mark_rect(opacity=0.55).encode(color=tint),
            boxes(key).mark_rect(filled=False, strokeWidth=2).encode(stroke=ring),
            words.encode(
                x=alt.X("at:Q", axis=None),
                y=alt.Y("middle:Q", axis=None),
                text=alt.Text("drawn:N"),
                color=ink,
                tooltip=tooltip,
            ),
        ],
        width=n_columns * STRIP_COLUMN,
        height=LEGEND_HEIGHT + 20 * n_lines,
    )
    return chart.resolve_scale(color="independent")


def _three(reach: float) -> list[float]:
    """A readable number within reach, its opposite and 0.

    >>> _three(7.43), _three(0.0123)
    ([-7.0, 0, 7.0], [-0.01, 0, 0.01])
    """
    unit = 10.0 ** np.floor(np.log10(reach))
    most = float(f"{np.floor(reach / unit) * unit:.1g}")
    return [-most, 0, most]


def _placed(frame: pd.DataFrame) -> pd.DataFrame:
    """With each token's text as drawn, its box and where its text begins.

    The box is line, start, end, below; the text begins at "at" and "middle".
    """
    premises = [None if one is pd.NA else int(one) for one in frame["premise"]]
    places = pd.DataFrame(
        strip_places(frame["text"].tolist(), premises), columns=["line", "start", "end"]
    )
    frame = pd.concat([frame.reset_index(drop=True), places], axis=1)
    texts = [shown(text) for text in frame["text"]]
    # A token is drawn from its first letter; the space before it belongs to its tint.
    indent = [_width(text) - _width(text.lstrip(" ")) for text in texts] * (frame["start"] > 0)
    frame = frame.assign(drawn=[text.lstrip(" ") for text in texts], at=frame["start"] + indent)
    frame = _turned(frame)
    return frame.assign(
        below=frame["line"] + 0.92,
        middle=frame["line"] + 0.46,
    )


def _turned(frame: pd.DataFrame) -> pd.DataFrame:
    """Lines written from right to left begin at the right edge, token after token.

    A token's letters are turned by whoever draws them.
    """
    line_texts = frame.groupby("line")["text"].transform("".join)
    is_turned = line_texts.map(is_right_to_left).to_numpy(dtype=bool)
    width = max(COLUMNS, int(frame["end"].max()))
    start, end = width - frame["end"], width - frame["start"]
    return frame.assign(
        start=frame["start"].where(~is_turned, start),
        end=frame["end"].where(~is_turned, end),
        # Drawn from its left edge, where in such a line the space after it stands, if any
        at=frame["at"].where(~is_turned, start),
    )


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
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=210))
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
        axis=alt.Axis(tickCount=4, format="~g", titleAnchor="end"),
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
    return alt.LayerChart(layer=[zero, bars, proof], height=60 + 24 * len(frame))


def _short(text: str, n: int = 34) -> str:
    text = shown(" ".join(text.split()))
    return text if len(text) <= n else text[: n - 1] + "…"


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
    return alt.LayerChart(layer=[base.mark_line(opacity=0.7), marks], height=260)
