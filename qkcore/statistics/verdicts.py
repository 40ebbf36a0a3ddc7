"""The verdict on a run: one of a closed list of outcomes, by stated rules, and what is left.

`Evidence` in; name, sentence and steps out. Each rule is one small function, and `RULES` is their
order: the first that has something to say gives the verdict. Knows nothing of stores or pages.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.statistics.evidence import Evidence, Measured
from qkcore.statistics.remains import (
    CALIBRATION,
    GUESSING,
    RULE,
    TWIN,
    Step,
    failing,
    is_passed,
    what_is_left,
)
from qkcore.statistics.rivals import constant_label
from qkcore.wording import accuracy_text, percent, signed_tenths, tenths


@dataclass(frozen=True, slots=True)
class Verdict:
    """A name in `NAMES`, a sentence with its numbers, and the steps of the chart "what is left"."""

    name: str
    sentence: str
    steps: tuple[Step, ...]


def verdict(evidence: Evidence) -> Verdict:
    """The first rule of `RULES` that has something to say.

    >>> from qkcore.statistics.evidence import Measured, Rival
    >>> sure = Measured(0.30, 0.25, 0.35)
    >>> rivals = [
    ...     Rival(name, Measured(0.5, 0.45, 0.55), sure)
    ...     for name in ("the model", "the calibrated model", "the commonest answer")
    ... ]
    >>> head = Measured(0.80, 0.76, 0.84)
    >>> found = verdict(Evidence("L6 H1", head, *rivals, luck=0.56, n=400, n_groups=200))
    >>> found.name, found.steps[-1].label, round(found.steps[-1].left.value, 2)
    ('something is left', 'after luck', 0.24)
    """
    steps = what_is_left(evidence)
    for name, rule in RULES:
        sentence = rule(evidence, steps)
        if sentence:
            return Verdict(name, sentence, steps)
    raise AssertionError("the last rule always speaks")


# The rules. Each says its sentence, or nothing where it does not apply.


def _few_groups(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """Fewer groups than intervals need, on the set or on its twin."""
    sizes = [("", evidence.n, evidence.n_groups)]
    if evidence.twin:
        sizes.append((" of the twin", evidence.twin.n, evidence.twin.n_groups))
    for where, n, n_groups in sizes:
        if n_groups < FEW_GROUPS:
            return (
                f"Too few puzzles to say: {n:,} puzzles{where} in {n_groups} groups, and intervals "
                f"need {FEW_GROUPS} groups."
            )
    return None


def _same_whatever(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """The head is constant on validation puzzles."""
    if evidence.head_says is None:
        return None
    return (
        f"{evidence.head_name} {constant_label(evidence.head_says)}, whatever the puzzle: it gets "
        f"{_text(evidence.head, evidence.n)}, the commonest answer "
        f"{percent(evidence.majority.accuracy.value)}."
    )


def _below_luck(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """The head is not above the luck line."""
    if evidence.head.value > evidence.luck:
        return None
    return (
        f"The chosen head is not above luck: {evidence.head_name} gets "
        f"{_text(evidence.head, evidence.n)}, the best of heads that guess up to "
        f"{percent(evidence.luck)}."
    )


def _no_gap(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """The head is not seen to be better than the model itself, or is worse."""
    if is_passed(evidence.model):
        return None
    said = "There is no gap" if evidence.model.lead.high < 0 else "No gap can be seen"
    return (
        f"{said}: {evidence.head_name} gets {_text(evidence.head, evidence.n)}, "
        f"{_ahead(evidence.model.lead)} the model itself."
    )


def _undecided(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """What speaks against the head may yet leave more than half of the gap: nothing is sure."""
    against = failing(evidence, steps)
    if against is None:
        return None
    lead, gap = against.own.lead, steps[0].left
    if lead.value <= 0 or lead.high <= gap.value / 2:
        return None
    return (
        f"Too few puzzles to say: {against.label} {_points(lead)} are left of a gap of "
        f"{_points(gap)}."
    )


def _calibration(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """The calibrated model is as good as the head, on the set or where words say nothing."""
    against, twin = failing(evidence, steps), evidence.twin
    if against and against.label == TWIN and twin and against.own.name != GUESSING:
        return (
            f"Calibration and words explain it: on the balanced twin {evidence.head_name} gets "
            f"{_text(twin.head, twin.n)}, {_ahead(against.own.lead)} {against.own.name}."
        )
    if against is None or against.label != CALIBRATION:
        return None
    both = evidence.calibrated_lead
    return (
        f"Calibration explains it: with one offset a candidate the model gets "
        f"{percent(against.own.accuracy.value)}, and of the gap of {_points(steps[0].left)} "
        f"{_points(against.own.lead)} are left"
        + (f"; with the head calibrated too {_points(both)}." if both else ".")
    )


def _trivial(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """The commonest answer or a surface rule is as good as the head, or the twin says so."""
    against, head, twin = failing(evidence, steps), evidence.head_name, evidence.twin
    if against is None:
        return None
    ahead = f"{_ahead(against.own.lead)} {against.own.name}"
    if against.label == TWIN and twin:
        return (
            f"A surface rule explains it: {head} is {_plain(steps[0].left)} points ahead of the "
            f"model and {_plain(evidence.calibrated_model.lead)} of the calibrated model, but on "
            f"the balanced twin it gets {_text(twin.head, twin.n)}, {ahead}."
        )
    if against.label == RULE:
        return (
            f"A surface rule does as well: {head} is {ahead}. Make a balanced twin to tell whether "
            "it does more than that."
        )
    return f"A trivial rule does as well: {head} is {ahead}."


def _left(evidence: Evidence, steps: tuple[Step, ...]) -> str | None:
    """The head is better than all of them."""
    last, where = steps[-1], ", on the balanced twin" if evidence.twin else ""
    return (
        f"Something is left: {evidence.head_name} is {_ahead(last.left)} {last.best}, "
        f"the best of its rivals{where}."
    )


RULES: tuple[tuple[str, Callable[[Evidence, tuple[Step, ...]], str | None]], ...] = (
    ("too few puzzles", _few_groups),
    ("always the same answer", _same_whatever),
    ("not above luck", _below_luck),
    ("no gap", _no_gap),
    ("too few puzzles", _undecided),
    ("calibration", _calibration),
    ("surface rule", _trivial),
    ("something is left", _left),
)
NAMES = tuple(dict.fromkeys(name for name, _ in RULES))
# Each verdict's sign in a table: told apart without colour, and "=" is a constant head everywhere.
MARKS = {
    "something is left": "●",
    "surface rule": "○",
    "calibration": "◐",
    "no gap": "−",
    "not above luck": "×",
    "always the same answer": "=",
    "too few puzzles": "?",
}


def _text(measured: Measured, n: int) -> str:
    return accuracy_text(measured.value, measured.low, measured.high, n)


def _plain(left: Measured) -> str:
    return tenths(left.value)


def _points(left: Measured) -> str:
    """A difference in points with its interval.

    >>> _points(Measured(0.178, 0.12, 0.231))
    '+17.8 points (+12.0 to +23.1)'
    """
    low, high = signed_tenths(left.low), signed_tenths(left.high)
    return f"{signed_tenths(left.value)} points ({low} to {high})"


def _ahead(lead: Measured) -> str:
    """How far ahead, or behind.

    >>> _ahead(Measured(0.2, 0.1, 0.3)), _ahead(Measured(-0.02, -0.05, 0.01))
    ('20.0 points (10.0 to 30.0) ahead of', '2.0 points (−1.0 to 5.0) behind')
    """
    is_ahead = lead.value >= 0
    ends = (lead.value, lead.low, lead.high) if is_ahead else (-lead.value, -lead.high, -lead.low)
    value, low, high = map(tenths, ends)
    return f"{value} points ({low} to {high}) {'ahead of' if is_ahead else 'behind'}"
