"""What the layers of a run's model say: curves by layer, and what is lost on the way to the output.

Heads, offsets, the middle layer, the commonest answer and the surface rule are chosen on validation
puzzles; everything is reported on test puzzles, by the run's measure. The statistics are
`statistics/readable`, `lost` and `passage`. Knows nothing of pages; `qkscope precompute --lens`
fills the tables.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from qkcore.results.layer_marks import LayerMarks, layer_marks
from qkcore.results.raw import Steps, model_logits
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import pairwise_auc
from qkcore.statistics.evidence import Measured
from qkcore.statistics.lost import Loss, growth, loss
from qkcore.statistics.marks import choices
from qkcore.statistics.metrics import balanced_accuracy
from qkcore.statistics.passage import Passage
from qkcore.statistics.readable import above_guessing, accuracies, first
from qkcore.wording import head_name

HEAD, LENS, RAW_LENS = "best head", "calibrated lens", "lens"
PROBE, CONTROL = "probe", "control probe"
MODEL, CALIBRATED, MAJORITY, RULE = "model", "calibrated model", "majority", "surface rule"
CURVES = "who layer head n n_right n_groups accuracy low high auc".split()
LOSSES = (
    *"steps layer n n_groups lost lost_low lost_high found found_low found_high".split(),
    *"lost_by_chance middle_accuracy output_accuracy net net_low net_high p".split(),
)


def layer_curves(
    store: ResultStore, run_id: str, steps: Steps = None, heads_of: str | None = None
) -> pd.DataFrame:
    """How right head, lens and probe are at each layer, on **test** puzzles of these steps.

    Args:
        store: that holds the run.
        run_id: of the run.
        steps: one or several; None: all.
        heads_of: a run of the same model on another set, whose validation puzzles choose the best
            head of each layer; None: the run's own do.

    Returns:
        who, layer, head, n, n_right, n_groups, accuracy (by the run's measure), low, high (95 %),
        auc (missing where it is not defined). Who is "best head" (of a layer), "calibrated lens",
        "lens", "probe" and "control probe" (fitted on shuffled answers), with a row a layer; then
        without a layer "model", "calibrated model", "majority" (the commonest answer of validation
        puzzles) and "surface rule" (the best on them). No rows where the run has no lens, or no
        such puzzles.

    >>> from qkcore import ResultStore, demo_store, layer_curves
    >>> store = ResultStore.kept(demo_store())
    >>> curves = layer_curves(store, store.runs()["run_id"].iloc[0])
    >>> curves["who"].value_counts()[["lens", "probe", "model"]].tolist()
    [30, 30, 1]
    """
    marks = layer_marks(store, run_id)
    rows = np.zeros(0, dtype=int) if marks is None else marks.test(steps)
    if marks is None or not len(rows):
        return pd.DataFrame(columns=CURVES)
    frames = [_best_heads(store, run_id, steps, heads_of or run_id), *_readings(marks, rows)]
    others = {MODEL: "model", CALIBRATED: "calibrated_model", MAJORITY: "majority", RULE: "rule"}
    area = float(pairwise_auc(model_logits(store, run_id)[rows], marks.answer[rows]))
    for who, column in others.items():
        if (marks.puzzles[column] >= 0).any():  # a run without validation puzzles has no rule
            frame = _reported(marks, marks.who_is_right(column)[:, None], rows)
            frames.append(frame.assign(who=who, auc=area if who in (MODEL, CALIBRATED) else np.nan))
    whole = {"layer": "Int64", "head": "Int64"}
    frames = [frame.reindex(columns=CURVES).astype(whole) for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True)


def lost_on_the_way(store: ResultStore, run_id: str) -> pd.DataFrame:
    """Test puzzles that the lens has right at a middle layer and the model wrong at its output.

    The middle layer is the one before the last whose calibrated lens is best on **validation**
    puzzles; the model's answer is its calibrated one.

    Returns:
        steps (missing: all together, the first row), layer, n, n_groups, lost, lost_low, lost_high,
        found (wrong in the middle, right at the output), found_low, found_high, lost_by_chance (by
        two that are as often right, but independently), middle_accuracy, output_accuracy, net (lost
        minus found, paired), net_low, net_high, p. No rows without lens, validation or test
        puzzles.

    >>> from qkcore import ResultStore, demo_store, lost_on_the_way
    >>> store = ResultStore.kept(demo_store())
    >>> losses = lost_on_the_way(store, store.runs()["run_id"].iloc[0])
    >>> losses["steps"].dropna().tolist(), losses["lost"].round(3).tolist()[0]
    ([2, 3, 5], 0.291)
    """
    marks = layer_marks(store, run_id)
    middle = None if marks is None else marks.middle()
    rows = np.zeros(0, dtype=int) if marks is None else marks.test()
    if marks is None or middle is None or not len(rows):
        return pd.DataFrame(columns=list(LOSSES))
    stated = marks.steps[rows]
    cells = {value: rows[stated == value] for value in np.unique(stated[~np.isnan(stated)])}
    lines = [
        (value, int(marks.layers[middle]), *_told(_loss(marks, middle, own)))
        for value, own in ({pd.NA: rows} | cells).items()
    ]
    return pd.DataFrame(lines, columns=list(LOSSES)).astype({"steps": "Int64"})


def passage_of(store: ResultStore, run_id: str) -> Passage | None:
    """All that is said of the way of a run's answers; None where it has no lens or test puzzles."""
    marks = layer_marks(store, run_id)
    rows = np.zeros(0, dtype=int) if marks is None else marks.test()
    if marks is None or not len(rows):
        return None
    best, middle = store.best_head(run_id), marks.middle()
    chance = store.chance(run_id, "test") or 0.0
    lens, probe = _above(marks, rows, chance, ["majority"])
    beyond = _above(marks, rows, chance, ["majority", "rule"])
    beyond_rule = [first(marks.layers, beyond[0]), first(marks.probe_layers, beyond[1])]
    return Passage(
        n=len(rows),
        n_groups=len(np.unique(marks.group[rows])),
        first_lens=first(marks.layers, lens),
        first_probe=first(marks.probe_layers, probe),
        has_probe=len(probe) > 0,
        head=None if best is None else head_name(*best),
        head_layer=None if best is None else best[0],
        middle=None if middle is None else int(marks.layers[middle]),
        is_middle_readable=middle is not None and bool(lens[middle]),
        loss=None if middle is None else _loss(marks, middle, rows),
        growth="no middle layer could be chosen"
        if middle is None
        else growth(
            marks.is_right[rows, middle],
            marks.is_model_right[rows],
            marks.steps[rows],
            marks.group_of(rows),
            marks.answer_of(rows),
        ),
        beyond_rule=min((layer for layer in beyond_rule if layer is not None), default=None),
    )


def _loss(marks: LayerMarks, middle: int, rows: np.ndarray) -> Loss:
    return loss(
        marks.is_right[rows, middle],
        marks.is_model_right[rows],
        marks.group_of(rows),
        marks.answer[rows],
        marks.measure == "balanced_accuracy",
    )


def _told(found: Loss) -> tuple[float, ...]:
    """A loss as the columns of `LOSSES`."""

    def with_ends(own: Measured) -> tuple[float, float, float]:
        return own.value, own.low, own.high

    shares = (*with_ends(found.lost), *with_ends(found.found), found.by_chance)
    ends = found.middle.value, found.output.value
    return (found.n, found.n_groups, *shares, *ends, *with_ends(found.net), found.p)


def _above(
    marks: LayerMarks, rows: np.ndarray, chance: float, rivals: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """(layer,) bool of the calibrated lens, and of the probe (none without): above all of these.

    Above chance too, and the probe above its control.
    """
    probed = rows[marks.is_probed[rows]]
    has_probe = len(probed) > 0
    n_looked_at = len(marks.layers) + (len(marks.probe_layers) if has_probe else 0)
    others = [marks.who_is_right(rival)[:, None] for rival in rivals]

    def above(is_right: np.ndarray, than: list[np.ndarray], own: np.ndarray) -> np.ndarray:
        there = [rival[own] for rival in than]
        within = marks.group_of(own), marks.answer_of(own)
        return above_guessing(is_right[own], there, chance, n_looked_at, *within)

    lens = above(marks.is_right, others, rows)
    if not has_probe:
        return lens, np.zeros(0, dtype=bool)
    return lens, above(marks.is_probe_right, [*others, marks.is_control_right], probed)


def _readings(marks: LayerMarks, rows: np.ndarray) -> Iterator[pd.DataFrame]:
    """Rows of lens and probe, a layer each."""
    areas = pairwise_auc(marks.lens[rows], marks.answer[rows])
    is_raw_right = choices(marks.lens) == marks.answer[:, None]
    for who, is_right in ((LENS, marks.is_right), (RAW_LENS, is_raw_right)):
        yield _reported(marks, is_right, rows).assign(who=who, layer=marks.layers, auc=areas)
    probed = rows[marks.is_probed[rows]]
    if len(probed):
        for who, is_right in ((PROBE, marks.is_probe_right), (CONTROL, marks.is_control_right)):
            yield _reported(marks, is_right, probed).assign(who=who, layer=marks.probe_layers)


def _reported(marks: LayerMarks, is_right: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
    """n, n_right, n_groups, accuracy, low, high of the columns of (puzzle, layer) marks."""
    found = accuracies(is_right[rows], marks.group_of(rows), marks.answer_of(rows))
    return pd.DataFrame(
        {
            "n": len(rows),
            "n_right": is_right[rows].sum(axis=0),
            "n_groups": found.n_groups,
            "accuracy": found.value,
            "low": found.low,
            "high": found.high,
        }
    )


def _best_heads(store: ResultStore, run_id: str, steps: Steps, chosen_on: str) -> pd.DataFrame:
    """The best head of each layer on validation puzzles of a run, on these test puzzles."""
    measure = store.measure(chosen_on)
    heads = store.head_counts(chosen_on, "validation")
    if heads.empty:
        return heads
    if measure == "balanced_accuracy":
        heads[measure] = balanced_accuracy(*store.accuracy_by_answer(chosen_on, "validation"))
    best = heads.loc[heads.groupby("layer")[measure].idxmax(), ["layer", "head"]]
    reported = store.head_accuracy(run_id, "test", steps)
    area = store.auc(run_id, "test", steps) if steps is None or isinstance(steps, int) else ()
    reported["auc"] = area if len(area) else np.nan
    if store.measure(run_id) == "balanced_accuracy":
        ends = ["accuracy", "low", "high"]
        reported[ends] = reported[["balanced_accuracy", "balanced_low", "balanced_high"]]
    return best.merge(reported, on=["layer", "head"]).assign(who=HEAD)
