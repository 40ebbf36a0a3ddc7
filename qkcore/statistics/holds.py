"""Does a claim hold? Leads of one answerer over others in, one of three outcomes out, by rules.

A claim that looked at many leads has to be that much surer of the one that it shows (Bonferroni).
A difference that is smaller than what matters is taken for nothing. Knows nothing of stores, nor of
what is claimed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.statistics.evidence import Measured

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be said"
OUTCOMES = (HOLDS, FAILS, OPEN)
LEVEL = 0.05
NORMAL = 2 * 1.96  # standard errors in a 95 % interval


@dataclass(frozen=True, slots=True)
class Lead:
    """How far somebody is ahead of a rival, or of itself elsewhere."""

    over: str  # as it stands in a sentence: "the model", "chance on the balanced twin"
    found: Measured  # difference of shares
    n: int
    n_groups: int  # of the smaller of two samples, where there are two
    one_answer: str = ""  # in words: that all these puzzles have one right answer
    constant: str = ""  # in words: that always saying one answer does as well as who is ahead


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome of `OUTCOMES`, the lead that decides it, and why where it cannot be said."""

    outcome: str
    lead: Lead | None
    why: str = ""


def p_of(found: Measured) -> float:
    """Two-sided, of no difference, from the interval: below 0.05 as soon as it leaves out 0.

    >>> round(p_of(Measured(0.196, 0.0, 0.392)), 3), p_of(Measured(0.0, -0.1, 0.1))
    (0.05, 1.0)
    """
    side = found.value - found.low if found.value > 0 else found.high - found.value
    return 1.0 if side <= 0 else float(2 * stats.norm.sf(abs(found.value) / (2 * side / NORMAL)))


def silent(lead: Lead) -> str:
    """Why nothing can be said of a lead, whatever it is; "" where something can.

    >>> silent(Lead("the model", Measured(0.1, 0.05, 0.15), n=38, n_groups=19))
    '38 puzzles in 19 groups; intervals need 20 groups'
    """
    if lead.one_answer:
        return lead.one_answer
    if lead.n_groups < FEW_GROUPS:
        return f"{lead.n:,} puzzles in {lead.n_groups} groups; intervals need {FEW_GROUPS} groups"
    return ""


def judged(lead: Lead, matters: float, at_least: float = 0.0, n_looked_at: int = 1) -> Judged:
    """Whether somebody is ahead.

    Holds: the lead is `at_least` so much, and above 0 beyond doubt, also as one of so many that
    were looked at. Does not hold: its interval ends below `at_least`, or below what matters if that
    is more. In between nothing can be said, nor of fewer groups than intervals need.

    Args:
        lead: that was measured.
        matters: a share; less is taken for nothing.
        at_least: likewise.
        n_looked_at: leads of which this may be the best.

    >>> lead = Lead("the model", Measured(0.10, 0.04, 0.16), n=200, n_groups=50)
    >>> judged(lead, 0.05).outcome, judged(lead, 0.05, at_least=0.14).outcome
    ('holds', 'cannot be said')
    >>> judged(lead, 0.05, at_least=0.2).outcome
    'does not hold'
    """
    found = lead.found
    if why := silent(lead):
        return Judged(OPEN, lead, why)
    is_sure = found.value > 0 and p_of(found) * n_looked_at < LEVEL
    if is_sure and found.value >= at_least:
        return Judged(OPEN, lead, lead.constant) if lead.constant else Judged(HOLDS, lead)
    if found.high < max(at_least, matters):
        return Judged(FAILS, lead)
    return Judged(OPEN, lead, "the interval allows for both")


def all_of(each: Sequence[Judged]) -> Judged:
    """Ahead of every rival: the weakest of them decides.

    One that does not hold speaks first, then one that cannot be said; of several, the smallest
    lead.

    >>> ahead = [Lead(name, Measured(0.1, 0.05, 0.15), 90, 30) for name in ("one", "two")]
    >>> all_of([judged(one, 0.05) for one in ahead]).outcome
    'holds'
    """
    return _first(each, (FAILS, OPEN, HOLDS), most=False)


def any_of(each: Sequence[Judged]) -> Judged:
    """Ahead somewhere: the best place decides; one that holds speaks first.

    >>> small = Lead("the model", Measured(0.0, -0.02, 0.02), 900, 300)
    >>> any_of([judged(small, 0.05)]).outcome
    'does not hold'
    """
    return _first(each, (HOLDS, OPEN, FAILS), most=True)


def no_kinder(fair: Judged, raw: Judged) -> Judged:
    """The fair one, unless it says more for the claim than the raw one: then that.

    >>> raw, fair = Judged(FAILS, None), Judged(OPEN, None, "nobody is ahead to begin with")
    >>> no_kinder(fair, raw).outcome, no_kinder(raw, fair).outcome
    ('does not hold', 'does not hold')
    """
    kindness = (FAILS, OPEN, HOLDS)
    return raw if kindness.index(fair.outcome) > kindness.index(raw.outcome) else fair


def _first(each: Sequence[Judged], order: tuple[str, ...], most: bool) -> Judged:
    for outcome in order:
        same = [one for one in each if one.outcome == outcome]
        if same:
            sign = -1 if most else 1
            return min(same, key=lambda one: sign * one.lead.found.value if one.lead else 0.0)
    return Judged(OPEN, None, "nothing was measured")
