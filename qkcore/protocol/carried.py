"""Do heads carry over? Every head on every other set, and which of these pairs the claim is about.

It asks for a head that is ahead where it was chosen: others may be good elsewhere by luck, for they
are the best of many pairs. So the largest lead of all pairs is told, but not judged.
"""

from collections.abc import Callable

from qkcore.protocol.claim import POST, Claim, Run, placed
from qkcore.protocol.frozen import ClaimRules
from qkcore.protocol.leads import Head, Leads
from qkcore.statistics.holds import HOLDS, OPEN, Judged, Lead, all_of, any_of, judged
from qkcore.wording import head_name, points

_Told = Callable[[Head, str], list[Lead]]


def carried(leads: Leads, runs: list[Run], rules: ClaimRules) -> list[Claim]:
    """Some heads that are good on the set they were chosen on stay good on another."""
    if len(runs) < 2:
        return []

    def raw_leads(head: Head, run_id: str) -> list[Lead]:
        lead = leads.raw(run_id, head)
        return [] if lead is None else [lead]

    def fair_leads(head: Head, run_id: str) -> list[Lead]:
        return leads.fair(run_id, head)

    text = "A head that is ahead where it was chosen stays ahead on another set"
    n_pairs = len(runs) * (len(runs) - 1)
    ahead = _ahead_at_home(runs, rules, raw_leads)
    n = len(ahead) * (len(runs) - 1)  # looked at, raw; of them the fair ones are some
    raw = _stays(ahead, runs, rules, raw_leads, n)
    fair = _stays(_ahead_at_home(runs, rules, fair_leads), runs, rules, fair_leads, n)
    note = _of_all_pairs(leads, runs, n)
    return [Claim("carried", text, POST, f"{n_pairs} pairs of sets", raw, fair, note)]


def _ahead_at_home(runs: list[Run], rules: ClaimRules, leads: _Told) -> list[Run]:
    """Those whose head is ahead of all rivals on the set that it was chosen on."""
    found = []
    for run in runs:
        own = [judged(one, rules.matters) for one in leads(run.head, run.run_id)]
        if own and all_of(own).outcome == HOLDS:
            found.append(run)
    return found


def _stays(
    ahead: list[Run], runs: list[Run], rules: ClaimRules, leads: _Told, n_looked_at: int
) -> Judged:
    """The best of the pairs of those that are ahead where they were chosen, with every other."""
    if not ahead:
        return Judged(OPEN, None, "no head is ahead where it was chosen, so none can stay so")
    found = []
    for run in ahead:
        for other in runs:
            every = leads(run.head, other.run_id) if other is not run else []
            if every:
                own = [judged(one, rules.matters, n_looked_at=n_looked_at) for one in every]
                found.append(placed(all_of(own), _pair(run, other)))
    return any_of(found)


def _pair(run: Run, other: Run) -> str:
    return f"{head_name(*run.head)} of {run.name} on {other.name}"


def _of_all_pairs(leads: Leads, runs: list[Run], n_ahead: int) -> str:
    """Which pairs the claim is about, and the best of all, whatever the head is at home."""
    pairs = [
        (lead, run, other)
        for run in runs
        for other in runs
        if other is not run and (lead := leads.raw(other.run_id, run.head)) is not None
    ]
    if not pairs:
        return ""
    best, run, other = max(pairs, key=lambda one: one[0].found.value)
    told, own = _points(best), leads.raw(run.run_id, run.head)
    at_home = "" if own is None else f"; where it was chosen, {_points(own)}"
    have = "has" if n_ahead == 1 else "have"
    return (
        f"Of {len(pairs)} pairs of a head and another set, {n_ahead} {have} a head that is surely "
        "ahead of the model where it was chosen, as the claim asks; raw shows the best of these. "
        f"The largest lead of all pairs is {told}: {_pair(run, other)}{at_home}. Heads that are "
        "not surely ahead where they were chosen do not count, however good they are elsewhere."
    )


def _points(lead: Lead) -> str:
    return points(lead.found.value, lead.found.low, lead.found.high)
