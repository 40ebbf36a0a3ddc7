"""What each rival leaves of a gap: the steps of the chart, and which of them fails.

`Evidence` in, steps out; what a step that fails means is said in `statistics/verdicts`.
"""

from dataclasses import dataclass

from qkcore.statistics.evidence import Evidence, Measured, Rival

GAP, CALIBRATION, MAJORITY = "gap to the model", "after calibration", "after the commonest answer"
LUCK, RULE, TWIN = "after luck", "after the best surface rule", "on the balanced twin"
BEST_GUESS, GUESSING = "luck", "guessing"  # rivals that are no answerers


@dataclass(frozen=True, slots=True)
class Step:
    """What is left of the gap once one more rival is looked at."""

    label: str
    left: Measured  # the head minus the best rival so far, as shares
    best: str  # that rival, as it stands in a sentence
    own: Rival  # the one that this step looks at


def what_is_left(evidence: Evidence) -> tuple[Step, ...]:
    """The gap, and what each rival leaves of it: the steps of the chart.

    Each step is the head minus the best rival so far, so it never rises; but the twin, if there is
    one, is a set of its own.
    """
    rivals = [
        (GAP, evidence.model),
        (CALIBRATION, evidence.calibrated_model),
        (MAJORITY, evidence.majority),
        (LUCK, _luck(evidence.head, evidence.luck, BEST_GUESS)),
    ]
    if evidence.rule:
        rivals.append((RULE, evidence.rule))
    steps, best = [], evidence.model
    for label, rival in rivals:
        best = min(best, rival, key=lambda one: one.lead.value)
        steps.append(Step(label, best.lead, best.name, rival))
    twin = evidence.twin
    if twin:
        both = _luck(twin.head, twin.luck, GUESSING), twin.calibrated_model
        best = min(both, key=lambda rival: rival.lead.value)
        own = next((rival for rival in both if not is_passed(rival)), best)
        steps.append(Step(TWIN, best.lead, best.name, own))
    return tuple(steps)


def _luck(head: Measured, line: float, name: str) -> Rival:
    return Rival(name, Measured(line, line, line), head.less(line))


def is_passed(rival: Rival) -> bool:
    """The head is better: the interval of its lead is above 0.

    The luck line need only be exceeded, for it is a 95th percentile itself.
    """
    return rival.lead.value > 0 if rival.name == BEST_GUESS else rival.lead.low > 0


def failing(evidence: Evidence, steps: tuple[Step, ...]) -> Step | None:
    """The step that speaks against the head; None where it passes all of them.

    Of the steps that it does not pass, the first after which surely no more than half of the gap
    is left, for what is sure is not held up by what is not; else the first. A twin stands for the
    surface rule.
    """
    found = [
        step
        for step in steps
        if not is_passed(step.own) and (step.label != RULE or not evidence.twin)
    ]
    sure = (step for step in found if step.own.lead.high <= steps[0].left.value / 2)
    return next(sure, next(iter(found), None))
