"""How far a head is ahead on a run's test puzzles: of the model, and of its fair rivals.

Raw is the paper's own comparison, with the model's plain answers. Fair is ahead of all of these:
that model, the model with one offset a candidate, the commonest answer, and on the balanced twin of
the set chance and both models; where there are no such puzzles, the best surface rule stands for
it. Offsets, rule and commonest answer were chosen on validation puzzles. Every lead also says where
one answer would do as well on the very puzzles it is of. Counts nothing itself.
"""

from dataclasses import dataclass, replace

import pandas as pd

from qkcore.results.answers import exam
from qkcore.results.raw import is_among
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import twin_run
from qkcore.statistics.evidence import Measured
from qkcore.statistics.exams import accuracy_by, gaps
from qkcore.statistics.holds import Lead
from qkcore.wording import percent

Head = tuple[int, int]
MODEL, CALIBRATED, MAJORITY = "the model", "the calibrated model", "the commonest answer"
ON_TWIN = "on the balanced twin"
# Rivals that puzzles can become harder for, as a head can; the others get the same everywhere.
MODELS = (MODEL, CALIBRATED, f"{MODEL} {ON_TWIN}", f"{CALIBRATED} {ON_TWIN}")


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
        return None if marks.empty else self._lead(run_id, marks, "model", MODEL)

    def fair(self, run_id: str, head: Head, where: Where = ALL) -> list[Lead]:
        """The head minus each fair rival, the model itself first; none without such puzzles."""
        marks = self._marks(run_id, head, where)
        if marks.empty:
            return []
        leads = [
            self._lead(run_id, marks, "model", MODEL),
            self._lead(run_id, marks, "calibrated_model", CALIBRATED),
            self._lead(run_id, marks, "majority", MAJORITY),
        ]
        if run_id not in self._twins:
            self._twins[run_id] = twin_run(self.store, run_id)
        twin = self._twins[run_id]
        there = [] if twin is None else self._on_twin(twin, head, where)
        if there:
            return leads + there
        rule = self.store.best_rule(run_id, self.store.measure(run_id))
        if rule not in (None, "majority"):
            leads.append(self._lead(run_id, marks, "rule", f'"{rule}"'))
        return leads

    def accuracy(self, run_id: str, head: Head, where: Where = ALL) -> Lead | None:
        """The head's accuracy, by the run's measure, told as a lead over nothing."""
        marks = self._marks(run_id, head, where)
        return None if marks.empty else self._accuracy(run_id, marks, "its own accuracy before")

    def _on_twin(self, twin: str, head: Head, where: Where) -> list[Lead]:
        """The twin's puzzles of these steps; its distractors are unknown where its parent's are."""
        marks = self._marks(twin, head, where)
        if marks.empty:
            return []
        own = self._accuracy(twin, marks, f"chance {ON_TWIN}")
        chance = self.store.chance(twin, "test") or 0.0
        return [
            replace(own, found=own.found.less(chance)),
            self._lead(twin, marks, "model", f"{MODEL} {ON_TWIN}"),
            self._lead(twin, marks, "calibrated_model", f"{CALIBRATED} {ON_TWIN}"),
        ]

    def _marks(self, run_id: str, head: Head, where: Where) -> pd.DataFrame:
        key = run_id, head
        if key not in self._exams:
            self._exams[key] = exam(self.store, run_id, *head)
        marks = self._exams[key]
        return marks[is_among(marks, None, where.steps, where.distractors)]

    def _lead(self, run_id: str, marks: pd.DataFrame, than: str, over: str) -> Lead:
        row = gaps(marks, [], "head", than, self.store.measure(run_id)).iloc[0]
        found = Measured(*map(float, row[["gap", "low", "high"]]))
        return self._told(run_id, marks, Lead(over, found, int(row["n"]), int(row["n_groups"])))

    def _accuracy(self, run_id: str, marks: pd.DataFrame, over: str) -> Lead:
        row = accuracy_by(marks, [], ["head"], self.store.measure(run_id)).iloc[0]
        found = Measured(*map(float, row[["accuracy", "low", "high"]]))
        return self._told(run_id, marks, Lead(over, found, int(row["n"]), int(row["n_groups"])))

    def _told(self, run_id: str, marks: pd.DataFrame, lead: Lead) -> Lead:
        """The same, saying where one answer does as well as the head on these very puzzles."""
        shares = marks["answer"].value_counts(normalize=True)
        candidates, first = self.store.candidates(run_id), int(shares.index[0])
        name = f'"{candidates[first]}"' if candidates else f"candidate {first + 1}"
        if len(shares) == 1:
            said = f"all {len(marks):,} puzzles have the answer {name}, so all that counts is who"
            return replace(lead, one_answer=f"{said} says it more often")
        measure = self.store.measure(run_id)
        own = accuracy_by(marks, [], ["head"], measure)["accuracy"].iloc[0]
        constant = shares.iloc[0] if measure == "accuracy" else 1 / len(shares)
        if own > constant:
            return lead
        said = f"always saying {name} gets {percent(constant)} there, the head {percent(own)}"
        return replace(lead, constant=said)
