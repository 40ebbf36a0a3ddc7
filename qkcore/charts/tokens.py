"""The prompt as a head's query sees it: its text in the page's own type, tinted token by token.

Tidy frame in, Altair chart out. The server says how wide each word is and what may not be parted;
lines are broken where the chart is drawn, for only there is its width known. Knows nothing of
where values come from.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

import altair as alt
import numpy as np
import pandas as pd

from qkcore.charts.theme import CELL, READABLE, WIDTH, swatches
from qkcore.wording import is_right_to_left

MAX_TOKENS = 2_000  # tokens that are drawn; the table has all of them
MAX_SHOWN = 20  # characters of a token that are drawn
MAX_WORD = 160  # pixels that are kept in one line; longer words are broken between their tokens
FONT_SIZE, LINE = 16, 27  # pixels: the page's own text, and from line to line
OTHER_WIDTH, WIDE = 0.58, 1.0  # of the font size: signs not in the table; symbols and East Asia
# Thousandths of the font size, for the signs from " " to "~" in Source Sans, as a browser measures
WIDTHS = [
    *(200, 289, 426, 497, 497, 824, 609, 249, 303, 303, 418, 497, 249, 311, 249, 350),
    *(497, 497, 497, 497, 497, 497, 497, 497, 497, 497, 249, 249, 497, 497, 497, 425),
    *(847, 543, 588, 571, 615, 527, 494, 617, 652, 263, 479, 579, 486, 727, 647, 664),
    *(566, 664, 569, 534, 536, 645, 515, 786, 513, 476, 539, 303, 350, 303, 497, 500),
    *(542, 504, 553, 456, 555, 496, 292, 504, 544, 246, 247, 495, 255, 829, 547, 542),
    *(555, 555, 347, 419, 338, 544, 467, 719, 446, 467, 425, 303, 241, 303, 497),
]


def shown(text: str) -> str:
    r"""A token's text as it can be drawn.

    Line breaks and signs that cannot be seen, as signs that can.

    >>> shown(" Max"), shown("\n"), shown("a\x00b")
    (' Max', '⏎', 'a�b')
    """
    text = text.replace("\n", "⏎").replace("\t", " ")
    return visible_signs(text if len(text) < MAX_SHOWN else text[: MAX_SHOWN - 1] + "…")


def visible_signs(text: str) -> str:
    r"""The text with a sign in the place of each that cannot be drawn.

    >>> visible_signs("a\x00b")
    'a\ufffdb'
    """
    return "".join(
        "\ufffd" if unicodedata.category(sign) in ("Cc", "Cs", "Co", "Cn") else sign
        for sign in text
    )


def text_width(text: str) -> float:
    """Pixels that a text takes in the page's own type; of signs outside of ASCII, about.

    >>> text_width("i") < text_width("n") < text_width("m")
    True
    """
    return FONT_SIZE * sum(map(_sign_width, text))


def _sign_width(sign: str) -> float:
    if " " <= sign <= "~":
        return WIDTHS[ord(sign) - ord(" ")] / 1000
    if unicodedata.combining(sign):
        return 0.0
    is_wide = unicodedata.east_asian_width(sign) in "WF" or unicodedata.category(sign) == "So"
    return WIDE if is_wide else OTHER_WIDTH


def blocks_of(texts: Sequence[str], premises: Sequence[int | None]) -> list[int]:
    r"""The block of text that each token is in; every premise is one, and every block a new line.

    >>> blocks_of(["Context", ":", " Max", ".", "\n", "End"], [None, None, 0, 0, None, None])
    [0, 0, 1, 1, 1, 2]
    """
    blocks: list[int] = []
    block, is_break, before = 0, False, premises[0] if len(premises) else None
    for number, (text, premise) in enumerate(zip(texts, premises, strict=True)):
        block += number > 0 and (is_break or bool(premise != before and text.strip()))
        blocks.append(block)
        is_break, before = text.endswith("\n"), premise if text.strip() else before
    return blocks


def word_starts(texts: Sequence[str], ends: Sequence[float]) -> Iterator[float]:
    """Where the word of each token of a block begins; words that are too long are parted.

    Args:
        texts: of the tokens.
        ends: where each of them ends, in pixels.

    >>> list(word_starts(["wump", "us", " is"], [40.0, 60.0, 75.0]))
    [0.0, 0.0, 60.0]
    """
    start = begun = 0.0
    for text, end in zip(texts, ends, strict=True):
        if text[:1].isspace() or end - start > MAX_WORD:
            start = begun
        yield start
        begun = end


def token_strip(frame: pd.DataFrame, legend: str) -> alt.LayerChart:
    """Every token of the prompt, tinted by a value; the key token is ringed.

    As wide as it is drawn. A click selects a token's premise (selection `CELL`).

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
    frame = measured(frame.head(MAX_TOKENS))
    reach = max(float(frame.loc[frame["in_scale"], "value"].abs().max() or 0), 1e-9)
    tooltip = [
        alt.Tooltip("drawn:N", title="Token"),
        alt.Tooltip("value:Q", title="Value", format=".3g"),
    ]
    y = alt.Y("line:O", axis=None, scale=alt.Scale(paddingInner=0.1, paddingOuter=0.05))
    pointer = alt.ExprRef("isValid(datum.premise) ? 'pointer' : 'default'")
    boxes = alt.Chart().encode(
        x=alt.X("left:Q", scale=None, axis=None), x2=alt.X2("right:Q"), y=y, tooltip=tooltip
    )
    tint = alt.Color(
        "value:Q",
        title=legend,
        scale=alt.Scale(domain=[-reach, reach], domainMid=0, clamp=True, interpolate="rgb"),
        legend=swatches(values=_three(reach), format=READABLE),
    )
    ring = alt.Stroke("ringed:N", scale=alt.Scale(domain=["chosen head"]), legend=None)
    # The theme's second colour is its ink; left alone, text would be black in the dark theme too.
    ink = alt.Color("ink:N", scale=alt.Scale(domain=["chosen head", "model"]), legend=None)
    words = alt.Chart().mark_text(
        align="left", baseline="middle", fontSize=FONT_SIZE, cursor=pointer
    )
    select = alt.selection_point(name=CELL, fields=["premise"], toggle=False)
    tinted = boxes.mark_rect(opacity=0.55, cursor=pointer).encode(color=tint)
    chart = alt.LayerChart(
        data=frame,
        layer=[
            tinted.transform_filter("datum.in_scale").add_params(select),
            boxes.mark_rect(filled=False, strokeWidth=2)
            .encode(stroke=ring)
            .transform_filter("datum.is_key"),
            words.encode(
                x=alt.X("at:Q", scale=None, axis=None),
                y=y,
                text=alt.Text("drawn:N"),
                color=ink,
                tooltip=tooltip,
            ),
        ],
        width=WIDTH,
        height=alt.Step(LINE),
        view=alt.ViewBackground(stroke=None),
    )
    return _with_lines(chart, float(frame["longest"].max())).resolve_scale(color="independent")


