"""How far a head is ahead on a run's test puzzles: of the model, and of its fair rivals.

Raw is the paper's own comparison, with the model's plain answers. Fair is ahead of all of these:
the model with one offset a candidate, the commonest answer, and on the balanced twin of the set the
calibrated model and chance; where there are no such puzzles, the best surface rule stands for it.
Offsets, rule and commonest answer were chosen on validation puzzles. Counts nothing itself.
"""

from dataclasses import dataclass

import pandas as pd

from qkcore.results.answers import exam
from qkcore.results.raw import is_among
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import twin_run
from qkcore.statistics.evidence import Measured
from qkcore.statistics.exams import accuracy_by, gaps
from qkcore.statistics.holds import Lead

Head = tuple[int, int]
MODEL, CALIBRATED, MAJORITY = "the model", "the calibrated model", "the commonest answer"
ON_TWIN = "on the balanced twin"


@dataclass(frozen=True, slots=True)
class Where:
    """Some of a run's test puzzles; None: of any number."""

    steps: int | None = None
    distractors: int | None = None


ALL = Where()


def raw_lead(store: ResultStore, run_id: str, head: Head, where: Where = ALL) -> Lead | None:
    """The head minus the model, as in the paper; None without such puzzles."""
    marks = _marks(store, run_id, head, where)
    return None if marks.empty else _lead(marks, "model", MODEL, store.measure(run_id))


def fair_leads(store: ResultStore, run_id: str, head: Head, where: Where = ALL) -> list[Lead]:
    """The head minus each of its fair rivals; none without such puzzles."""
    marks, measure = _marks(store, run_id, head, where), store.measure(run_id)
    if marks.empty:
        return []
    leads = [
        _lead(marks, "calibrated_model", CALIBRATED, measure),
        _lead(marks, "majority", MAJORITY, measure),
    ]
    twin = twin_run(store, run_id)
    there = [] if twin is None else _on_twin(store, twin, head, where)
    if there:
        return leads + there
    rule = store.best_rule(run_id, measure)
    if rule not in (None, "majority"):
        leads.append(_lead(marks, "rule", f'"{rule}"', measure))
    return leads


def accuracy_of(store: ResultStore, run_id: str, head: Head, where: Where = ALL) -> Lead | None:
    """The head's accuracy, by the run's measure, told as a lead over nothing."""
    marks = _marks(store, run_id, head, where)
    return (
        None if marks.empty else _accuracy(marks, store.measure(run_id), "its own accuracy before")
    )


def _on_twin(store: ResultStore, twin: str, head: Head, where: Where) -> list[Lead]:
    """The twin's puzzles of these steps; its distractors are unknown where its parent's are."""
    marks, measure = _marks(store, twin, head, where), store.measure(twin)
    if marks.empty:
        return []
    own = _accuracy(marks, measure, f"chance {ON_TWIN}")
    chance = store.chance(twin, "test") or 0.0
    return [
        Lead(own.over, own.found.less(chance), own.n, own.n_groups),
        _lead(marks, "calibrated_model", f"{CALIBRATED} {ON_TWIN}", measure),
    ]


def _marks(store: ResultStore, run_id: str, head: Head, where: Where) -> pd.DataFrame:
    marks = exam(store, run_id, *head)
    return marks[is_among(marks, None, where.steps, where.distractors)]


def _lead(marks: pd.DataFrame, than: str, over: str, measure: str) -> Lead:
    row = gaps(marks, [], "head", than, measure).iloc[0]
    found = Measured(*map(float, row[["gap", "low", "high"]]))
    return Lead(over, found, int(row["n"]), int(row["n_groups"]))


def _accuracy(marks: pd.DataFrame, measure: str, over: str) -> Lead:
    row = accuracy_by(marks, [], ["head"], measure).iloc[0]
    found = Measured(*map(float, row[["accuracy", "low", "high"]]))
    return Lead(over, found, int(row["n"]), int(row["n_groups"]))
