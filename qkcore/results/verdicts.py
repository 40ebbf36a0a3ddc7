"""The verdict on a stored run: its chosen head beside all rivals, on the same test puzzles.

Gathers what qkcore.statistics.verdicts rules on. The head is chosen on validation puzzles, and so
are the model's offset, the commonest answer and the surface rule. A run's twin is the newest run of
the same model with the same settings on the balanced twin of its puzzle set.
"""

import numpy as np
import pandas as pd

from qkcore.results.answers import exam
from qkcore.results.kept import kept
from qkcore.results.raw import head_scores, is_among, model_logits, puzzle_rows
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import pairwise_auc
from qkcore.statistics.evidence import Evidence, Measured, Rival, Twin, against, measured
from qkcore.statistics.exams import accuracy_by, gaps
from qkcore.statistics.remains import GUESSING, TWIN
from qkcore.statistics.verdicts import Verdict, verdict
from qkcore.wording import head_name

SAME_MODEL = ["model", "model_revision", "rope", "dtype", "template", "n_layers", "n_heads"]
MODEL, CALIBRATED, MAJORITY = "the model", "the calibrated model", "the commonest answer"


def verdict_of(store: ResultStore, run_id: str) -> Verdict | None:
    """The verdict on a run; None where it has no validation or no test puzzles.

    >>> from qkcore import ResultStore, demo_store, verdict_of
    >>> store = ResultStore.kept(demo_store())
    >>> found = verdict_of(store, store.runs()["run_id"].iloc[0])
    >>> found.name
    'surface rule'
    """
    evidence = evidence_of(store, run_id)
    return None if evidence is None else verdict(evidence)


def left_over(store: ResultStore, run_id: str) -> pd.DataFrame:
    """What each rival leaves of the chosen head's gap to the model, step by step.

    Returns:
        step, rival (the best so far), left, low, high (the head's lead over it as a share, 95 %),
        rival_accuracy, then own_rival and own_lead of the rival that the step is about; no rows
        where there is no verdict.

    >>> from qkcore import ResultStore, demo_store, left_over
    >>> store = ResultStore.kept(demo_store())
    >>> left_over(store, store.runs()["run_id"].iloc[0])["step"].iloc[:2].tolist()
    ['gap to the model', 'after calibration']
    """
    evidence = evidence_of(store, run_id)
    columns = "step rival left low high rival_accuracy own_rival own_lead".split()
    if evidence is None:
        return pd.DataFrame(columns=columns)
    found = verdict(evidence)
    accuracy = {step.own.name: step.own.accuracy.value for step in found.steps}
    on_twin = {}
    if evidence.twin:
        on_twin = {
            GUESSING: evidence.twin.luck,
            CALIBRATED: evidence.twin.calibrated_model.accuracy.value,
        }
    rows = [
        (
            step.label,
            step.best,
            *(step.left.value, step.left.low, step.left.high),
            (on_twin if step.label == TWIN else accuracy)[step.best],
            step.own.name,
            step.own.lead.value,
        )
        for step in found.steps
    ]
    return pd.DataFrame(rows, columns=columns)


def three_gaps(store: ResultStore, run_id: str, layer: int, head: int) -> pd.DataFrame:
    """A head against the model on test puzzles, with and without one offset for each.

    Returns:
        comparison, who, than, who_accuracy, than_accuracy, n, n_groups, gap (share), low, high
        (95 %), p; by the run's measure. The first row is the fair one: a head that was chosen with
        labels, against a model that may use the same labels for one number. No rows without test
        puzzles.

    >>> from qkcore import ResultStore, demo_store, three_gaps
    >>> store = ResultStore.kept(demo_store())
    >>> table = three_gaps(store, store.runs()["run_id"].iloc[0], layer=15, head=7)
    >>> table["than_accuracy"].round(3).tolist(), table["gap"].round(3).tolist()
    ([0.702, 0.5, 0.702], [0.178, 0.38, 0.184])
    """
    marks, measure = exam(store, run_id, layer, head), store.measure(run_id)
    if marks.empty:
        return pd.DataFrame(columns=["comparison"])
    pairs = {
        "head − calibrated model": ("head", "calibrated_model"),
        "head − model, as in the paper": ("head", "model"),
        "both calibrated": ("calibrated_head", "calibrated_model"),
    }
    names = list(dict.fromkeys(who for pair in pairs.values() for who in pair))
    shares = accuracy_by(marks, [], names, measure).set_index("who")["accuracy"]
    rows = [
        gaps(marks, [], who, than, measure).assign(
            comparison=name,
            who=who,
            than=than,
            who_accuracy=shares[who],
            than_accuracy=shares[than],
        )
        for name, (who, than) in pairs.items()
    ]
    first = ["comparison", "who", "than", "who_accuracy", "than_accuracy", "n", "n_groups"]
    return pd.concat(rows, ignore_index=True)[[*first, "gap", "low", "high", "p"]]


def areas(store: ResultStore, run_id: str, layer: int, head: int) -> tuple[float, float]:
    """AUC of a head and of the model on test puzzles: how well they order them, whatever they lean.

    NaN where fewer than two answers occur; see `calibration.pairwise_auc`.
    """
    puzzles = puzzle_rows(store, run_id)
    is_test = is_among(puzzles, "test")
    answer = puzzles["answer"].to_numpy()[is_test]
    own, model = head_scores(store, run_id, [(layer, head)])[:, 0], model_logits(store, run_id)
    of_head, of_model = (float(pairwise_auc(scores[is_test], answer)) for scores in (own, model))
    return of_head, of_model