def _with_lines(chart: alt.LayerChart, longest: float) -> alt.LayerChart:
    """Lines as long as the chart is wide, less the longest word: none is parted or cut."""
    # A line begins with a letter: the space before it is not drawn.
    x = "max(datum.within - datum.first, 0)"
    return (
        chart.transform_calculate(row=f"floor(datum.word / max(width - {longest:.0f}, 80))")
        .transform_joinaggregate(first="min(inked)", number="min(token)", groupby=["block", "row"])
        .transform_calculate(begins="datum.token == datum.number ? 1 : 0")
        .transform_window(line="sum(begins)", sort=[alt.SortField("token")], frame=[None, 0])
        .transform_calculate(shown="datum.wide - (datum.begins ? datum.indent : 0)")
        .transform_calculate(
            left=f"datum.is_turned ? width - {x} - datum.shown : {x}",
        )
        .transform_calculate(
            right="datum.left + datum.shown",
            # A token is drawn from its first letter; the space before it belongs to its tint.
            at="datum.left + (datum.is_turned || datum.begins ? 0 : datum.indent)",
        )
    )


def _three(reach: float) -> list[float]:
    """A readable number within reach, its opposite and 0.

    >>> _three(7.43), _three(0.0123)
    ([-7.0, 0, 7.0], [-0.01, 0, 0.01])
    """
    unit = 10.0 ** np.floor(np.log10(reach))
    most = float(f"{np.floor(reach / unit) * unit:.1g}")
    return [-most, 0, most]


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """With each token's text as drawn, and what decides where.

    Returns:
        drawn (the text), block, wide, indent, within (where it begins in its block), inked (where
        its first letter does), word (where its word does), longest (of all words), all in pixels;
        is_turned (its block is written from right to left), ink and ringed (names of colours).
    """
    texts = frame["text"].tolist()
    premises = [None if one is pd.NA else int(one) for one in frame["premise"]]
    seen = [shown(text) for text in texts]
    rows = zip(blocks_of(texts, premises), texts, seen, strict=True)
    placed: list[tuple[int, float, float, float, bool]] = []
    for block, group in groupby(rows, key=lambda row: row[0]):
        tokens = list(group)
        wide = [text_width(drawn) for _, _, drawn in tokens]
        begins = [0.0, *np.cumsum(wide).tolist()]
        own = [text for _, text, _ in tokens]
        words = word_starts(own, begins[1:])
        is_turned = is_right_to_left("".join(own))
        for width, begin, word in zip(wide, begins, words, strict=False):
            placed.append((block, width, begin, word, is_turned))
    columns = ["block", "wide", "within", "word", "is_turned"]
    found = pd.DataFrame(placed, columns=columns).astype({"is_turned": bool})
    frame = pd.concat([frame.reset_index(drop=True), found], axis=1)
    longest = (frame["within"] + frame["wide"] - frame["word"]).max()
    indent = [text_width(text) - text_width(text.lstrip(" ")) for text in seen]
    return frame.assign(
        drawn=[text.lstrip(" ") for text in seen],
        indent=indent,
        inked=frame["within"] + indent,
        longest=longest,
        ink="model",
        ringed="chosen head",
    )
