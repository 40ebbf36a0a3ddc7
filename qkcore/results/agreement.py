"""Do the heads of two runs say the same? Asked of test puzzles that both runs have.

For a model that was quantised, read otherwise or trained on: which heads keep their place. Heads
are matched by layer and number, so both runs need the same ones; what to say where they have not is
for the page.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkcore.results.raw import head_scores
from qkcore.results.store import ResultStore
from qkcore.statistics.agreement import rank_correlation, share_equal
from qkcore.statistics.marks import choices

Head = tuple[int, int]  # (layer, head)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the heads of two runs agree on the test puzzles that both have."""

    n: int  # puzzles that both have
    n_one: int  # test puzzles of the first run
    n_heads: int
    rank: float | None  # Spearman's rho of the heads' accuracies; None where they do not differ
    equal: float  # share of equal answers, all heads together
    chosen: tuple[Head | None, Head | None]  # on each run's validation puzzles
    chosen_equal: float | None  # share of equal answers of the head chosen in the first run

    @property
    def is_same_head(self) -> bool:
        """Whether both runs' validation puzzles choose the same head."""
        return self.chosen[0] is not None and self.chosen[0] == self.chosen[1]


def agreement(store: ResultStore, run_id: str, other: str) -> Agreement | None:
    """How far the heads of two runs agree.

    None where the runs have other heads, or share no test puzzle.

    A puzzle is shared where its id, candidates and answer are the same in both runs, and its texts
    too as far as both have them.

    >>> from qkcore import ResultStore, demo_store
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> found = agreement(store, run, run)
    >>> found.n, found.n_heads, round(found.rank, 6), found.equal, found.is_same_head
    (326, 270, 1.0, 1.0, True)
    """
    shared = _shared(store, run_id, other)
    heads = [_heads(store, one) for one in (run_id, other)]
    if shared.empty or heads[0] != heads[1]:
        return None
    answer = shared["answer"].to_numpy()[:, None]
    right: list[list[np.ndarray]] = [[], []]
    equal: dict[Head, float] = {}
    # A layer at a time, so that a large run needs little memory.
    for layer in sorted({layer for layer, _ in heads[0]}):
        own = [head for head in heads[0] if head[0] == layer]
        said = [
            choices(head_scores(store, one, own)[shared[place].to_numpy()])
            for one, place in ((run_id, "place"), (other, "other_place"))
        ]
        equal |= dict(zip(own, share_equal(*said).tolist(), strict=True))
        for of_run, answers in zip(right, said, strict=True):
            of_run.append((answers == answer).mean(axis=0))
    chosen = store.best_head(run_id), store.best_head(other)
    return Agreement(
        n=len(shared),
        n_one=int(store.difficulties(run_id, "test")["n"].sum()),
        n_heads=len(heads[0]),
        rank=rank_correlation(*(np.concatenate(of_run) for of_run in right)),
        equal=float(np.mean(list(equal.values()))),
        chosen=chosen,
        chosen_equal=None if chosen[0] is None else equal[chosen[0]],
    )


def _heads(store: ResultStore, run_id: str) -> list[Head]:
    """The heads that a run has test marks of, in order."""
    found = store.frame(
        """
        select distinct layer, head
        from store.head_accuracy
        where run_id = $run_id and split = 'test'
        order by layer, head
        """,
        run_id=run_id,
    )
    return list(zip(found["layer"].tolist(), found["head"].tolist(), strict=True))


def _shared(store: ResultStore, run_id: str, other: str) -> pd.DataFrame:
    """place, other_place, answer: test puzzles that both runs have, in the first run's order."""
    return store.frame(
        """
        select a.place, b.place as other_place, a.answer
        from store.runs ra
        join store.puzzles a on a.puzzle_set = ra.puzzle_set and a.split = 'test'
        join store.puzzles b using (puzzle_id)
        join store.runs rb on b.puzzle_set = rb.puzzle_set and b.split = 'test'
        where ra.run_id = $run_id and rb.run_id = $other
          and a.candidates = b.candidates and a.answer = b.answer
          and coalesce(a.context = b.context, true)
          and coalesce(a.statement = b.statement, true)
        order by a.place
        """,
        run_id=run_id,
        other=other,
    )
