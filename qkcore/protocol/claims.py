"""What the paper claims, beside what was found: each claim judged raw and fair, by stated rules.

Only claims that its abstract or its author's post confirms stand here. A head is the one that a
run's validation puzzles chose; what is measured is of test puzzles. `leads` has who is compared,
`statistics/holds` when a claim holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qkcore.protocol.frozen import ClaimRules
from qkcore.protocol.leads import ALL, Head, Leads, Where
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import parent_run
from qkcore.statistics.holds import (
    FAILS,
    HOLDS,
    OPEN,
    Judged,
    Lead,
    all_of,
    any_of,
    judged,
)
from qkcore.wording import head_name, set_names

ABSTRACT, POST = "abstract", "author's post"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, on one set or over several."""

    key: str
    text: str
    source: str  # ABSTRACT or POST
    on: str  # the set's short name, or what it was looked for in
    raw: Judged
    fair: Judged


@dataclass(frozen=True, slots=True)
class _Run:
    """A run whose head has validation puzzles to be chosen on."""

    run_id: str
    name: str  # of its set
    head: Head


def claims_of(
    store: ResultStore, run_ids: Sequence[str], rules: ClaimRules | None = None
) -> tuple[Claim, ...]:
    """Every claim that these runs of one model have puzzles for.

    Args:
        store: that holds the runs.
        run_ids: on as many sets; runs on balanced twins are found by their parents.
        rules: what the claims are held against.
    """
    rules = rules or ClaimRules()
    runs, leads = _runs(store, run_ids), Leads(store)
    claims = [
        claim
        for make in (_harder, _wider, _robust)
        for run in runs
        for claim in make(leads, run, rules)
    ]
    claims += [*_up_to(leads, runs, rules), *_carried(leads, runs, rules)]
    keys = list(dict.fromkeys(one.key for one in claims))
    return tuple(sorted(claims, key=lambda one: keys.index(one.key)))  # a claim's sets together


def _runs(store: ResultStore, run_ids: Sequence[str]) -> list[_Run]:
    """In order, those that are no twins."""
    table = store.runs().set_index("run_id")
    names = set_names(store.runs())
    found = []
    for run_id in run_ids:
        head = store.best_head(run_id)
        is_twin = isinstance(table.loc[run_id, "twin_of"], str) and parent_run(store, run_id)
        if head is not None and not is_twin:
            found.append(_Run(run_id, names[str(table.loc[run_id, "puzzle_set"])], head))
    return found


def _harder(leads: Leads, run: _Run, rules: ClaimRules) -> list[Claim]:
    """Heads beat the model where puzzles are hard."""
    steps, distractors = rules.hard_steps, rules.hard_distractors
    found = []
    for key, said, where in (
        ("hard_steps", f"{steps} steps", Where(steps)),
        ("hard_distractors", f"{distractors} distractors", Where(None, distractors)),
        (
            "hard_both",
            f"{steps} steps and {distractors} distractors",
            Where(steps, distractors),
        ),
    ):
        raw = leads.raw(run.run_id, run.head, where)
        if raw is None:
            continue
        fair = [judged(one, rules.matters) for one in _fair(leads, run, where)]
        text = f"The head beats the model at {said}"
        claim = Claim(key, text, POST, run.name, judged(raw, rules.matters), all_of(fair))
        found.append(claim)
    return found


def _fair(leads: Leads, run: _Run, where: Where) -> list[Lead]:
    return leads.fair(run.run_id, run.head, where)


def _wider(leads: Leads, run: _Run, rules: ClaimRules) -> list[Claim]:
    """Harder puzzles widen the gap."""
    pairs = (
        ("wider_steps", "steps", Where(1), Where(rules.hard_steps)),
        ("wider_distractors", "distractors", Where(None, 0), Where(None, rules.hard_distractors)),
    )
    found = []
    for key, by, easy, hard in pairs:
        low, high = (getattr(one, by) for one in (easy, hard))
        raw = _change(leads, run, easy, hard, _model_lead)
        fair = _change(leads, run, easy, hard, _calibrated_lead)
        if raw is None or fair is None:
            continue
        text = f"The gap widens from {low} to {high} {by}"
        both = (
            _grown(raw, _model_lead(leads, run, hard), rules.matters),
            _grown(fair, _calibrated_lead(leads, run, hard), rules.matters),
        )
        found.append(Claim(key, text, POST, run.name, *both))
    return found


def _grown(change: Lead, at_last: Lead | None, matters: float) -> Judged:
    """The lead grows, and is one in the end: who is only less far behind has no gap to widen."""
    found = judged(change, matters)
    if found.outcome == HOLDS and at_last and judged(at_last, matters).outcome != HOLDS:
        return Judged(OPEN, change, f"it grows, but the head is not ahead of {at_last.over} there")
    return found


_Told = Callable[[Leads, _Run, Where], Lead | None]


def _model_lead(leads: Leads, run: _Run, where: Where) -> Lead | None:
    return leads.raw(run.run_id, run.head, where)


def _calibrated_lead(leads: Leads, run: _Run, where: Where) -> Lead | None:
    return leads.calibrated(run.run_id, run.head, where)


