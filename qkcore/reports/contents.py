"""A report as data: titled sections of paragraphs, tables, figures and code.

What a writer (`as_html`, `as_pdf`) is given. Knows nothing of stores, and nothing of files.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as people read them, a row of titles first."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """An SVG of `paper.paper_figure`, and what to say of it."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to be kept as they are."""

    text: str


Part = Text | Table | Figure | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All of it; `about` stands below the title."""

    title: str
    about: str
    sections: tuple[Section, ...]


def figures_of(report: Report) -> Report:
    """The figures of a report and nothing else, numbered from 1, under the titles of its sections.

    >>> drawn, told = Figure("<svg/>", "How far."), Text("So far.")
    >>> figures_of(Report("T", "", (Section("S", (drawn, told)), Section("R", (told,))))).sections
    (Section(title='S', parts=(Figure(svg='<svg/>', caption='Figure 1. How far.'),)),)
    """
    sections, number = [], 0
    for section in report.sections:
        parts = []
        for part in section.parts:
            if isinstance(part, Figure):
                number += 1
                parts.append(Figure(part.svg, f"Figure {number}. {part.caption}"))
        if parts:
            sections.append(Section(section.title, tuple(parts)))
    return Report(report.title, report.about, tuple(sections))


def table_of(frame: pd.DataFrame, columns: dict[str, Callable[[pd.Series], str]]) -> Table:
    """A table with a row a row of the frame.

    Args:
        frame: what is told.
        columns: title to what a row's cell says.

    >>> found = table_of(pd.DataFrame({"n": [1, 2]}), {"Puzzles": lambda row: str(row["n"])})
    >>> found.titles, found.rows
    (('Puzzles',), (('1',), ('2',)))
    """
    rows = [tuple(say(row) for say in columns.values()) for _, row in frame.iterrows()]
    return Table(tuple(columns), tuple(rows))
