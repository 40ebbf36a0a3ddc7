"""What the paper claims, beside what was found: each claim judged raw and fair, by stated rules.

Only claims that its abstract or its author's post confirms stand here. A head is the one that a
run's validation puzzles chose; what is measured is of test puzzles. `leads` has who is compared,
`statistics/holds` when a claim holds. No fair outcome is kinder than the raw one beside it.
"""

from collections.abc import Sequence
from dataclasses import replace

from qkcore.protocol.carried import carried
from qkcore.protocol.claim import ABSTRACT, POST, Claim, Run, placed
from qkcore.protocol.frozen import ClaimRules
from qkcore.protocol.leads import ALL, MODELS, Leads, Where
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
    no_kinder,
    silent,
)
from qkcore.wording import set_names


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
    claims += [*_up_to(leads, runs, rules), *carried(leads, runs, rules)]
    claims = [replace(one, fair=no_kinder(one.fair, one.raw)) for one in claims]
    keys = list(dict.fromkeys(one.key for one in claims))
    return tuple(sorted(claims, key=lambda one: keys.index(one.key)))  # a claim's sets together


def _runs(store: ResultStore, run_ids: Sequence[str]) -> list[Run]:
    """In order, those that are no twins."""
    table = store.runs().set_index("run_id")
    names = set_names(store.runs())
    found = []
    for run_id in run_ids:
        head = store.best_head(run_id)
        is_twin = isinstance(table.loc[run_id, "twin_of"], str) and parent_run(store, run_id)
        if head is not None and not is_twin:
            found.append(Run(run_id, names[str(table.loc[run_id, "puzzle_set"])], head))
    return found


def _harder(leads: Leads, run: Run, rules: ClaimRules) -> list[Claim]:
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


def _fair(leads: Leads, run: Run, where: Where) -> list[Lead]:
    return leads.fair(run.run_id, run.head, where)


def _wider(leads: Leads, run: Run, rules: ClaimRules) -> list[Claim]:
    """Harder puzzles widen the gap."""
    pairs = (
        ("wider_steps", "steps", Where(1), Where(rules.hard_steps)),
        ("wider_distractors", "distractors", Where(None, 0), Where(None, rules.hard_distractors)),
    )
    found = []
    for key, by, easy, hard in pairs:
        low, high = (getattr(one, by) for one in (easy, hard))
        changes = _changes(leads, run, easy, hard)
        if not changes:
            continue
        text = f"The gap widens from {low} to {high} {by}"
        at_last = _fair(leads, run, hard)  # the model itself is the first
        raw = _grown(changes[0], at_last[:1], rules.matters)
        fair = all_of([_grown(one, at_last, rules.matters) for one in changes])
        found.append(Claim(key, text, POST, run.name, raw, fair))
    return found


def _grown(change: Lead, at_last: Sequence[Lead], matters: float) -> Judged:
    """The lead grows, and is one in the end: who is only less far behind has no gap to widen."""
    found = judged(change, matters)
    behind = [one for one in at_last if judged(one, matters).outcome != HOLDS]
    if found.outcome == HOLDS and behind:
        why = f"it grows, but the head is not ahead of {behind[0].over} there"
        return Judged(OPEN, change, why)
    return found


def _changes(leads: Leads, run: Run, before: Where, after: Where) -> list[Lead]:
    """How the lead over each of the models changes, the model itself first."""
    first = {one.over: one for one in _fair(leads, run, before)}
    return [
        _change(first[last.over], last)
        for last in _fair(leads, run, after)
        if last.over in MODELS and last.over in first
    ]


def _change(first: Lead, last: Lead) -> Lead:
    """What is told of the later puzzles less what is told of the earlier ones."""
    fewer = min(first, last, key=lambda one: one.n_groups)
    found = last.found.minus(first.found)
    one_answer = last.one_answer or first.one_answer
    constant = last.constant or first.constant
    return Lead(last.over, found, fewer.n, fewer.n_groups, one_answer, constant)


def _robust(leads: Leads, run: Run, rules: ClaimRules) -> list[Claim]:
    """Heads keep their accuracy as distractors are added."""
    none, many = Where(None, 0), Where(None, rules.hard_distractors)
    first, last = (leads.accuracy(run.run_id, run.head, where) for where in (none, many))
    if first is None or last is None:
        return []
    chance = leads.store.chance(run.run_id, "test", distractors=0) or 0.0
    above = replace(first, over="chance", found=first.found.less(chance))
    raw = _kept(_change(first, last), [above], rules.matters)
    at_first = _fair(leads, run, none)
    of_leads = [_kept(one, at_first, rules.matters) for one in _changes(leads, run, none, many)]
    less = f"loses less than {100 * rules.matters:.0f} points"
    text = f"The head is robust: it {less} from 0 to {rules.hard_distractors} distractors"
    return [Claim("robust", text, ABSTRACT, run.name, raw, all_of([raw, *of_leads]))]


def _kept(change: Lead, at_first: Sequence[Lead], matters: float) -> Judged:
    """Nothing is lost: the change's interval stays above what matters, below 0.

    Does not hold where it lies below 0 and is not as small as that. Who has no lead to begin with
    has nothing to lose.
    """
    found = change.found
    if why := silent(change):
        return Judged(OPEN, change, why)
    behind = [one for one in at_first if judged(one, matters).outcome != HOLDS]
    if behind:
        why = f"without distractors it is not ahead of {behind[0].over} either"
        return Judged(OPEN, change, why)
    if found.low > -matters:
        return Judged(OPEN, change, change.constant) if change.constant else Judged(HOLDS, change)
    if found.high < 0:
        return Judged(FAILS, change)
    return Judged(OPEN, change, "the interval allows for both")


def _up_to(leads: Leads, runs: list[Run], rules: ClaimRules) -> list[Claim]:
    """The largest gap of all sets."""
    raws, fairs = [], []
    for run in runs:
        every = [
            judged(one, rules.matters, rules.up_to, len(runs)) for one in _fair(leads, run, ALL)
        ]
        if every:
            raws.append(placed(every[0], run.name))  # over the model itself
            fairs.append(placed(all_of(every), run.name))
    text = f"Heads are better than the model by up to {100 * rules.up_to:.0f} points"
    on = "its only set" if len(raws) == 1 else f"the best of {len(raws)} sets"
    return [Claim("up_to", text, ABSTRACT, on, any_of(raws), any_of(fairs))] if raws else []