def _accuracy(leads: Leads, run: _Run, where: Where) -> Lead | None:
    return leads.accuracy(run.run_id, run.head, where)


def _change(leads: Leads, run: _Run, before: Where, after: Where, told: _Told) -> Lead | None:
    """What is told of the later puzzles less what is told of the earlier ones."""
    first, last = told(leads, run, before), told(leads, run, after)
    if first is None or last is None:
        return None
    fewer = min(first, last, key=lambda one: one.n_groups)
    return Lead(last.over, last.found.minus(first.found), fewer.n, fewer.n_groups)


def _robust(leads: Leads, run: _Run, rules: ClaimRules) -> list[Claim]:
    """Heads keep their accuracy as distractors are added."""
    none, many = Where(None, 0), Where(None, rules.hard_distractors)
    raw = _change(leads, run, none, many, _accuracy)
    fair = _change(leads, run, none, many, _calibrated_lead)
    at_first = _accuracy(leads, run, none), _calibrated_lead(leads, run, none)
    if raw is None or fair is None or at_first[0] is None or at_first[1] is None:
        return []
    chance = leads.store.chance(run.run_id, "test", distractors=0) or 0.0
    above = Lead("chance", at_first[0].found.less(chance), at_first[0].n, at_first[0].n_groups)
    less = f"loses less than {100 * rules.matters:.0f} points"
    text = f"The head is robust: it {less} from 0 to {rules.hard_distractors} distractors"
    found = (
        _kept(raw, above, rules.matters),
        _kept(fair, at_first[1], rules.matters),
    )
    return [Claim("robust", text, ABSTRACT, run.name, *found)]


def _kept(change: Lead, at_first: Lead, matters: float) -> Judged:
    """Nothing is lost: the change's interval stays above what matters, below 0.

    Does not hold where it lies below 0 and is not as small as that. Who has no lead to begin with
    has nothing to lose.
    """
    start, found = judged(at_first, matters), change.found
    if start.outcome != HOLDS:
        why = f"without distractors it is not ahead of {at_first.over} either"
        return Judged(OPEN, change, start.why if start.lead is None else why)
    if judged(change, matters).why.endswith("groups"):
        return judged(change, matters)
    if found.low > -matters:
        return Judged(HOLDS, change)
    if found.high < 0:
        return Judged(FAILS, change)
    return Judged(OPEN, change, "the interval allows for both")


def _up_to(leads: Leads, runs: list[_Run], rules: ClaimRules) -> list[Claim]:
    """The largest gap of all sets."""
    if not runs:
        return []
    raws, fairs = [], []
    for run in runs:
        raw = leads.raw(run.run_id, run.head, ALL)
        if raw is None:
            continue
        raw_and_fair = [
            judged(one, rules.matters, rules.up_to, len(runs))
            for one in (raw, *_fair(leads, run, ALL))
        ]
        raws.append(_on(raw_and_fair[0], run.name))
        fairs.append(_on(all_of(raw_and_fair[1:]), run.name))
    text = f"Heads are better than the model by up to {100 * rules.up_to:.0f} points"
    on = "its only set" if len(raws) == 1 else f"the best of {len(raws)} sets"
    return [Claim("up_to", text, ABSTRACT, on, any_of(raws), any_of(fairs))] if raws else []


def _on(found: Judged, name: str) -> Judged:
    """The same, saying where."""
    if found.lead is None:
        return found
    return replace(found, lead=replace(found.lead, over=f"{found.lead.over}, {name}"))


def _carried(leads: Leads, runs: list[_Run], rules: ClaimRules) -> list[Claim]:
    """Some heads that are good on the set they were chosen on stay good on another."""
    if len(runs) < 2:
        return []
    text = "A head that is ahead where it was chosen stays ahead on another set"
    n = len(runs) * (len(runs) - 1)
    raw = _stays(runs, rules, lambda one, run_id: _listed(leads.raw(run_id, one)))
    fair = _stays(runs, rules, lambda one, run_id: leads.fair(run_id, one))
    return [Claim("carried", text, POST, f"the best of {n} pairs of sets", raw, fair)]


def _listed(lead: Lead | None) -> list[Lead]:
    return [] if lead is None else [lead]


def _stays(runs: list[_Run], rules: ClaimRules, leads: Callable[[Head, str], list[Lead]]) -> Judged:
    """The best of all pairs of sets; the head must hold where it was chosen."""
    good = []
    for run in runs:
        own = [judged(one, rules.matters) for one in leads(run.head, run.run_id)]
        if own and all_of(own).outcome == HOLDS:
            good.append(run)
    if not good:
        return Judged(OPEN, None, "no head is ahead where it was chosen, so none can stay so")
    n, found = len(good) * (len(runs) - 1), []
    for run in good:
        for other in runs:
            every = leads(run.head, other.run_id) if other is not run else []
            if every:
                own = [judged(one, rules.matters, n_looked_at=n) for one in every]
                name = f"{head_name(*run.head)} of {run.name} on {other.name}"
                found.append(_on(all_of(own), name))
    return any_of(found)
