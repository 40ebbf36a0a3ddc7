"""What a page says about a run, or about several: frames ready to draw, from a `ResultStore`.

Heads are chosen on validation puzzles and reported on test puzzles throughout.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from qkcore.results.answers import exam, rules_of_choice
from qkcore.results.kept import kept
from qkcore.results.raw import Steps, is_among
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import SAME_MODEL, worked_out
from qkcore.statistics import metrics
from qkcore.statistics.exams import gaps
from qkcore.statistics.metrics import (
    REPORTED,
    above_chance,
    balanced_accuracy,
    select_heads,
)
from qkcore.statistics.paired import p_of_interval
from qkcore.statistics.rivals import best_rival
from qkcore.wording import head_name, head_named

MEASURES = {
    "accuracy": "Accuracy",
    "gain": "Gain over the model, points",
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC",
}
BOUNDS = {"accuracy": ("low", "high"), "balanced_accuracy": ("balanced_low", "balanced_high")}
ON_ANSWER = "accuracy_on_"  # the name of a measure goes on with the answer's index
N_TOP = 20


def layers_with_heads(run: pd.Series) -> tuple[int, ...]:
    """The layers of a run's model that have softmax heads, as the model numbers them.

    Args:
        run: a row of `ResultStore.runs`.

    >>> from qkcore import ResultStore, demo_store
    >>> len(layers_with_heads(ResultStore.kept(demo_store()).runs().iloc[0]))
    30
    """
    stated: Any = run.get("head_layers")
    if np.ndim(stated) == 0:  # missing, in whichever way a frame has it
        return tuple(range(int(run["n_layers"])))
    return tuple(int(layer) for layer in stated)


def layers_without_heads(run: pd.Series) -> tuple[int, ...]:
    """The other layers of a run's model: with linear attention, state spaces and the like."""
    there = set(layers_with_heads(run))
    return tuple(layer for layer in range(int(run["n_layers"])) if layer not in there)


def measures(
    store: ResultStore,
    run_id: str,
    steps: int | None = None,
    distractors: int | None = None,
    by: str | None = None,
) -> pd.DataFrame:
    """Every head on these test puzzles, measured in every way; empty without such puzzles.

    Args:
        store: that holds the run.
        run_id: of the run.
        steps: of the puzzles; None: all.
        distractors: likewise.
        by: "accuracy" or "balanced_accuracy": what luck and chance are of; None: the run's own.

    Returns:
        layer, head, n, n_right, n_groups, accuracy, low, high (95 %), balanced_low, balanced_high
        (of balanced accuracy), then whatever else `measure_names` has
        for the run, NaN where these puzzles do not define it: gain (over the model),
        balanced_accuracy, auc, accuracy_on_0 and so on (by the right candidate's index);
        is_above_luck (above the luck line's 95th percentile, by that measure), is_above_chance
        (false discovery controlled, likewise), constant (candidate that the head says to 98 % of
        validation puzzles, or missing).

    >>> from qkcore import ResultStore, demo_store, measures
    >>> store = ResultStore.kept(demo_store())
    >>> heads = measures(store, store.runs()["run_id"].iloc[0], steps=2)
    >>> len(heads), int(heads["n"].iloc[0]), int(heads["is_above_chance"].sum())
    (270, 108, 14)
    """
    filters = (run_id, "test", steps, distractors)
    heads = store.head_accuracy(*filters)
    if heads.empty:
        return heads
    right, n_by_answer = store.accuracy_by_answer(*filters)
    columns = {
        "gain": heads["accuracy"] - store.model_accuracy(*filters)["accuracy"].iloc[0],
        "balanced_accuracy": heads["balanced_accuracy"],
    }
    if len(area := store.auc(*filters)):
        columns["auc"] = area
    columns |= {
        f"{ON_ANSWER}{index}": right[:, index] / n for index, n in enumerate(n_by_answer) if n
    }
    columns = {
        name: columns.get(name, np.nan)
        for name in measure_names(store, run_id)
        if name != "accuracy"
    }
    by = store.measure(run_id) if by is None else by
    columns["is_above_luck"] = heads[by] > store.luck(*filters, by)["q95"].iloc[0]
    null = store.head_luck(*filters, by)
    step = 1.0 if by == "accuracy" else 1 / ((n_by_answer > 0).sum() * n_by_answer.max())
    columns["is_above_chance"] = above_chance(
        heads["n_right" if by == "accuracy" else by].to_numpy(),
        null["null_mean"],
        null["null_sd"],
        step=step,
    )
    columns["constant"] = store.head_facts(run_id)["constant"]
    first = ["layer", "head", "n", "n_right", "n_groups", "accuracy", "low", "high"]
    bounds = ["balanced_low", "balanced_high"]
    return heads[[*first, *bounds]].assign(**columns)


