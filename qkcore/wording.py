"""Numbers and names as people read and quote them. Plain strings, no drawing."""

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WORD_JOINER = "\u2060"
# Signs that turn the direction of writing
TURNING = r"[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"
RIGHT_TO_LEFT, END_OF_IT = "\u2067", "\u2069"  # round a text that runs so, whatever is beside it
NO_BREAK = "\u00a0"  # keeps a number and its percent sign on one line


def percent(share: float) -> str:
    r"""A share as people quote it.

    >>> percent(0.9312)
    '93.1\xa0%'
    """
    return f"{100 * share:.1f}{NO_BREAK}%"


def accuracy_text(accuracy: float, low: float, high: float, n: int) -> str:
    r"""An accuracy with its 95 % interval and the number of puzzles, in that order.

    >>> accuracy_text(0.9312, 0.918, 0.942, 1800)
    '93.1\xa0% (91.8 to 94.2, n = 1,800)'
    """
    return f"{percent(accuracy)} ({100 * low:.1f} to {100 * high:.1f}, n = {int(n):,})"


def gap_text(gap: float, low: float, high: float, p: float) -> str:
    """A gap in percentage points with its 95 % interval and p-value.

    >>> gap_text(0.091, 0.07, 0.112, 1e-9)
    '+9.1 points (+7.0 to +11.2, p < 0.001)'
    >>> gap_text(-0.02, -0.05, 0.01, 0.4)
    '−2.0 points (−5.0 to +1.0, p = 0.400)'
    """
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{100 * gap:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}, {chance})".replace(
        "-", "−"
    )


def texts_of(frame: "pd.DataFrame", wording: Callable[..., str], *columns: str) -> list[str]:
    """One text a row of a data frame: `wording` of its columns.

    >>> import pandas as pd
    >>> texts_of(pd.DataFrame({"layer": [1, 2], "head": [0, 3]}), head_name, "layer", "head")
    ['L1 H0', 'L2 H3']
    """
    return [wording(*row) for row in frame[list(columns)].itertuples(index=False)]


def head_name(layer: int, head: int) -> str:
    """A head's name everywhere; both count from 0.

    >>> head_name(17, 4)
    'L17 H4'
    """
    return f"L{layer} H{head}"


def run_text(model: str, puzzle_set: str, rope: str) -> str:
    """A run in words; the usual reading goes without saying.

    >>> run_text("SmolLM2-135M", "pararule-plus", "pre"), run_text("tiny", "made-up", "post")
    ('SmolLM2-135M on pararule-plus', 'tiny on made-up, after rotary')
    """
    reading = {"pre": "", "post": ", after rotary", "raw": ", as projected"}.get(rope, f", {rope}")
    return f"{model} on {puzzle_set}{reading}"


def layers_text(n_layers: int, n_with_heads: int) -> str:
    """How many layers, for a sentence that goes on with their heads.

    >>> layers_text(8, 8), layers_text(24, 6)
    ('8 layers with', '24 layers, 6 of them with')
    """
    if n_with_heads == n_layers:
        return f"{n_layers} layers with"
    return f"{n_layers} layers, {n_with_heads} of them with"


def is_right_to_left(text: str) -> bool:
    """Whether a text is written from right to left: its first letter that has a direction says so.

    >>> is_right_to_left("1. \u05de\u05e7\u05e1"), is_right_to_left("Max"), is_right_to_left("12")
    (True, False, False)
    """
    directions = (unicodedata.bidirectional(sign) for sign in text)
    return next((one for one in directions if one in ("L", "R", "AL")), "L") != "L"


def visible(text: str) -> str:
    r"""Text in which signs that turn the direction of writing are spelt out.

    So nothing around it is turned.

    >>> visible("a\u202eb")
    'a\\u202eb'
    """
    return re.sub(TURNING, lambda sign: f"\\u{ord(sign[0]):04x}", text)


def escaped(text: str) -> str:
    r"""Text from elsewhere, safe inside Markdown: shown as typed.

    >>> escaped("a*b* [x](y)")
    'a\\*b\\* \\[x\\]\\(y\\)'
    """
    # A word joiner, which nobody sees, keeps Streamlit from making links of addresses.
    unlinked = re.sub(
        r"(?i)(?<=[a-z])(?=://)|(?<=www)(?=\.)|(?<=\w)(?=@)", WORD_JOINER, visible(text)
    )
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$<>:])", r"\\\1", unlinked)
