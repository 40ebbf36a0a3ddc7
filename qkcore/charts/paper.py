"""A chart as a figure for a paper: at column width, in 8-point type, in colours that print in grey.

A chart says itself what it shows and what its marks mean (`theme.print_words`). Round what
Vega-Lite draws of it stand title, model and set, and a key of the marks. One unit of the drawing is
a point. Knows nothing of stores or pages.
"""

import hashlib
import re
from collections.abc import Iterable
from html import escape
from typing import Any

import altair as alt

from qkcore.charts.theme import GREY, vega_config

COLUMN, PAGE = 3.3, 6.9  # inches: one column of a paper, and both
TYPE = 8  # points
LINE = 10.5  # points from one line of type to the next
FONTS = "Liberation Sans, Arial, Helvetica, sans-serif"
PNG_PPI = 600
SMALLEST = 20  # square points of a sign in a cell
FORMATS = ("svg", "pdf", "png")

# Head, model, vote, lens, neither, probe: each is of another lightness, so they differ in grey.
CATEGORICAL = ("#b3236f", "#16191f", "#e9a6c6", "#8d7b00", "#e9ebee", "#5aa3d8")
# From light to dark all along: a scale that is dark at both ends would print chance as the extreme.
DIVERGING = (
    "#fbe3bf #f7d9ae #edcb9f #dac6ab #bfbfbf #a9b3be #7f9bc0 #547fb5 #2c5d9c #0b3372".split()
)
INK, FAINT = "#16191f", "#4a4f57"
LINES = "#63676f"  # darker than on screen: it is thin
OF_SCREEN = 2 / 3  # type of a page is 12 pixels, so all else shrinks alike


def paper_figure(
    chart: alt.TopLevelMixin,
    title: str | None = None,
    about: str = "",
    note: str = "",
    width: float = COLUMN,
) -> str:
    """The chart as a figure of a paper: an SVG that needs nothing else.

    Args:
        chart: that a function of qkcore.charts made, not themed.
        title: in bold above it; None: as the chart calls itself.
        about: below the title: model and set.
        note: below the key.
        width: in inches, `COLUMN` or `PAGE` as a rule.

    Returns:
        SVG text; `picture` makes a PDF or PNG of it.

    >>> from qkcore import ResultStore, demo_store, left_over, paper_figure, what_is_left
    >>> steps = left_over(store := ResultStore.kept(demo_store()), store.runs()["run_id"].iloc[0])
    >>> svg = paper_figure(what_is_left(steps), about="SmolLM2-135M on PARARULE-Plus")
    >>> svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="3.3in"')
    True
    """
    import vl_convert  # some 50 MB, and wanted by few

    with alt.data_transformers.disable_max_rows():
        spec: dict[str, Any] = chart.to_dict()
    words: dict[str, Any] = spec.pop("usermeta", {}).get("print", {})
    points = 72 * width
    drawn = vl_convert.vegalite_to_svg(for_paper(spec, points))
    inner_width, inner_height = (float(one) for one in _SIZE.findall(drawn)[0])
    y, parts = 0.0, []
    for text, style in (
        (title or words.get("title", ""), f'font-weight="bold" fill="{INK}"'),
        (about, f'fill="{FAINT}"'),
    ):
        lines, y = _written(text, points, y, style)
        parts += lines
    y += 3
    shrunk = min(1.0, points / inner_width)  # a chart with a width of its own may be too wide
    parts.append(_nested(drawn, 0, y, inner_width * shrunk, inner_height * shrunk))
    keys, y = _keyed(words.get("keys", ()), points, y + inner_height * shrunk + 2)
    parts += keys
    lines, y = _written(note, points, y, f'fill="{FAINT}"')
    height = y + 3
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}in" height="{height / 72:.3f}in" '
        f'viewBox="0 0 {points:.1f} {height:.1f}" font-family="{FONTS}" font-size="{TYPE}">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join([*parts, *lines])}</svg>'
    )


def picture(svg: str, file_format: str) -> bytes:
    """A figure as a file, in its true size: "svg", "pdf", or "png" in 600 pixels an inch."""
    import vl_convert

    if file_format == "svg":
        return svg.encode()
    plain, _, _ = in_points(svg)
    if file_format == "pdf":
        return vl_convert.svg_to_pdf(plain)
    return vl_convert.svg_to_png(plain, ppi=PNG_PPI)