def measure_names(store: ResultStore, run_id: str) -> dict[str, str]:
    """The measures that the run's test puzzles define, column of `measures` to what people call it.

    There is no AUC unless all puzzles share two candidates and each is right somewhere. Where all
    share candidates, those that are right somewhere have an accuracy each, such as accuracy_on_0:
    'Accuracy on "true"'.
    """
    n_by_answer = store.accuracy_by_answer(run_id, "test")[1]
    names = {
        name: title
        for name, title in MEASURES.items()
        if name != "auc" or len(store.auc(run_id, "test"))
    }
    # The last ones may never be right
    by_answer = zip(store.candidates(run_id) or (), n_by_answer, strict=False)
    return names | {
        f"{ON_ANSWER}{i}": f'Accuracy on "{candidate}"'
        for i, (candidate, n) in enumerate(by_answer)
        if n
    }


def head_gap(
    store: ResultStore,
    run_id: str,
    layer: int,
    head: int,
    steps: int | None = None,
    distractors: int | None = None,
) -> pd.Series | None:
    """A head against the model on the same test puzzles, by the run's measure.

    None without such puzzles.

    Returns:
        n, n_groups, gap (share), low, high (95 %), p; see `exams.gaps`.

    >>> from qkcore import ResultStore, demo_store, head_gap
    >>> store = ResultStore.kept(demo_store())
    >>> gap = head_gap(store, store.runs()["run_id"].iloc[0], layer=15, head=7, steps=2)
    >>> int(gap["n"]), round(float(gap["gap"]), 3)
    (108, 0.287)
    """
    marks = exam(store, run_id, layer, head)
    marks = marks[is_among(marks, None, steps, distractors)]
    return gaps(marks, [], measure=store.measure(run_id)).iloc[0] if len(marks) else None


def run_gaps(store: ResultStore) -> pd.DataFrame:
    """Each run's chosen head against its model on test puzzles, by the run's measure.

    Newest run first.

    Runs without either are left out.

    Returns:
        run_id, model, puzzle_set, rope, layer, head, n, n_groups, gap, low, high, p,
        head_accuracy, model_accuracy.

    >>> from qkcore import ResultStore, demo_store, run_gaps
    >>> table = run_gaps(ResultStore.kept(demo_store()))
    >>> len(table), table["puzzle_set"].iloc[0]
    (18, 'pararule-plus')
    >>> table[["gap", "low", "high"]].iloc[0].astype(float).round(3).tolist()
    [0.38, 0.301, 0.455]
    """
    rows, there = [], kept(store)
    for run in store.runs().to_dict("records"):
        run_id = run["run_id"]
        # What stands there of head and model holds whatever twin there is today.
        evidence = there[run_id].evidence if run_id in there else worked_out(store, run_id)
        if evidence is None:
            continue
        layer, head = head_named(evidence.head_name)
        lead = evidence.model.lead
        p = p_of_interval(lead.value, lead.low, lead.high)
        if p is None and (gap := head_gap(store, run_id, layer, head)) is not None:
            p = float(gap["p"])
        rows.append(
            {name: run[name] for name in ("run_id", "model", "puzzle_set", "rope")}
            | {"layer": layer, "head": head, "n": evidence.n, "n_groups": evidence.n_groups}
            | {"gap": lead.value, "low": lead.low, "high": lead.high, "p": p}
            | {"head_accuracy": evidence.head.value}
            | {"model_accuracy": evidence.model.accuracy.value}
        )
    return pd.DataFrame(rows)


