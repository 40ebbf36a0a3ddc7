"""How a head answers, as a small drawing that moves: a stored worked example as SVG text.

Each candidate's query meets the key at the statement's end, each meeting gives a bar, and the bar
that goes furthest is the head's answer. It moves once, for seven seconds, and not at all where the
reader's system asks for less motion: then it is the last picture. All numbers are the example's
own. Text alone: no script, and words from puzzles are escaped.
"""

import html
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkcore.wording import head_name, visible

WIDTH = 400
LETTER = 6.5  # pixels of a letter of the statement
N_LETTERS = 48  # of the statement, from its end
N_CANDIDATES = 4  # at most, the best ones
KEY_Y, FIRST_Y, ROW = 40, 112, 42
QUERY_X, BARS_X, BARS_END = 104, 128, 340
INK = {False: ("#20242c", "#667080", "#c2267a"), True: ("#eceef2", "#9aa1ad", "#ff7ab8")}
# Seconds at which each part begins; the last of them ends at the seventh second.
MEET, GROW, ANSWER = 1.0, 3.2, 6.2


@dataclass(frozen=True, slots=True)
class Answering:
    """What the drawing shows."""

    head: str
    statement: str
    key_token: str
    candidates: tuple[str, ...]  # those that are drawn
    scores: tuple[float, ...]
    chosen: str
    is_right: bool

    @property
    def sentence(self) -> str:
        """The same in words, for who does not see it."""
        listed = ", ".join(
            f"{score:.1f} for {candidate}"
            for candidate, score in zip(self.candidates, self.scores, strict=True)
        )
        return (
            f"{self.head} on a stored test puzzle: query times key gives {listed}. "
            f"It answers {self.chosen}, which is {'right' if self.is_right else 'wrong'}."
        )


def answering(example: pd.Series) -> Answering:
    """What a row of `ResultStore.worked_example` has to show.

    >>> example = pd.Series(
    ...     dict(layer=1, head=2, statement="Max is happy.", tokens=["happy", "."], key_at=1,
    ...          candidates=["true", "false"], answer=0, key_vector=[1.0, 2.0],
    ...          query_vectors=[[2.0, 1.0], [0.0, 1.0]])
    ... )
    >>> answering(example).scores, answering(example).chosen
    ((4.0, 2.0), 'true')
    """
    key = np.asarray(example["key_vector"], dtype=float)
    scores = [float(np.asarray(one, dtype=float) @ key) for one in example["query_vectors"]]
    candidates = [_plain(one) for one in example["candidates"]]
    order = sorted(range(len(scores)), key=lambda one: -scores[one])
    shown = sorted(order[:N_CANDIDATES])
    is_tie = len(order) > 1 and scores[order[0]] == scores[order[1]]
    return Answering(
        head=head_name(int(example["layer"]), int(example["head"])),
        statement=_plain(example["statement"]),
        key_token=_plain(example["tokens"][int(example["key_at"])]),
        candidates=tuple(candidates[one] for one in shown),
        scores=tuple(scores[one] for one in shown),
        chosen="nothing, for there is a tie" if is_tie else candidates[order[0]],
        is_right=not is_tie and order[0] == int(example["answer"]),
    )


def drawing(it: Answering, is_dark: bool = False) -> str:
    """The drawing as SVG text, WIDTH units wide, in the colours of a light or dark page.

    >>> it = Answering("L1 H2", "A < B.", ".", ("true", "false"), (4.0, -2.0), "true", True)
    >>> svg = drawing(it)
    >>> svg.startswith("<svg "), "A &lt; B." in svg, svg.count('class="bar')
    (True, True, 2)
    """
    ink, grey, accent = INK[is_dark]
    height = FIRST_Y + ROW * len(it.candidates) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{html.escape(it.sentence)}</title>",
        f"<style>{_style(ink, grey, accent)}</style>",
        *_statement(it),
        *_candidates(it),
        f'<text class="answer" x="0" y="{height - 8}">{html.escape(it.head)} answers '
        f'<tspan class="chosen">{html.escape(_cut(it.chosen, 24))}</tspan>'
        f": {'right' if it.is_right else 'wrong'}</text>",
        "</svg>",
    ]
    return "\n".join(parts)


def _statement(it: Answering) -> list[str]:
    """The statement's end, and the key at its last token."""
    end = it.statement[-N_LETTERS:] if len(it.statement) > N_LETTERS else it.statement
    text = f"…{end[1:]}" if end != it.statement else end
    width = LETTER * len(text)
    return [
        '<text class="small" x="0" y="12">statement</text>',
        f'<text class="words" x="{BARS_END - width:.1f}" y="26" textLength="{width:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>',
        f'<circle class="key" cx="{_key_x(it):.1f}" cy="{KEY_Y}" r="5"/>',
        f'<text class="small key-name" x="{_key_x(it) + 10:.1f}" y="{KEY_Y + 5}">key</text>',
        f'<text class="small" x="0" y="{FIRST_Y - 22}">candidate</text>',
        f'<text class="small" x="{QUERY_X - 14}" y="{FIRST_Y - 22}">query</text>',
        f'<text class="small" x="{BARS_X + 40}" y="{FIRST_Y - 22}">query · key = QK-score</text>',
    ]


