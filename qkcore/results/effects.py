"""What a stored run says of heads switched off: their effect beside control heads, and a verdict.

Reads table ablations and gathers what qkcore.statistics.effects measures and
qkcore.statistics.usage rules on. Effects are of test puzzles; heads and the model's offset were
chosen on validation puzzles. A run's heads "best on validation" are a ladder: the best one, the
best three, and so on; heads that somebody named stand by themselves.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkcore.results.raw import Ablation, ablation_logits, is_among, model_logits, puzzle_rows
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import calibrated
from qkcore.statistics.effects import MEASURES, Effect, ability, effects, nearest
from qkcore.statistics.evidence import measured
from qkcore.statistics.usage import N_CONTROLS, Switched, SwitchedOff, Usage, usage
from qkcore.wording import head_name

BEST, NAMED = "best", "named"  # whose heads are switched off
KINDS = ("mean", "zero", "resample", "knock-out")  # the first that is there speaks first
COLUMNS = (
    "heads_of kind k heads measure before after change change_low change_high n n_groups "
    "n_controls control_low control_median control_high n_as_harmful p"
).split()


@dataclass(frozen=True, slots=True, eq=False)
class _Tested:
    """Sets of heads on the test puzzles that all of them were asked."""

    heads: tuple[tuple[tuple[int, int], ...], ...]  # (layer, head) of each set, fewest heads first
    off: tuple[np.ndarray, ...]  # of each set (draw, puzzle, candidate) logits; draw 0: the heads
    plain: np.ndarray  # (puzzle, candidate) the model's own logits
    answer: np.ndarray  # (puzzle,)
    group: np.ndarray  # (puzzle,) whole numbers from 0
    offset: np.ndarray  # (candidate,)
    is_balanced: bool  # whether the run is measured by balanced accuracy

    @property
    def n_groups(self) -> int:
        """Of its puzzles."""
        return len(np.unique(self.group))

    def effects(self, only: Collection[str] = tuple(MEASURES)) -> list[dict[str, Effect]]:
        """Of each set, by measure."""
        known = self.answer, self.group, self.offset, self.is_balanced, only
        return [effects(self.plain, off, *known) for off in self.off]

    def logit_difference(self, number: int) -> Effect:
        """Of a set, with all answers counted alike: a lean moves it in no way."""
        known = self.answer, self.group, self.offset, True, ["logit_difference"]
        return effects(self.plain, self.off[number], *known)["logit_difference"]


def ablated(store: ResultStore, run_id: str) -> pd.DataFrame:
    """Which heads of a run were switched off, and how.

    Returns:
        heads_of ("best" on validation puzzles, or "named"), kind, k, n_controls; no rows where
        nothing was.

    >>> from qkcore import ResultStore, demo_store
    >>> store = ResultStore.kept(demo_store())
    >>> ablated(store, store.runs()["run_id"].iloc[0]).columns.tolist()
    ['heads_of', 'kind', 'k', 'n_controls']
    """
    columns = ["heads_of", "kind", "k", "n_controls"]
    if not store.has_ablations(run_id):
        return pd.DataFrame(columns=columns)
    found = store.frame(
        """
        select if(chosen_by = 'named', 'named', 'best') as heads_of, kind, k,
               max(draw) as n_controls
        from store.ablations
        where run_id = $run_id
        group by all
        """,
        run_id=run_id,
    )
    found["kind"] = pd.Categorical(found["kind"], KINDS, ordered=True)
    found = found.sort_values(["heads_of", "kind", "k"], ignore_index=True)
    return found.astype({"kind": str})[columns]


def ablation_effects(
    store: ResultStore, run_id: str, kind: str = "mean", heads_of: str = BEST
) -> pd.DataFrame:
    """What a run's heads do to the model when they are switched off, beside control heads.

    Args:
        store: that holds the run.
        run_id: of the run.
        kind: what stands in for the heads' output: "mean", "zero", "resample"; or "knock-out",
            where the answer may not look at the statement's end.
        heads_of: "best" on validation puzzles, or those that somebody "named".

    Returns:
        heads_of, kind, k, heads (names), measure (`statistics.effects.MEASURES`), before and after
        (of the model, on test puzzles), change with change_low and change_high (95 %, paired, knows
        groups; harm is below 0), n, n_groups, then of the controls' changes n_controls,
        control_low, control_median, control_high (5th, 50th, 95th percentile), n_as_harmful and p
        (one-sided, by rank). No rows where nothing was switched off.

    >>> from qkcore import ResultStore, ablation_effects, demo_store
    >>> store = ResultStore.kept(demo_store())
    >>> table = ablation_effects(store, store.runs()["run_id"].iloc[0])
    >>> table.columns[:7].tolist()
    ['heads_of', 'kind', 'k', 'heads', 'measure', 'before', 'after']
    """
    tested = _tested(store, run_id, kind, heads_of)
    rows = [
        (
            *(heads_of, kind, len(heads), ", ".join(head_name(*head) for head in heads), name),
            *(effect.before, effect.after, effect.change.value),
            *(effect.change.low, effect.change.high, len(tested.answer), tested.n_groups),
            *(len(effect.controls), *effect.spread, effect.n_as_harmful, effect.p),
        )
        for heads, found in zip(tested.heads, tested.effects(), strict=True)
        for name, effect in found.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def control_changes(
    store: ResultStore, run_id: str, measure: str, kind: str = "mean", heads_of: str = BEST
) -> pd.DataFrame:
    """The change of one measure with each draw of control heads off.

    Returns:
        k, draw (from 1), change.
    """
    tested = _tested(store, run_id, kind, heads_of)
    rows = [
        (len(heads), draw, change)
        for heads, found in zip(tested.heads, tested.effects([measure]), strict=True)
        if measure in found
        for draw, change in enumerate(found[measure].controls, start=1)
    ]
    return pd.DataFrame(rows, columns=["k", "draw", "change"])


def usage_of(
    store: ResultStore, run_id: str, kind: str = "mean", heads_of: str = BEST
) -> Usage | None:
    """Does the model use these heads? None where they were not switched off.

    >>> from qkcore import ResultStore, demo_store, usage_of
    >>> store = ResultStore.kept(demo_store())
    >>> usage_of(store, store.runs()["run_id"].iloc[0], heads_of="named") is None
    True
    """
    tested = _tested(store, run_id, kind, heads_of)
    if not len(tested.answer):
        return None
    answer, group, plain = tested.answer, tested.group, tested.plain
    by_answer = answer if tested.is_balanced else None
    model = measured(calibrated(plain, tested.offset) == answer, group, by_answer)
    n_of = np.bincount(answer)
    commonest = 1 / (n_of > 0).sum() if tested.is_balanced else n_of.max() / len(answer)
    has_area = (n_of > 0).sum() > 1
    name = "auc" if has_area else "calibrated_accuracy"
    return usage(
        Switched(
            sets=tuple(
                _switched_off(tested, number, found[name])
                for number, found in enumerate(tested.effects([name]))
            ),
            measure=MEASURES[name],
            ability=ability(plain, answer, group) if has_area else model,
            guessing=0.5 if has_area else float(commonest),
            calibrated_model=model,
            commonest=float(commonest),
            is_readable=_is_readable(store, run_id, tested.heads[0]),
            n=len(answer),
            n_groups=tested.n_groups,
        )
    )


def _switched_off(tested: _Tested, number: int, effect: Effect) -> SwitchedOff:
    heads, closest = tested.heads[number], None
    if len(effect.controls) < N_CONTROLS and len(np.unique(tested.answer)) > 1:
        closest = nearest(tested.off[number], tested.answer, tested.group)
    named = head_name(*heads[0]) if len(heads) == 1 else f"{len(heads)} heads"
    return SwitchedOff(named, len(heads), effect, closest, tested.logit_difference(number))


def _tested(store: ResultStore, run_id: str, kind: str, heads_of: str) -> _Tested:
    """What was switched off, on test puzzles that every draw of every set was asked.

    No sets and no puzzles where nothing was.
    """
    heads, off = _logits(store, run_id, kind, heads_of)
    puzzles = puzzle_rows(store, run_id)
    asked = is_among(puzzles, "test") if heads else np.zeros(len(puzzles), dtype=bool)
    for one in off:
        asked &= ~np.isnan(one).all(axis=-1).any(axis=0)
    if not asked.any():
        heads, off = (), ()
    return _Tested(
        heads,
        tuple(one[:, asked] for one in off),
        model_logits(store, run_id)[asked],
        puzzles["answer"].to_numpy()[asked],
        pd.factorize(puzzles["group"][asked])[0],
        store.model_offset(run_id),
        store.measure(run_id) == "balanced_accuracy",
    )


def _logits(
    store: ResultStore, run_id: str, kind: str, heads_of: str
) -> tuple[tuple[tuple[tuple[int, int], ...], ...], tuple[np.ndarray, ...]]:
    """Of each set its heads, and (draw, puzzle, candidate) logits of the whole puzzle set.

    Of sets of one size that are there twice, the one "chosen".
    """
    by_set: dict[int, dict[str, list[Ablation]]] = {}
    for one in ablation_logits(store, run_id, kind):
        if (NAMED if one.chosen_by == "named" else BEST) == heads_of:
            by_set.setdefault(one.k, {}).setdefault(one.chosen_by, []).append(one)
    # "chosen" comes before "top"
    sets = [by_set[k][min(by_set[k])] for k in sorted(by_set)]
    return (
        tuple(draws[0].heads for draws in sets),
        tuple(np.stack([one.logits for one in draws]) for draws in sets),
    )


def _is_readable(store: ResultStore, run_id: str, heads: tuple[tuple[int, int], ...]) -> bool:
    """Whether one of the heads at least is above the luck line on test puzzles."""
    measure = store.measure(run_id)
    table = store.head_accuracy(run_id, "test").set_index(["layer", "head"])[measure]
    luck = store.luck(run_id, "test", measure=measure)["q95"]
    return bool(len(luck)) and any(table.get(head, 0.0) > luck.iloc[0] for head in heads)
