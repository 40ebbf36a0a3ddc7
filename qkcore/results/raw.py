"""What a store keeps of every puzzle: who is asked what, and what heads, model and rules say to it.

Functions of an open store (`Reader`); arrays come in the order of the puzzle set. What adds them up
is elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from qkcore.results.beside import read_beside
from qkcore.results.reader import Reader
from qkcore.statistics.probes import ProbeChoices

Steps = int | Sequence[int] | None
FEW = 16  # heads that are asked for one at a time
HEAD_ROWS = """
    select head, first_place, qk, qk_half
    from store.head_scores where run_id = $run_id and layer = $layer
    """


def puzzle_rows(store: Reader, run_id: str) -> pd.DataFrame:
    """Every puzzle of a run, in order.

    Returns:
        puzzle_id, split, steps, distractors, group, answer, n_candidates.
    """
    # By way of Arrow: a hundred thousand rows take DuckDB's own frame three times as long.
    return store.arrow(
        """
        select puzzle_id, split, steps, distractors, "group", answer,
               len(candidates) as n_candidates
        from store.puzzles join store.runs using (puzzle_set)
        where run_id = $run_id
        order by place
        """,
        run_id=run_id,
    ).to_pandas()


def is_among(
    puzzles: pd.DataFrame, split: str | None, steps: Steps = None, distractors: int | None = None
) -> np.ndarray:
    """(puzzle,) bool: those of a split, of these steps (one or several) and distractors.

    None asks for all of them.
    """
    among = np.ones(len(puzzles), dtype=bool)
    if split is not None:
        among &= (puzzles["split"] == split).to_numpy()
    for name, wanted in (("steps", steps), ("distractors", distractors)):
        if wanted is not None:
            values = [wanted] if isinstance(wanted, int | np.integer) else list(wanted)
            among &= puzzles[name].isin(values).to_numpy(dtype=bool)
    return among


def model_logits(store: Reader, run_id: str) -> np.ndarray:
    """(puzzle, candidate) the model's own logits; NaN for candidates that a puzzle lacks."""
    found = store.arrow(
        "select logit from store.logits where run_id = $run_id order by place", run_id=run_id
    )["logit"].combine_chunks()
    n_candidates = np.diff(found.offsets.to_numpy())
    logits = np.full((len(found), n_candidates.max(initial=2)), np.nan, dtype=np.float32)
    logits[np.arange(logits.shape[1]) < n_candidates[:, None]] = found.flatten().to_numpy()
    return logits


def rule_choices(store: Reader, run_id: str) -> dict[str, np.ndarray]:
    """Of each surface rule its (puzzle,) choices, -1 for none.

    Empty where the run's puzzles were never there with their texts.
    """
    found = store.arrow(
        "select rule, choice from store.rule_choices where run_id = $run_id", run_id=run_id
    )
    choices = found["choice"].combine_chunks().flatten().to_numpy()
    rules = found["rule"].to_pylist()
    return dict(zip(rules, choices.reshape(len(rules), -1), strict=True)) if rules else {}


def head_scores(store: Reader, run_id: str, heads: Sequence[tuple[int, int]]) -> np.ndarray:
    """(puzzle, head, candidate) scores of a few heads, in the order asked.

    Candidates that a puzzle lacks are NaN.

    Raises:
        RawScoresAbsentError: where the run keeps them in files (`results.beside`) that are not
            there.
    """
    found = _rows_of_each(store, run_id, [(int(layer), int(head)) for layer, head in heads])
    if not any(len(rows) for rows in found):
        return _beside(store, run_id, heads)
    sql = "select n_candidates from store.runs where run_id = $run_id"
    n_candidates = int(store.arrays(sql, run_id=run_id)["n_candidates"][0])
    known = {
        place: _scores(rows).reshape(-1, n_candidates)
        for place, rows in enumerate(found)
        if len(rows)
    }
    n_puzzles = len(next(iter(known.values())))
    scores = np.full((len(heads), n_puzzles, n_candidates), np.nan, dtype=np.float32)
    for place, own in known.items():
        scores[place] = own
    return scores.swapaxes(0, 1)


