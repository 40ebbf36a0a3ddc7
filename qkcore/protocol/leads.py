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


class Leads:
    """Leads on the runs of one store; who answers what is read once a run and head."""

    def __init__(self, store: ResultStore) -> None:
        self.store = store
        self._exams: dict[tuple[str, Head], pd.DataFrame] = {}
        self._twins: dict[str, str | None] = {}

    def raw(self, run_id: str, head: Head, where: Where = ALL) -> Lead | None:
        """The head minus the model, as in the paper; None without such puzzles."""
        marks = self._marks(run_id, head, where)
        return None if marks.empty else _lead(marks, "model", MODEL, self.store.measure(run_id))

    def calibrated(self, run_id: str, head: Head, where: Where = ALL) -> Lead | None:
        """The head minus the model with one offset a candidate; None without such puzzles."""
        marks, measure = self._marks(run_id, head, where), self.store.measure(run_id)
        return None if marks.empty else _lead(marks, "calibrated_model", CALIBRATED, measure)

    def fair(self, run_id: str, head: Head, where: Where = ALL) -> list[Lead]:
        """The head minus each fair rival, the calibrated model first; none without such puzzles."""
        marks, measure = self._marks(run_id, head, where), self.store.measure(run_id)
        if marks.empty:
            return []
        leads = [
            _lead(marks, "calibrated_model", CALIBRATED, measure),
            _lead(marks, "majority", MAJORITY, measure),
        ]
        if run_id not in self._twins:
            self._twins[run_id] = twin_run(self.store, run_id)
        twin = self._twins[run_id]
        there = [] if twin is None else self._on_twin(twin, head, where)
        if there:
            return leads + there
        rule = self.store.best_rule(run_id, measure)
        if rule not in (None, "majority"):
            leads.append(_lead(marks, "rule", f'"{rule}"', measure))
        return leads

    def accuracy(self, run_id: str, head: Head, where: Where = ALL) -> Lead | None:
        """The head's accuracy, by the run's measure, told as a lead over nothing."""
        marks = self._marks(run_id, head, where)
        if marks.empty:
            return None
        return _accuracy(marks, self.store.measure(run_id), "its own accuracy before")

    def _on_twin(self, twin: str, head: Head, where: Where) -> list[Lead]:
        """The twin's puzzles of these steps; its distractors are unknown where its parent's are."""
        marks, measure = self._marks(twin, head, where), self.store.measure(twin)
        if marks.empty:
            return []
        own = _accuracy(marks, measure, f"chance {ON_TWIN}")
        chance = self.store.chance(twin, "test") or 0.0
        return [
            Lead(own.over, own.found.less(chance), own.n, own.n_groups),
            _lead(marks, "calibrated_model", f"{CALIBRATED} {ON_TWIN}", measure),
        ]

    def _marks(self, run_id: str, head: Head, where: Where) -> pd.DataFrame:
        key = run_id, head
        if key not in self._exams:
            self._exams[key] = exam(self.store, run_id, *head)
        marks = self._exams[key]
        return marks[is_among(marks, None, where.steps, where.distractors)]


def _lead(marks: pd.DataFrame, than: str, over: str, measure: str) -> Lead:
    row = gaps(marks, [], "head", than, measure).iloc[0]
    found = Measured(*map(float, row[["gap", "low", "high"]]))
    return Lead(over, found, int(row["n"]), int(row["n_groups"]))


def _accuracy(marks: pd.DataFrame, measure: str, over: str) -> Lead:
    row = accuracy_by(marks, [], ["head"], measure).iloc[0]
    found = Measured(*map(float, row[["accuracy", "low", "high"]]))
    return Lead(over, found, int(row["n"]), int(row["n_groups"]))
