"""What one head is like: what it says, where it is right, and whom it agrees with.

Asked of a run's **test** puzzles, from the marks of single puzzles (`answers.exam`). How often
validation puzzles choose the head is `ResultStore.head_facts`, which knows all heads at once.
"""

import numpy as np
import pandas as pd

from qkcore.results.answers import exam
from qkcore.results.raw import is_among
from qkcore.results.store import ResultStore
from qkcore.statistics.evidence import measured

RIGHT, SAYS, ANSWER, SAME = "right where the answer is", "says", "the answer is", "says the same as"


def head_profile(
    store: ResultStore,
    run_id: str,
    layer: int,
    head: int,
    steps: int | None = None,
    distractors: int | None = None,
) -> pd.DataFrame:
    """Shares of test puzzles that say what a head is like; empty without such puzzles.

    Args:
        store: that holds the run.
        run_id: of the run.
        layer: of the head.
        head: within its layer.
        steps: of the puzzles; None: all.
        distractors: likewise.

    Returns:
        what, of, n, n_groups, share, low, high (95 %, which know groups). For each candidate that
        all puzzles share: "right where the answer is" it (of the puzzles where it is), "says" it,
        and how often "the answer is" it; then how often the head "says the same as" the model, the
        calibrated model and the best surface rule (where there is one). Saying nothing is not
        saying the same.

    >>> from qkcore import ResultStore, demo_store, head_profile
    >>> store = ResultStore.kept(demo_store())
    >>> profile = head_profile(store, store.runs()["run_id"].iloc[0], layer=15, head=7)
    >>> profile[["what", "of", "share"]].head(2).round(3).to_numpy().tolist()
    [['right where the answer is', 'true', 0.975], ['says', 'true', 0.595]]
    """
    marks = exam(store, run_id, layer, head)
    marks = marks[is_among(marks, None, steps, distractors)]
    if marks.empty:
        return pd.DataFrame(columns=["what", "of", "n", "n_groups", "share", "low", "high"])
    said, answer = marks["head"].to_numpy(), marks["answer"].to_numpy()
    everywhere = np.ones(len(marks), dtype=bool)
    asked = []
    for index, candidate in enumerate(store.candidates(run_id) or ()):
        asked += [
            (RIGHT, candidate, said == answer, answer == index),
            (SAYS, candidate, said == index, everywhere),
            (ANSWER, candidate, answer == index, everywhere),
        ]
    others = {"the model": "model", "the calibrated model": "calibrated_model"}
    measure = store.measure(run_id)
    if (rule := store.best_rule(run_id, measure)) is not None:
        others[f'the surface rule "{rule}"'] = "rule"
    for name, who in others.items():
        same = (said == marks[who].to_numpy()) & (said >= 0)
        asked.append((SAME, name, same, everywhere))
    group = marks["group"].to_numpy()
    rows = [_row(*one[:2], one[2][one[3]], group[one[3]]) for one in asked if one[3].any()]
    return pd.DataFrame(rows)


def _row(what: str, of: str, is_so: np.ndarray, group: np.ndarray) -> dict[str, object]:
    """How often something is so, of these puzzles."""
    number, names = pd.factorize(group)
    found = measured(is_so, number)
    return {
        "what": what,
        "of": of,
        "n": len(is_so),
        "n_groups": len(names),
        "share": found.value,
        "low": found.low,
        "high": found.high,
    }