def _key_x(it: Answering) -> float:
    """Below the middle of the last token, which may be less than a word."""
    token = it.key_token.strip()
    of_token = len(token) if token and it.statement.endswith(token) else 1
    return BARS_END - LETTER * min(of_token, N_LETTERS) / 2


def _candidates(it: Answering) -> list[str]:
    """A row each: its name, its query that goes to the key, its bar and its score."""
    low, high = min(0.0, *it.scores), max(0.0, *it.scores)
    unit = (BARS_END - BARS_X) / ((high - low) or 1.0)
    zero = BARS_X - low * unit
    parts = [
        f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="{FIRST_Y - 14}" '
        f'y2="{FIRST_Y - 14 + ROW * len(it.candidates)}"/>'
    ]
    for row, (candidate, score) in enumerate(zip(it.candidates, it.scores, strict=True)):
        y = FIRST_Y + ROW * row + 6
        best = " best" if candidate == it.chosen else ""
        left, width = min(zero, zero + score * unit), abs(score) * unit
        away = f"--x: {_key_x(it) - QUERY_X:.1f}px; --y: {KEY_Y - y:.1f}px"
        parts += [
            f'<text class="words" x="0" y="{y + 5}">{html.escape(_cut(candidate, 11))}</text>',
            f'<line class="path" x1="{QUERY_X}" y1="{y}" x2="{_key_x(it):.1f}" y2="{KEY_Y}"/>',
            f'<circle class="home" cx="{QUERY_X}" cy="{y}" r="5"/>',
            f'<circle class="query" cx="{QUERY_X}" cy="{y}" r="4" style="{away}"/>',
            f'<rect class="bar{best}" x="{left:.1f}" y="{y - 9}" width="{max(width, 1):.1f}" '
            f'height="18" style="transform-origin: {zero:.1f}px 0"/>',
            f'<text class="score" x="{BARS_END + 8}" y="{y + 5}">{_number(score)}</text>',
        ]
    return parts


def _style(ink: str, grey: str, accent: str) -> str:
    """Colours, and what moves where nobody asks for less motion; without it, the last picture."""
    return f"""
text {{ font: 14px "Source Sans", "Source Sans Pro", Helvetica, Arial, sans-serif; fill: {ink}; }}
.small {{ font-size: 12.5px; fill: {grey}; }}
.answer {{ font-size: 16px; }} .chosen {{ fill: {accent}; font-weight: 600; }}
.key {{ fill: {accent}; }} .query, .home {{ fill: {grey}; }}
.path {{ stroke: {grey}; stroke-width: 1; stroke-dasharray: 2 4; opacity: 0.7; }}
.zero {{ stroke: {grey}; }} .bar {{ fill: {grey}; }} .bar.best {{ fill: {accent}; }}
@media (prefers-reduced-motion: no-preference) {{
  .query {{ animation: meet {GROW - MEET}s {MEET}s ease-in-out both; }}
  .path, .key {{ animation: appear 0.8s {MEET - 0.6}s both; }}
  .bar {{ animation: grow {ANSWER - GROW - 0.4}s {GROW}s ease-out both; }}
  .score {{ animation: appear 0.6s {ANSWER - 0.9}s both; }}
  .answer {{ animation: appear 0.8s {ANSWER}s both; }}
}}
@keyframes meet {{ 75% {{ transform: translate(var(--x), var(--y)); opacity: 1; }}
  90% {{ transform: translate(var(--x), var(--y)); opacity: 0; }}
  91% {{ transform: none; opacity: 0; }} 100% {{ opacity: 1; }} }}
@keyframes grow {{ from {{ transform: scaleX(0); }} }}
@keyframes appear {{ from {{ opacity: 0; }} }}
"""


def _number(score: float) -> str:
    """A score in few signs.

    >>> _number(-12.345), _number(0.0312)
    ('−12.3', '0.031')
    """
    text = f"{score:.1f}" if abs(score) >= 1 or score == 0 else f"{score:.2g}"
    return text.replace("-", "−")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plain(text: str) -> str:
    r"""Words from elsewhere on one line, without signs that XML refuses or that turn its direction.

    >>> _plain("a\nb\x00")
    'a b '
    """
    return "".join(one if one.isprintable() else " " for one in visible(str(text)))
