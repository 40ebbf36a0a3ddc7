"""What a stored run says of heads switched off: their effect beside control heads, and a verdict.

Reads table ablations and gathers what qkcore.statistics.effects measures and
qkcore.statistics.usage rules on. Effects are of test puzzles; heads and the model's offset were
chosen on validation puzzles. A run's heads "best on validation" are a ladder: the best one, the
best three, and so on; heads that somebody named stand by themselves.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from qkcore.results.raw import is_among, model_logits, puzzle_rows
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import calibrated
from qkcore.statistics.effects import MEASURES, Effect, ability, effects
from qkcore.statistics.evidence import measured
from qkcore.statistics.usage import Switched, SwitchedOff, Usage, usage
from qkcore.wording import head_name

BEST, NAMED = "best", "named"  # whose heads are switched off
KINDS = ("mean", "zero", "resample", "knock-out")  # the first that is there speaks first
COLUMNS = (
    "heads_of kind k heads measure before after change change_low change_high n n_groups "
    "n_controls control_low control_median control_high n_as_harmful p"
).split()


class _Tested(NamedTuple):
    """One set of heads: who they are, and (draw, puzzle, candidate) logits without them."""

    k: int
    heads: tuple[tuple[int, int], ...]
    off: np.ndarray


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
    rows = [
        (
            *(heads_of, kind, one.k, ", ".join(head_name(*head) for head in one.heads), name),
            *(effect.before, effect.after, effect.change.value),
            *(effect.change.low, effect.change.high, n, n_groups, len(effect.controls)),
            *(*effect.spread, effect.n_as_harmful, effect.p),
        )
        for one, found, n, n_groups in _effects(store, run_id, kind, heads_of)
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
    rows = [
        (one.k, draw, change)
        for one, found, _, _ in _effects(store, run_id, kind, heads_of)
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
    every = _effects(store, run_id, kind, heads_of)
    if not every:
        return None
    asked = _asked(store, run_id, [one for one, _, _, _ in every])
    puzzles = puzzle_rows(store, run_id)[asked]
    answer, group = puzzles["answer"].to_numpy(), pd.factorize(puzzles["group"])[0]
    logits, measure = model_logits(store, run_id)[asked], store.measure(run_id)
    by_answer = answer if measure == "balanced_accuracy" else None
    is_right = calibrated(logits, store.model_offset(run_id)) == answer
    calibrated_model = measured(is_right, group, by_answer)
    n_of = np.bincount(answer)
    commonest = n_of.max() / len(answer) if by_answer is None else 1 / (n_of > 0).sum()
    name = "auc" if "auc" in every[0][1] else "calibrated_accuracy"
    own = ability(logits, answer, group) if name == "auc" else calibrated_model
    return usage(
        Switched(
            sets=tuple(_switched_off(one, found[name]) for one, found, _, _ in every),
            measure=MEASURES[name],
            ability=own,
            guessing=0.5 if name == "auc" else float(commonest),
            calibrated_model=calibrated_model,
            commonest=float(commonest),
            is_readable=_is_readable(store, run_id, every[0][0].heads),
            n=len(answer),
            n_groups=len(np.unique(group)),
        )
    )


def _switched_off(one: _Tested, effect: Effect) -> SwitchedOff:
    alone = head_name(*one.heads[0]) if one.k == 1 else f"{one.k} heads"
    return SwitchedOff(alone, one.k, effect)


def _effects(
    store: ResultStore, run_id: str, kind: str, heads_of: str
) -> list[tuple[_Tested, dict[str, Effect], int, int]]:
    """Every set of heads with its effects and the number of puzzles and groups; fewest first."""
    tested = _tested(store, run_id, kind, heads_of)
    asked = _asked(store, run_id, tested)
    puzzles = puzzle_rows(store, run_id)[asked]
    if not tested or puzzles.empty:
        return []
    group = pd.factorize(puzzles["group"])[0]
    fixed = (
        puzzles["answer"].to_numpy(),
        group,
        store.model_offset(run_id),
        store.measure(run_id) == "balanced_accuracy",
    )
    plain = model_logits(store, run_id)[asked]
    return [
        (one, effects(plain, one.off[:, asked], *fixed), len(group), len(np.unique(group)))
        for one in tested
    ]


def _asked(store: ResultStore, run_id: str, tested: list[_Tested]) -> np.ndarray:
    """(puzzle,) bool: test puzzles that every draw of every set was asked."""
    asked = is_among(puzzle_rows(store, run_id), "test")
    for one in tested:
        asked &= ~np.isnan(one.off).all(axis=-1).any(axis=0)
    return asked


def _tested(store: ResultStore, run_id: str, kind: str, heads_of: str) -> list[_Tested]:
    """As table ablations has them; of heads that are there twice, those "chosen"."""
    if not store.has_ablations(run_id):
        return []
    found = store.frame(
        """
        select chosen_by, k, draw, layers, heads, first_place, logit, n_candidates
        from store.ablations join store.runs using (run_id)
        where run_id = $run_id and kind = $kind
          and if(chosen_by = 'named', 'named', 'best') = $heads_of
        order by k, chosen_by, draw, first_place
        """,
        run_id=run_id,
        kind=kind,
        heads_of=heads_of,
    )
    tested = []
    for k, rows in found.groupby("k"):
        own = rows[rows["chosen_by"] == rows["chosen_by"].iloc[0]]
        first = own.iloc[0]
        draws = [
            np.concatenate([*part["logit"]]).reshape(-1, first["n_candidates"])
            for _, part in own.groupby("draw")
        ]
        heads = tuple(zip(map(int, first["layers"]), map(int, first["heads"]), strict=True))
        tested.append(_Tested(int(k), heads, np.stack(draws)))
    return tested


def _is_readable(store: ResultStore, run_id: str, heads: tuple[tuple[int, int], ...]) -> bool:
    """Whether one of the heads at least is above the luck line on test puzzles."""
    measure = store.measure(run_id)
    table = store.head_accuracy(run_id, "test").set_index(["layer", "head"])[measure]
    luck = store.luck(run_id, "test", measure=measure)["q95"]
    return bool(len(luck)) and any(table.get(head, 0.0) > luck.iloc[0] for head in heads)
