"""The model's answer with the head in view switched off, and with others of its layer, by the desk.

What takes the place of a head's output is its mean over the tokens of some generated puzzles: for a
typed puzzle there are no validation puzzles. They are of the style whose words the puzzle has most
of, asked in the same words, and read once for the model in memory.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pages.live.desk import Desk
from pages.live.scoring import desk, result_of, what_decides
from pages.server.settings import settings
from qkcore import InputError
from qkcore.asking.links import Shared
from qkcore.asking.templates import template_named
from qkcore.puzzles.generate import STYLES, generate_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.statistics.control_heads import control_heads

if TYPE_CHECKING:
    from qkcore.attention.load import CausalLM
    from qkcore.scoring.interventions import Interventions

N_OTHERS = 10  # heads of the same layer, drawn with a fixed seed; fewer where it has fewer
STEPS, N_EACH = (0, 1, 2, 3), 4  # of the puzzles whose mean is taken
N_MEAN = len(STEPS) * N_EACH


@dataclass(frozen=True, slots=True, eq=False)
class Without:
    """One puzzle's answers with heads switched off one at a time."""

    heads: tuple[tuple[int, int], ...]  # (layer, head): the one in view, then others of its layer
    logits: np.ndarray  # (1 + head, candidate) of the model as it is, then without each head
    style: str  # of the puzzles whose mean takes a head's place


def without(shared: Shared) -> Without | None:
    """The answers without the head in view; None while they are being worked out.

    Also where they cannot be; the page says so.
    """
    template, limit = template_named(shared.template), settings().max_tokens
    style, own, at_desk = style_of(shared.puzzle), (shared.layer, shared.head), desk()

    def work(lm: "CausalLM") -> Without:
        from qkcore.scoring.score import prompts_of

        (prompt,) = prompts_of(lm, [shared.puzzle], template, limit)
        heads = (own, *_others(own, lm.geometry.n_heads))
        off = [(), *((head,) for head in heads)]
        logits = _interventions(at_desk, lm, shared, style).answers([prompt], off)[:, 0]
        return Without(heads, logits, style)

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


def _others(head: tuple[int, int], n_heads: int) -> list[tuple[int, int]]:
    """Other heads of the same layer; none where it has no other."""
    try:
        return [one for (one,) in control_heads([head], n_heads, N_OTHERS)]
    except InputError:
        return []


def _interventions(at_desk: Desk, lm: "CausalLM", shared: Shared, style: str) -> "Interventions":
    """The model with what takes the place of heads' outputs, read once while it is in memory.

    It also knows which of its layers can be handed on, and need not look again.
    """
    from qkcore.scoring.interventions import Interventions
    from qkcore.scoring.replacing import replacements_of

    candidates = shared.puzzle.candidates
    key: Hashable = ("off", style, shared.template, candidates)

    def make() -> "Interventions":
        made = generate_puzzles(STEPS, 1, N_EACH, seed=0, style=style)
        asked = [replace(one, candidates=candidates, answer=0) for one in made]
        template = template_named(shared.template)
        return Interventions(lm, replacements_of(lm, asked, template=template))

    return at_desk.with_model(key, make)
