"""The way of an answer through a model's layers: one of a closed list of outcomes, in a sentence.

What was measured (`Passage`) in; name and sentences out, by stated rules in their order, as
`statistics/verdicts` has it. Knows nothing of stores or pages.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.statistics.lost import Growth, Loss, Slope
from qkcore.wording import accuracy_text, gap_text, percent

KEPT_MARGIN = 0.05  # as much as may be lost, less what is found, where an answer is called kept


@dataclass(frozen=True, slots=True)
class Passage:
    """What is known of the way of an answer, on test puzzles."""

    n: int
    n_groups: int
    first_lens: int | None  # first layer at which the calibrated lens is above guessing
    first_probe: int | None  # likewise the probe
    has_probe: bool
    head: str | None  # the name of the chosen head, and its layer
    head_layer: int | None
    middle: int | None  # the layer before the last whose calibrated lens is best on validation
    is_middle_readable: bool  # the lens is above guessing there
    loss: Loss | None  # from there to the output
    growth: Growth | str  # or why it cannot be said
    beyond_rule: int | None = None  # first layer at which lens or probe is ahead of it as well


def outcome(passage: Passage) -> tuple[str, str]:
    """Name and sentence of the first of `RULES` that has something to say.

    >>> outcome(Passage(60, 15, None, None, True, "L1 H2", 1, 1, False, None, ""))[0]
    'too few puzzles'
    """
    for name, rule in RULES:
        sentence = rule(passage)
        if sentence:
            return name, sentence
    raise AssertionError("the last rule always speaks")


def whereabouts(passage: Passage, with_head: bool = True) -> str:
    """Where the answer is first readable, and where a head says it.

    >>> whereabouts(Passage(652, 80, 16, None, False, "L15 H7", 15, 20, True, None, ""))
    'The lens is above guessing first at layer 16; the chosen head, L15 H7, is at layer 15.'
    """
    lens = f"The lens is above guessing {_first(passage.first_lens)}"
    probe = f", the probe {_first(passage.first_probe)}" if passage.has_probe else ""
    head = ""
    if with_head and passage.head is not None:
        head = f"; the chosen head, {passage.head}, is at layer {passage.head_layer}"
    return f"{lens}{probe}{head}."


def beyond_rule_sentence(passage: Passage) -> str:
    """Whether more is read than the best surface rule knows.

    >>> beyond_rule_sentence(Passage(652, 80, 16, 0, True, "L15 H7", 15, 20, True, None, ""))
    'At no layer is lens or probe ahead of the best surface rule, so what is read may be no more.'
    """
    who = "lens or probe" if passage.has_probe else "the lens"
    if passage.beyond_rule is not None:
        return f"First at layer {passage.beyond_rule}, {who} is ahead of the best surface rule."
    return f"At no layer is {who} ahead of the best surface rule, so what is read may be no more."


def growth_sentence(growth: Growth | str) -> str:
    """Whether more is lost with more steps.

    >>> growth_sentence("all puzzles take as many steps")
    'Whether more is lost with more steps cannot be said: all puzzles take as many steps.'
    >>> up, even = Slope(0.03, 0.01, 0.05, 0.004), Slope(0.001, -0.02, 0.02, 0.9)
    >>> growth_sentence(Growth(up, up)).replace(chr(160), " ")
    'More is lost with more steps: +3.0 points (+1.0 to +5.0, p = 0.004) with each step.'
    """
    if isinstance(growth, str):
        return f"Whether more is lost with more steps cannot be said: {growth}."
    a_step = f"{_slope_text(growth.lost)} with each step"
    if growth.lost.low > 0 and growth.net.low > 0:
        return f"More is lost with more steps: {a_step}."
    if growth.lost.low > 0:
        return (
            f"More is lost with more steps, {a_step}, but not more than is found: lost less found "
            f"changes by {_slope_text(growth.net)}, so harder puzzles may only be guessed more."
        )
    if growth.lost.high < 0:
        return f"Less is lost with more steps: {a_step}."
    return f"It cannot be seen that more is lost with more steps: {a_step}."


# The rules. Each says its sentence, or nothing where it does not apply.


def _few_groups(passage: Passage) -> str | None:
    if passage.n_groups >= FEW_GROUPS:
        return None
    return (
        f"Too few puzzles to say: {passage.n:,} test puzzles in {passage.n_groups} groups, and "
        f"intervals need {FEW_GROUPS} groups."
    )


def _nowhere(passage: Passage) -> str | None:
    if passage.first_lens is not None or passage.first_probe is not None:
        return None
    who = "neither lens nor probe is" if passage.has_probe else "the lens is not"
    return f"The answer is nowhere readable: {who} above guessing at any layer."


def _by_probe_only(passage: Passage) -> str | None:
    if passage.first_lens is not None:
        return None
    return (
        "Only the probe can read the answer: the lens, which is the model's own output matrix, is "
        "above guessing at no layer, so there is nothing that the model could lose."
    )


def _undecided_middle(passage: Passage) -> str | None:
    if passage.loss is not None and passage.is_middle_readable:
        return None
    if passage.middle is None:
        return "Nothing can be said of a middle layer: none could be chosen on validation puzzles."
    return (
        f"Nothing can be lost from the middle: at layer {passage.middle}, whose lens is best on "
        "validation puzzles, it is not above guessing."
    )


def _lost(passage: Passage) -> str | None:
    found = passage.loss
    if found is None or found.net.low <= 0:
        return None
    return f"The answer is lost on the way: {_shares(passage, found)}"


def _reached_late(passage: Passage) -> str | None:
    found = passage.loss
    if found is None or found.net.high >= 0:
        return None
    return f"The answer is reached at the end: {_shares(passage, found)}"


def _kept(passage: Passage) -> str | None:
    found = passage.loss
    if found is None or max(abs(found.net.low), abs(found.net.high)) > KEPT_MARGIN:
        return None
    return f"The answer is kept to the end: {_shares(passage, found)}"


def _open(passage: Passage) -> str | None:
    if passage.loss is None:
        return None
    return f"Whether the answer is lost cannot be told: {_shares(passage, passage.loss)}"


RULES: tuple[tuple[str, Callable[[Passage], str | None]], ...] = (
    ("too few puzzles", _few_groups),
    ("not readable", _nowhere),
    ("by a probe only", _by_probe_only),
    ("no middle", _undecided_middle),
    ("lost on the way", _lost),
    ("reached at the end", _reached_late),
    ("kept to the end", _kept),
    ("not clear", _open),
)
NAMES = tuple(name for name, _ in RULES)


def _shares(passage: Passage, found: Loss) -> str:
    lost = accuracy_text(found.lost.value, found.lost.low, found.lost.high, found.n)
    net = gap_text(found.net.value, found.net.low, found.net.high, found.p)
    return (
        f"{lost} of the test puzzles are right by the lens at layer {passage.middle} and wrong in "
        f"the model's answer, both calibrated, {percent(found.found.value)} the other way round; "
        f"lost less found is {net}."
    )


def _slope_text(slope: Slope) -> str:
    return gap_text(slope.value, slope.low, slope.high, slope.p)


def _first(layer: int | None) -> str:
    return "at no layer" if layer is None else f"first at layer {layer}"