def _rows_of_each(store: Reader, run_id: str, heads: Sequence[tuple[int, int]]) -> list[pa.Table]:
    """Each head's rows of table head_scores, in order.

    A head at a time, while they are few: DuckDB skips what lies beside one head, and not what lies
    between several. Else a layer at a time.
    """
    if len(heads) <= FEW:
        by_head = f"{HEAD_ROWS} and head = $head order by first_place"
        return [
            store.arrow(by_head, run_id=run_id, layer=layer, head=head) for layer, head in heads
        ]
    of_layer = {
        layer: store.large(f"{HEAD_ROWS} order by head, first_place", run_id=run_id, layer=layer)
        for layer in {layer for layer, _ in heads}
    }
    found = []
    for layer, head in heads:
        rows = of_layer[layer]
        first, last = np.searchsorted(rows["head"].to_numpy(), [head, head + 1])
        found.append(rows.slice(first, last - first))
    return found


def all_scores(store: Reader, run_id: str) -> np.ndarray:
    """(layer, head, puzzle, candidate) scores of all heads, of the layers that have heads.

    Raises:
        RawScoresAbsentError: as `head_scores`.
    """
    found = store.arrow(
        """
        select layer, head, qk, qk_half, n_candidates
        from store.head_scores join store.runs using (run_id)
        where run_id = $run_id
        order by layer, head, first_place
        """,
        run_id=run_id,
    )
    if not len(found):
        return _all_beside(store, run_id)
    n_layers, n_heads = (len(np.unique(found[name].to_numpy())) for name in ("layer", "head"))
    return _scores(found).reshape(n_layers, n_heads, -1, found["n_candidates"][0].as_py())


def is_beside(store: Reader, run_id: str) -> bool:
    """Whether a run's raw scores lie in files beside the store, or did: it holds none itself."""
    sql = "select 1 as one from store.head_scores where run_id = $run_id limit 1"
    return not len(store.arrays(sql, run_id=run_id)["one"])


def _beside(store: Reader, run_id: str, heads: Sequence[tuple[int, int]]) -> np.ndarray:
    """`head_scores` of a run that the store holds counts of alone."""
    run = store.frame(
        "select n_puzzles, n_candidates from store.runs where run_id = $run_id", run_id=run_id
    )
    n_puzzles, n_candidates = (0, 2) if run.empty else (int(value) for value in run.iloc[0])
    scores = np.full((len(heads), n_puzzles, n_candidates), np.nan, dtype=np.float32)
    for place, (layer, head) in enumerate(heads if n_puzzles else ()):
        (own,) = read_beside(store.beside, run_id, int(layer), [int(head)])
        if len(own):
            scores[place] = own.reshape(n_puzzles, n_candidates)
    return scores.swapaxes(0, 1)


def _all_beside(store: Reader, run_id: str) -> np.ndarray:
    """`all_scores` likewise."""
    heads = store.frame(
        "select layer, head from store.heads where run_id = $run_id order by layer, head",
        run_id=run_id,
    )
    scores = _beside(store, run_id, list(heads.itertuples(index=False, name=None)))
    shape = (heads["layer"].nunique(), heads["head"].nunique())
    return scores.swapaxes(0, 1).reshape(*shape, len(scores), scores.shape[-1])


