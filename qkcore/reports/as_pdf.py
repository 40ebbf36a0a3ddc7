"""A report as PDF pages (A4): laid out as drawings, which vl-convert turns into pages with text.

So figures are the same drawings as on paper and in HTML, and letters of every script that the
machine has a font for are there. pypdf puts the pages together.
"""

import io
from html import escape

from qkcore.charts.paper import FONTS, in_points, text_width, wrapped
from qkcore.reports.contents import Code, Figure, Part, Report, Table, Text

WIDTH, HEIGHT, EDGE = 595.0, 842.0, 62.0  # points
INSIDE = WIDTH - 2 * EDGE
BODY, SMALL, CODE = 9.5, 8.0, 7.5  # points of type
MONO = "Liberation Mono, DejaVu Sans Mono, Courier New, monospace"
MONO_WIDTH = 0.602  # ems
INK, FAINT, THIN = "#16191f", "#4a4f57", "#c9ccd2"
GAP = 14.0  # between columns of a table


def pdf_of(report: Report) -> bytes:
    """The report's pages, numbered, with an outline of its sections."""
    import vl_convert  # some 50 MB, and wanted by few
    from pypdf import PdfWriter

    paper = _Paper()
    paper.text(report.title, 17, is_bold=True)
    paper.text(report.about, BODY, FAINT)
    starts = []
    for section in report.sections:
        first = section.parts[0]  # a heading does not stand alone at a page's end
        paper.room(40 + (_fitted(first)[1] + 30 if isinstance(first, Figure) else 50))
        paper.y += 16
        starts.append((section.title, len(paper.pages) - 1))
        paper.text(section.title, 12.5, is_bold=True)
        for part in section.parts:
            paper.y += 5
            paper.part(part)
    writer = PdfWriter()
    for number, drawings in enumerate(paper.pages, start=1):
        footer = f"{report.title}: page {number} of {len(paper.pages)}"
        drawings.append(_line(footer, EDGE, HEIGHT - 30, SMALL, FAINT))
        writer.append(io.BytesIO(vl_convert.svg_to_pdf(_page(drawings))), import_outline=False)
    for title, page in starts:
        writer.add_outline_item(title=title, page_number=page)
    writer.add_metadata({"/Title": report.title, "/Creator": "QKScope"})
    sink = io.BytesIO()
    writer.write(sink)
    return sink.getvalue()


def _page(drawings: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{FONTS}">{"".join(drawings)}</svg>'
    )


def _line(text: str, x: float, y: float, size: float, colour: str, more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" xml:space="preserve" '
        f"{more}>{escape(text)}</text>"
    )


class _Paper:
    """Pages that fill from the top; `y` is where the next thing begins."""

    def __init__(self) -> None:
        self.pages: list[list[str]] = [[]]
        self.y = EDGE

    def room(self, height: float) -> bool:
        """Begin a new page where the height is not left on this one; says whether it did."""
        is_new = self.y + height > HEIGHT - EDGE and self.y > EDGE
        if is_new:
            self.pages.append([])
            self.y = EDGE
        return is_new

    def text(self, text: str, size: float, colour: str = INK, is_bold: bool = False) -> None:
        """A paragraph, line by line."""
        wide = INSIDE / 1.08 if is_bold else INSIDE
        for line in wrapped(text, wide, size):
            self.room(1.35 * size)
            self.y += 1.35 * size
            self._write(line, EDGE, size, colour, 'font-weight="bold"' if is_bold else "")

    def part(self, part: Part) -> None:
        """A paragraph, a table, a figure or lines of code."""
        if isinstance(part, Text):
            self.text(part.text, BODY, is_bold=part.is_strong)
        elif isinstance(part, Code):
            self._code(part)
        elif isinstance(part, Figure):
            self._figure(part)
        else:
            self._table(part)

    def _write(self, text: str, x: float, size: float, colour: str = INK, more: str = "") -> None:
        self.pages[-1].append(_line(text, x, self.y, size, colour, more))

    def _code(self, code: Code) -> None:
        n = int(INSIDE / (CODE * MONO_WIDTH))
        for whole in code.text.splitlines():
            for start in range(0, max(len(whole), 1), n):
                self.room(1.4 * CODE)
                self.y += 1.4 * CODE
                self._write(whole[start : start + n], EDGE, CODE, INK, f'font-family="{MONO}"')

    def _figure(self, figure: Figure) -> None:
        shrunk, height = _fitted(figure)
        self.room(height + 30)
        place = f"translate({EDGE:.1f},{self.y:.1f}) scale({shrunk:.4f})"
        self.pages[-1].append(f'<g transform="{place}">{in_points(figure.svg)[0]}</g>')
        self.y += height
        self.text(figure.caption, SMALL, FAINT)

    def _table(self, table: Table) -> None:
        widths = _widths(table)
        self._row(table.titles, widths, 'font-weight="bold"')
        for row in table.rows:
            if self.room(_row_height(row, widths)):
                self._row(table.titles, widths, 'font-weight="bold"')
            self._row(row, widths)
        self.y += 4

    def _row(self, row: tuple[str, ...], widths: list[float], more: str = "") -> None:
        height = _row_height(row, widths)
        self.room(height)
        top, x = self.y, EDGE
        for cell, width in zip(row, widths, strict=True):
            self.y = top
            for line in wrapped(cell, width, SMALL):
                self.y += 1.3 * SMALL
                self._write(line, x, SMALL, INK, more)
            x += width + GAP
        self.y = top + height
        rule = f'<path d="M{EDGE},{self.y:.1f}h{INSIDE}" stroke="{THIN}" stroke-width="0.5"/>'
        self.pages[-1].append(rule)


def _fitted(figure: Figure) -> tuple[float, float]:
    """How far a figure is shrunk to go on a page, and how high it is then."""
    _, width, height = in_points(figure.svg)
    shrunk = min(1.0, INSIDE / width, 0.8 * (HEIGHT - 2 * EDGE) / height)
    return shrunk, shrunk * height


def _row_height(row: tuple[str, ...], widths: list[float]) -> float:
    n = max(len(wrapped(cell, width, SMALL)) for cell, width in zip(row, widths, strict=True))
    return 1.3 * SMALL * max(n, 1) + 4


def _widths(table: Table) -> list[float]:
    """What each column needs; the widest give way where all together need more than there is."""
    columns = zip(table.titles, *table.rows, strict=True)
    needed = [max(1.08 * text_width(cell, SMALL) for cell in cells) + 2 for cells in columns]
    room = INSIDE - GAP * (len(needed) - 1)
    limit = max(needed)
    while sum(min(one, limit) for one in needed) > room:
        limit *= 0.97
    return [min(one, limit) for one in needed]