def in_points(svg: str) -> tuple[str, float, float]:
    """A figure without a unit, of which one is a point of a PDF; its width and its height."""
    width, height = _IN_INCHES.findall(svg)[0]
    size = f' width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return _IN_INCHES.sub(size, svg, count=1), float(width), float(height)


_IN_INCHES = re.compile(r' width="[\d.]+in" height="[\d.]+in" viewBox="0 0 ([\d.]+) ([\d.]+)"')
_SIZE = re.compile(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"')


def for_paper(spec: dict[str, Any], points: float) -> dict[str, Any]:
    """The specification of a chart, so many points wide all in all, in type of 8 points.

    A grid whose rows are numbers is made lower than wide, since its labels may be left out.
    """
    height = float(spec.get("height", 300)) * OF_SCREEN
    is_grid = _says(spec, "labelOverlap", True)
    if is_grid:
        height = min(height, points * (1.1 if points <= 72 * COLUMN else 0.7))
    ratio = min(OF_SCREEN, height / float(spec.get("height", 300)))
    small: dict[str, Any] = _smaller(spec, ratio, points)
    if "layer" in small:
        small["layer"] = [one for layer in small["layer"] for one in _ringed(layer)]
    config = vega_config(CATEGORICAL, DIVERGING) | {
        "font": FONTS,
        "axis": {
            "labelFontSize": TYPE,
            "titleFontSize": TYPE,
            "titleFontWeight": "normal",
            "labelColor": INK,
            "titleColor": INK,
            "gridColor": "#e4e6ea",
            "titlePadding": 4,
        },
        "legend": {
            "labelFontSize": TYPE,
            "titleFontSize": TYPE,
            "titleFontWeight": "normal",
            "symbolSize": 45,
            "labelColor": INK,
            "titleColor": INK,
            "offset": 6,
            "columnPadding": 6,
        },
        "text": {"fontSize": TYPE},
        "view": {"stroke": "#c9ccd2"},
    }
    wide = float(spec["width"]) * OF_SCREEN if "width" in spec else points
    # A number beside the last mark stands beyond the plot
    edges = {"left": 1, "top": 1, "bottom": 1, "right": 14 if _says(spec, "align", "left") else 1}
    size = {"width": wide, "height": height, "padding": edges}
    return small | size | {"autosize": {"type": "fit", "contains": "padding"}, "config": config}


def text_width(text: str, size: float = TYPE) -> float:
    """How wide a text of a sans-serif type is, in points, to about a tenth; never much less.

    >>> round(text_width("Layer"), 1), round(text_width("ill"), 1)
    (21.7, 7.2)
    """
    return size * sum(_width(sign) for sign in text)


def _width(sign: str) -> float:
    """In ems."""
    if sign in " iljtfrI.,:;'|!()[]/-·":
        return 0.3
    if sign in "mwMW%@—" or ord(sign) > 0x2E80:
        return 0.9
    return 0.7 if sign.isupper() else 0.57


def wrapped(text: str, width: float, size: float = TYPE) -> list[str]:
    """A text in lines that are so many points wide; a word that is longer is broken.

    >>> wrapped("what is left of it", 40)
    ['what is', 'left of it']
    """
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if text_width(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while text_width(word, size) > width and len(word) > 1:
            n = next(n for n in range(len(word), 0, -1) if n == 1 or _fits(word[:n], width, size))
            lines.append(word[:n])
            word = word[n:]
        line = word
    return [*lines, line] if line else lines


def _fits(text: str, width: float, size: float) -> bool:
    return text_width(text, size) <= width


def _written(text: str, width: float, y: float, style: str) -> tuple[list[str], float]:
    """The lines of a text as SVG, and where the next thing may begin."""
    lines = wrapped(text, width - 4)
    return [
        f'<text x="2" y="{y + LINE * (n + 0.85):.1f}" {style}>{escape(line)}</text>'
        for n, line in enumerate(lines)
    ], y + LINE * len(lines)


def _keyed(keys: Iterable[tuple[str, str]], width: float, y: float) -> tuple[list[str], float]:
    """A key of marks, side by side while there is room; and where the next thing may begin."""
    x, parts = 2.0, []
    for mark, text in keys:
        lines = wrapped(text, width - 24)
        needed = 20 + max(text_width(line) for line in lines) + 8
        if x > 2 and x + needed > width:
            x, y = 2.0, y + LINE
        parts.append(f'<g transform="translate({x:.1f},{y + LINE * 0.5:.1f})">{MARKS[mark]}</g>')
        for n, line in enumerate(lines):
            at = y + LINE * (n + 0.85)
            parts.append(f'<text x="{x + 20:.1f}" y="{at:.1f}" fill="{INK}">{escape(line)}</text>')
        if len(lines) > 1:
            x, y = 2.0, y + LINE * len(lines)
        else:
            x += needed
    return parts, y + LINE if x > 2 else y


def _stroke(style: str) -> str:
    return f'<path d="M0,0H16" stroke="{LINES}" {style}/>'


# What stands for a mark in the key, 16 points wide round y = 0.
MARKS = {
    "line": _stroke('stroke-width="0.8"'),
    "dashed": _stroke('stroke-width="1.3" stroke-dasharray="4.7 2.7"'),
    "dotted": _stroke('stroke-width="1.3" stroke-dasharray="1.3 2"'),
    "interval": f'<path d="M8,-4V4" stroke="{INK}" stroke-width="1.3"/>',
    "band": f'<rect y="-3.5" width="16" height="7" fill="{CATEGORICAL[0]}" opacity="0.2"/>',
    "ring": '<rect x="3" y="-3.5" width="10" height="7" fill="none" stroke="black" '
    'stroke-width="1.6"/>',
    "outline": f'<rect x="3" y="-3.5" width="10" height="7" fill="none" stroke="{LINES}" '
    'stroke-width="1.3"/>',
    "hatch": f'<path d="M5,3L11,-3" stroke="{LINES}" stroke-width="0.8"/>',
    "constant": f'<path d="M5,-1.5H11M5,1.5H11" stroke="{INK}" stroke-width="0.9"/>',
    "diamond": f'<path d="M8,-4L12,0L8,4L4,0Z" fill="{CATEGORICAL[0]}"/>',
    "divider": f'<path d="M8,-4V4" stroke="{LINES}" stroke-width="1"/>',
}


def _nested(svg: str, x: float, y: float, width: float, height: float) -> str:
    """An SVG inside another, its names made its own."""
    own = hashlib.sha256(svg.encode()).hexdigest()[:8]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{own}-\1"', svg)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{own}-\1)", body)
    body = re.sub(r'(href=")#', rf"\1#{own}-", body)
    box = re.search(r'viewBox="[^"]*"', body)
    start = body.index(">", body.index("<svg")) + 1
    return (
        f'<svg x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f"{box[0] if box else ''}>{body[start:]}"
    )


def _smaller(part: Any, ratio: float, points: float) -> Any:  # noqa: ANN401
    """All of a specification that is measured in pixels, for a figure of so many points."""
    if isinstance(part, list):
        return [_smaller(one, ratio, points) for one in part]
    if not isinstance(part, dict):
        return LINES if part == GREY else part
    made = {}
    for name, value in part.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number:
            made[name] = value if name == "datasets" else _smaller(value, ratio, points)
        elif name in ("strokeWidth", "dx", "dy"):
            made[name] = value * OF_SCREEN
        elif name in ("size", "symbolSize"):
            made[name] = max(value * ratio**2, SMALLEST)
        else:
            made[name] = {"fontSize": TYPE, "labelLimit": 0}.get(name, value)
    if part.get("type") == "bar" and "height" in part:
        made["height"] = part["height"] * OF_SCREEN
    if isinstance(part.get("legend"), dict) and "domain" in part.get("scale", {}):
        widths = [text_width(name) + 26 for name in part["scale"]["domain"] if _is_name(name)]
        n_columns = part["legend"].get("columns", len(widths))
        if sum(sorted(widths)[-n_columns:]) > points:
            made["legend"]["columns"] = 1
    return made


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _ringed(layer: dict[str, Any]) -> list[dict[str, Any]]:
    """A layer as it is; a ring round a cell in black on white, which every grey shows."""
    mark, encoding = layer.get("mark"), layer.get("encoding", {})
    if not (isinstance(mark, dict) and mark.get("filled") is False and "stroke" in encoding):
        return [layer]
    bare = {name: value for name, value in encoding.items() if name != "stroke"}
    return [
        layer | {"mark": mark | {"stroke": colour, "strokeWidth": width}, "encoding": bare}
        for colour, width in (("white", 3.6), ("black", 1.6))
    ]


def _says(part: object, name: str, value: object) -> bool:
    """Whether a specification says so anywhere."""
    if isinstance(part, list):
        return any(_says(one, name, value) for one in part)
    if not isinstance(part, dict):
        return False
    return part.get(name) == value or any(_says(one, name, value) for one in part.values())