def near_runs(table: pd.DataFrame, run: pd.Series, at_most: int) -> pd.DataFrame:
    """Of very many runs, those of a run's model and those on its puzzle set.

    Args:
        table: a row a run, with model and puzzle_set.
        run: likewise.
        at_most: so many rows are kept whole.

    >>> table = pd.DataFrame({"model": list("aabb"), "puzzle_set": list("xyxy")})
    >>> near_runs(table, table.iloc[0], at_most=3).index.tolist()
    [0, 1, 2]
    >>> len(near_runs(table, table.iloc[0], at_most=4))
    4
    """
    if len(table) <= at_most:
        return table
    is_near = (table["model"] == run["model"]) | (table["puzzle_set"] == run["puzzle_set"])
    return table[is_near].reset_index(drop=True)


def comparable_runs(store: ResultStore, run_id: str) -> pd.DataFrame:
    """Runs of one model with the same settings.

    The newest of each puzzle set that has validation and test puzzles.
    """
    runs = store.runs()
    own = runs[runs["run_id"] == run_id].iloc[0]
    same = runs[(runs[SAME_MODEL] == own[SAME_MODEL]).all(axis=1)]
    splits = store.frame("select distinct run_id, split from store.model_accuracy")
    known = splits.groupby("run_id")["split"].agg(set)
    has_both = [{"validation", "test"} <= known.get(run, set()) for run in same["run_id"]]
    newest = same[has_both].drop_duplicates("puzzle_set")
    return newest.sort_values("puzzle_set", ignore_index=True)


def transfers(store: ResultStore, run_ids: tuple[str, ...]) -> pd.DataFrame:
    """The head chosen on each run's validation puzzles, on each run's test puzzles.

    As `metrics.transfer` has it, with the sets' names, each by its run's measure.

    >>> from qkcore import ResultStore, demo_store, transfers
    >>> store = ResultStore.kept(demo_store())
    >>> runs = store.runs().query("model == 'reference' and rope == 'pre'")["run_id"]
    >>> table = transfers(store, tuple(runs))
    >>> len(table), table[["chosen_on", "tested_on"]].iloc[1].tolist()
    (9, ['made-up', 'everyday'])
    """
    validation, test = [], []
    for run_id in run_ids:
        measure = store.measure(run_id)
        chosen_by = _by_measure(store, run_id, measure)
        validation.append(chosen_by.assign(accuracy=chosen_by[measure]))
        reported, (low, high) = store.head_accuracy(run_id, "test"), BOUNDS[measure]
        test.append(
            reported.assign(accuracy=reported[measure], low=reported[low], high=reported[high])
        )
    frame = metrics.transfer(validation, test)
    set_of = store.runs().set_index("run_id")["puzzle_set"]
    names = {number: set_of[run_id] for number, run_id in enumerate(run_ids)}
    for column in ("chosen_on", "tested_on"):
        frame[column] = frame[column].map(names)
    return frame


def overlaps(store: ResultStore, run_ids: tuple[str, ...], k: int = N_TOP) -> pd.DataFrame:
    """puzzle_set, other, n_shared: how many of their k best heads two sets share.

    Best on validation puzzles.
    """
    set_of = store.runs().set_index("run_id")["puzzle_set"]
    tops = {set_of[run_id]: set(store.selected(run_id, k)) for run_id in run_ids}
    rows = [(one, other, len(tops[one] & tops[other])) for one in tops for other in tops]
    return pd.DataFrame(rows, columns=["puzzle_set", "other", "n_shared"])