def lens_logits(store: Reader, run_id: str) -> tuple[np.ndarray, np.ndarray]:
    """What the model would have answered after each layer; after the last, its own answer.

    Returns:
        (layer,) the model's numbers of its layers, and (puzzle, layer, candidate) logits, NaN for
        candidates that a puzzle lacks. Both empty where the run has no lens.
    """
    found = _rows_of(
        store,
        "lens",
        """
        select layer, logit, n_candidates
        from store.lens join store.runs using (run_id)
        where run_id = $run_id
        order by layer, first_place
        """,
        run_id,
    )
    if found is None:
        return np.zeros(0, dtype=np.int32), np.zeros((0, 0, 2), dtype=np.float32)
    layers = np.unique(found["layer"].to_numpy())
    values = found["logit"].combine_chunks().flatten().to_numpy()
    n_candidates = found["n_candidates"][0].as_py()
    return layers, values.reshape(len(layers), -1, n_candidates).swapaxes(0, 1)


def lens_offsets(store: Reader, run_id: str) -> np.ndarray:
    """(layer, candidate) what calibration adds to each layer's lens; see `calibration.offsets`.

    Empty where the run has no lens.
    """
    sql = 'select "offset" from store.lens_offsets where run_id = $run_id order by layer'
    found = _rows_of(store, "lens_offsets", sql, run_id)
    if found is None:
        return np.zeros((0, 2))
    values: np.ndarray = found["offset"].combine_chunks().flatten().to_numpy()
    return values.reshape(len(found), -1)


def probe_choices(store: Reader, run_id: str) -> ProbeChoices | None:
    """What the probes of a run say to its test puzzles; None where it has none."""
    found = _rows_of(
        store,
        "probes",
        """
        select layer, choice, control, n_validation, strength
        from store.probes where run_id = $run_id order by layer
        """,
        run_id,
    )
    if found is None:
        return None
    said, by_control = (
        found[name].combine_chunks().flatten().to_numpy().reshape(len(found), -1).T
        for name in ("choice", "control")
    )
    return ProbeChoices(
        layers=found["layer"].to_numpy(),
        choices=said,
        controls=by_control,
        n_validation=found["n_validation"][0].as_py(),
        strengths=found["strength"].to_numpy(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """The model's own answers with some heads switched off."""

    chosen_by: str  # "chosen", "top" or "named": how the heads were picked
    k: int  # how many heads
    draw: int  # 0: the heads themselves; 1, 2, ...: control heads of the same layers
    heads: tuple[tuple[int, int], ...]  # (layer, head) that are off
    logits: np.ndarray  # (puzzle, candidate) float32; NaN: not asked, or no such candidate


def ablation_logits(store: Reader, run_id: str, kind: str) -> list[Ablation]:
    """A run's answers with heads switched off in one way, such as "mean".

    By choice, number of heads and draw; empty where there are none.
    """
    if not store.has_table("ablations"):
        return []
    found = store.arrow(
        """
        select chosen_by, k, draw, any_value(layers) as layers, any_value(heads) as heads,
               flatten(list(logit order by first_place)) as logit,
               any_value(n_candidates) as n_candidates
        from store.ablations join store.runs using (run_id)
        where run_id = $run_id and kind = $kind
        group by chosen_by, k, draw
        order by chosen_by, k, draw
        """,
        run_id=run_id,
        kind=kind,
    )
    logits = found["logit"]
    return [
        Ablation(
            row["chosen_by"],
            row["k"],
            row["draw"],
            tuple(zip(row["layers"], row["heads"], strict=True)),
            logits[place].values.to_numpy().reshape(-1, row["n_candidates"]),
        )
        for place, row in enumerate(found.drop_columns(["logit"]).to_pylist())
    ]


def _rows_of(store: Reader, table: str, sql: str, run_id: str) -> pa.Table | None:
    """The answer of a query of a table that older files lack; None where there is nothing."""
    found = store.arrow(sql, run_id=run_id) if store.has_table(table) else ()
    return found if len(found) else None


def _scores(rows: pa.Table) -> np.ndarray:
    """(score,) float32 of rows of table head_scores, one row after the other."""
    half = rows["qk_half"].combine_chunks().flatten()
    if len(half):
        return half.to_numpy().view(np.float16).astype(np.float32)
    values: np.ndarray = rows["qk"].combine_chunks().flatten().to_numpy()
    return values
