"""The model's answer with the head in view switched off, and with others of its layer, by the desk.

What takes the place of a head's output is its mean over the tokens of some generated puzzles: for a
typed puzzle there are no validation puzzles. They are of the style whose words the puzzle has most
of, asked in the same words, and read once for the model in memory.
"""

import re

from pages.live.scoring import result_of, what_decides
from pages.live.work import SwitchOff, Without
from pages.server.settings import settings
from qkcore.asking.links import Shared
from qkcore.puzzles.generate import STYLES
from qkcore.puzzles.puzzle import Puzzle


def without(shared: Shared) -> Without | None:
    """The answers without the head in view; None while they are being worked out.

    Also where they cannot be; the page says so.
    """
    limit, own = settings().max_tokens, (shared.layer, shared.head)
    work = SwitchOff(shared, style_of(shared.puzzle), limit)
    return result_of("off", (*what_decides(shared), limit, own), shared.model, work)


def style_of(puzzle: Puzzle) -> str:
    """The style of generated puzzles that has most of a puzzle's words; of equals the first.

    >>> from pages.live.examples import EXAMPLES
    >>> style_of(EXAMPLES["Two steps"]), style_of(EXAMPLES["Everyday words"])
    ('made-up', 'everyday')
    """
    words = set(re.findall(r"\w+", f"{puzzle.context} {puzzle.statement}".lower()))

    def n_known(name: str) -> int:
        style = STYLES[name]
        known = {word.lower() for word in (*style.names, *style.nouns, *style.adjectives)}
        return len(words & known)

    return max(STYLES, key=n_known)