def heads_good_everywhere(
    store: ResultStore, run_ids: tuple[str, ...], k: int = 10
) -> pd.DataFrame:
    """The k heads that are good on every set, on every run's test puzzles.

    Those whose worst validation lead over trivial rivals, over the runs, is best: over the
    commonest answer, the best surface rule and the luck line, as shares of what there is above the
    best of them. Heads that say the same to nearly all puzzles of a set are left out.

    Returns:
        layer, head, puzzle_set, n, n_right, n_groups, accuracy, low, high, then rival (the best
        trivial one, chosen on validation puzzles), rival_accuracy (on test puzzles), is_above (the
        head's interval lies above that) and is_good (so on every set); by each run's measure.
        Heads in order, sets within.

    Raises:
        StoreError: when a run has no validation puzzles.
    """
    frames, names, trivial = [], store.runs().set_index("run_id")["puzzle_set"], {}
    for run_id in run_ids:
        measure = store.measure(run_id)
        rival = _trivial_rival(store, run_id, measure)
        trivial[run_id] = rival
        frame = _by_measure(store, run_id, measure)
        lead = (frame[measure] - rival.validation) / max(1 - rival.validation, 1e-9)
        frames.append(frame[["layer", "head"]].assign(lead=lead)[frame["constant"].isna()])
    worst = (
        pd.concat(frames).groupby(["layer", "head"], as_index=False)["lead"].agg(["min", "size"])
    )
    worst = worst[worst["size"] == len(run_ids)].assign(accuracy=lambda one: one["min"])
    # Asked once a run, not once a head.
    asked = {run: (store.measure(run), store.head_accuracy(run, "test")) for run in run_ids}
    rows = []
    for layer, head in select_heads(worst, k):
        for run_id in run_ids:
            (measure, test), rival = asked[run_id], trivial[run_id]
            own = test[(test["layer"] == layer) & (test["head"] == head)]
            low, high = BOUNDS[measure]
            rows.append(
                own[["layer", "head", "n", "n_right", "n_groups"]].assign(
                    puzzle_set=names[run_id],
                    accuracy=own[measure],
                    low=own[low],
                    high=own[high],
                    rival=rival.name,
                    rival_accuracy=rival.test,
                    is_above=own[low] > rival.test,
                )
            )
    if not rows:
        return pd.DataFrame(columns=["layer", "head", "puzzle_set", *REPORTED, "is_good"])
    table = pd.concat(rows, ignore_index=True)
    return table.assign(is_good=table.groupby(["layer", "head"])["is_above"].transform("all"))


class _Trivial(NamedTuple):
    """The best rival that reads no logic, on a run's puzzles."""

    name: str
    validation: float  # share, by the run's measure
    test: float


def _trivial_rival(store: ResultStore, run_id: str, measure: str) -> _Trivial:
    """Chosen on validation puzzles; the majority is one of the rules."""
    rule = store.best_rule(run_id, measure)
    if rule is None:
        raise StoreError(
            f"run {run_id!r} has no validation puzzles to choose heads on; leave it out"
        )
    shares = []
    for split in ("validation", "test"):
        rules = store.surface_accuracy(run_id, split, measure=measure).set_index("rule")
        line = store.luck(run_id, split, measure=measure)["q95"].iloc[0]
        shares.append({f'"{rule}"': rules.loc[rule, "accuracy"], "luck line": line})
    name, validation = best_rival(shares[0])
    return _Trivial(name, float(validation), float(shares[1][name]))


def _by_measure(store: ResultStore, run_id: str, measure: str) -> pd.DataFrame:
    """layer, head, constant and the measure on validation puzzles."""
    counts = store.head_counts(run_id, "validation")
    if measure == "balanced_accuracy":
        counts[measure] = balanced_accuracy(*store.accuracy_by_answer(run_id, "validation"))
    return counts.merge(store.head_facts(run_id), on=["layer", "head"])