def evidence_of(store: ResultStore, run_id: str) -> Evidence | None:
    """All that a verdict on a run rests on; None where it has no validation or no test puzzles.

    As the store keeps it, else worked out.
    """
    row = kept(store, run_id).get(run_id)
    if row is not None and row.twin_run == twin_run(store, run_id):
        return row.evidence
    return worked_out(store, run_id)


def worked_out(store: ResultStore, run_id: str) -> Evidence | None:
    """The same from the answers to single puzzles, which takes a tenth of a second."""
    best = store.best_head(run_id)
    marks = pd.DataFrame() if best is None else exam(store, run_id, *best)
    if best is None or marks.empty:
        return None
    measure = store.measure(run_id)
    rule = store.best_rule(run_id, measure)
    found = _Marks(marks, measure)
    both = gaps(marks, [], "calibrated_head", "calibrated_model", measure).iloc[0]
    return Evidence(
        head_name=head_name(*best),
        head=found.measured("head"),
        model=found.rival(MODEL, "model"),
        calibrated_model=found.rival(CALIBRATED, "calibrated_model"),
        majority=found.rival(MAJORITY, "majority"),
        luck=float(store.luck(run_id, "test", measure=measure)["q95"].iloc[0]),
        n=len(marks),
        n_groups=marks["group"].nunique(),
        # The majority answer stands by itself
        rule=found.rival(f'"{rule}"', "rule") if rule not in (None, "majority") else None,
        head_says=_says(store, run_id, best),
        twin=_twin(store, run_id, best),
        calibrated_lead=Measured(*map(float, both[["gap", "low", "high"]])),
    )


def twin_run(store: ResultStore, run_id: str) -> str | None:
    """The newest run of the same model and settings on the balanced twin of a run's puzzle set."""
    return _related(store, run_id, "twin_of", "puzzle_set_sha256")


def parent_run(store: ResultStore, run_id: str) -> str | None:
    """The newest run of the same model and settings on the set whose twin this run is on."""
    return _related(store, run_id, "puzzle_set_sha256", "twin_of")


def twin_runs(store: ResultStore) -> dict[str, str | None]:
    """`twin_run` of every run, newest run first."""
    runs = store.runs()
    settings = list(runs[SAME_MODEL].itertuples(index=False, name=None))
    newest: dict[tuple[object, ...], str] = {}
    for run_id, same, parent in zip(runs["run_id"], settings, runs["twin_of"], strict=True):
        newest.setdefault((*same, parent), run_id)
    return {
        run_id: newest.get((*same, own))
        for run_id, same, own in zip(
            runs["run_id"], settings, runs["puzzle_set_sha256"], strict=True
        )
    }


def _related(store: ResultStore, run_id: str, theirs: str, ours: str) -> str | None:
    runs = store.runs()
    own = runs[runs["run_id"] == run_id].iloc[0]
    is_same = (runs[SAME_MODEL] == own[SAME_MODEL]).all(axis=1) & (runs[theirs] == own[ours])
    found = runs[is_same]["run_id"]
    return None if found.empty else str(found.iloc[0])


def _twin(store: ResultStore, run_id: str, head: tuple[int, int]) -> Twin | None:
    other = twin_run(store, run_id)
    marks = pd.DataFrame() if other is None else exam(store, other, *head)
    if other is None or marks.empty:
        return None
    measure = store.measure(other)
    found = _Marks(marks, measure)
    return Twin(
        head=found.measured("head"),
        calibrated_model=found.rival(CALIBRATED, "calibrated_model"),
        # Of one head that was chosen elsewhere; where candidates differ, of all of them together
        luck=store.chance(other, "test") or 0.0,
        n=len(marks),
        n_groups=marks["group"].nunique(),
    )


def _says(store: ResultStore, run_id: str, head: tuple[int, int]) -> str | None:
    """What the head says to nearly all validation puzzles, in words."""
    facts = store.head_facts(run_id).set_index(["layer", "head"])["constant"]
    constant = facts.get(head)
    if constant is None or pd.isna(constant):
        return None
    candidates = store.candidates(run_id)
    return candidates[int(constant)] if candidates else f"candidate {int(constant) + 1}"


class _Marks:
    """Marks of test puzzles, measured one way."""

    def __init__(self, marks: pd.DataFrame, measure: str) -> None:
        self._marks = marks
        self._group = pd.factorize(marks["group"])[0]
        self._answer = marks["answer"].to_numpy() if measure == "balanced_accuracy" else None

    def of(self, who: str) -> np.ndarray:
        """(puzzle,) bool: is it right?"""
        return self._marks[f"is_{who}_right"].to_numpy(dtype=bool)

    def measured(self, who: str) -> Measured:
        """Its share, with interval."""
        return measured(self.of(who), self._group, self._answer)

    def rival(self, name: str, who: str) -> Rival:
        """Beside the head."""
        return against(name, self.of(who), self.of("head"), self._group, self._answer)