def rivals(store: ResultStore, run_id: str) -> list[str]:
    """Other runs on the same puzzles, newest first."""
    runs = store.runs()
    own = runs[runs["run_id"] == run_id].iloc[0]
    is_same = (runs["puzzle_set"] == own["puzzle_set"]) & (
        runs["puzzle_set_sha256"] == own["puzzle_set_sha256"]
    )
    return runs.loc[is_same & (runs["run_id"] != run_id), "run_id"].tolist()


def compared(
    one: pd.DataFrame,
    other: pd.DataFrame,
    by: Sequence[str] = (),
    measure: str = "accuracy",
) -> pd.DataFrame:
    """Two runs' exams on the same puzzles, paired by puzzle.

    The head chosen in each is compared, and the two models.

    Returns:
        who ("head" or "model"), the columns `by`, n, gap (first minus other), low, high, p.
    """
    both = one.merge(other, on="puzzle_id", suffixes=("", "_other"))
    frames = []
    for who in ("head", "model"):
        marks = both.assign(
            is_head_right=both[f"is_{who}_right"], is_model_right=both[f"is_{who}_right_other"]
        )
        frames.append(gaps(marks, by, measure=measure).assign(who=who))
    return pd.concat(frames, ignore_index=True)


def same_answers(one: pd.DataFrame, other: pd.DataFrame) -> set[str]:
    """Who of "head" and "model" answers the same to every puzzle that two runs' exams share."""
    both = one.merge(other, on="puzzle_id", suffixes=("", "_other"))
    return {who for who in ("head", "model") if (both[who] == both[f"{who}_other"]).all()}


def compared_runs(
    store: ResultStore,
    run_id: str,
    head: tuple[int, int],
    other: str,
    other_head: tuple[int, int],
    by: Sequence[str] = (),
) -> pd.DataFrame:
    """`compared` of two runs' (layer, head), by the first run's measure."""
    both = exam(store, run_id, *head), exam(store, other, *other_head)
    return compared(*both, by, store.measure(run_id))


def choices_reported(
    store: ResultStore, run_id: str, choose_steps: Steps = None, report_steps: Steps = None
) -> pd.DataFrame:
    """`answers.rules_of_choice` as people read it.

    That is with accuracy and its interval, gap to the model and p.

    Returns:
        rule, heads (names), n, n_right, n_groups, accuracy, low, high, gap, gap_low, gap_high, p.

    >>> from qkcore import ResultStore, choices_reported, demo_store
    >>> store = ResultStore.kept(demo_store())
    >>> ways = choices_reported(store, store.runs()["run_id"].iloc[0])
    >>> len(ways), ways["rule"].iloc[0], ways["heads"].iloc[0]
    (8, 'best by accuracy', ['L15 H7'])
    >>> ways[["accuracy", "gap"]].iloc[0].round(3).tolist()
    [0.88, 0.38]
    """
    ways = rules_of_choice(store, run_id, choose_steps, report_steps)
    named = [[head_name(*head) for head in heads] for heads in ways["heads"]]
    return ways.assign(heads=pd.Series(named, dtype=object))


def products(example: pd.Series) -> pd.DataFrame:
    """The dot products of a worked example, a row a dimension.

    Columns are dim, key, then for each candidate its query and product. The sum of a candidate's
    products is its QK-score.
    """
    key = np.asarray(example["key_vector"], dtype=float)
    columns = {"dim": np.arange(len(key)), "key": key}
    for candidate, query in zip(example["candidates"], example["query_vectors"], strict=True):
        columns[f"query ({candidate})"] = np.asarray(query, dtype=float)
        columns[f"product ({candidate})"] = key * columns[f"query ({candidate})"]
    return pd.DataFrame(columns)
