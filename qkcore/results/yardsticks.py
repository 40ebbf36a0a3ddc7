"""What a run's stored puzzles say about one new puzzle.

That is which heads are good, and what is a large margin. Functions of a `ResultStore`. A lead is
the best candidate's score minus the second best's, so it needs no right answer; with two candidates
it is the size of the margin. Heads, and the scales of the vote, come from validation puzzles; leads
to compare with come from test puzzles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qkcore.results.answers import voters_and_scales
from qkcore.results.raw import all_scores, head_scores, model_logits, puzzle_rows
from qkcore.results.store import ResultStore
from qkcore.statistics.marks import leads, typical_leads
from qkcore.statistics.votes import weighted_vote

MAX_SETS = 4  # sets of candidates that are looked at; with as many, puzzles have their own each


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """A run's measures for a new puzzle."""

    # The best heads on validation puzzles, best first; none without such puzzles
    voters: tuple[tuple[int, int], ...]
    scales: np.ndarray  # (voter) as `votes.weighted_vote` takes them
    # (layer, head) root mean square lead over the run's puzzles, of the layers that have heads
    typical: np.ndarray
    model_leads: np.ndarray  # (test puzzle) sorted, of the model's logits
    vote_leads: np.ndarray  # (test puzzle) sorted
    # The sets of candidates that the run's puzzles have, the commonest first; a few are enough
    candidates: tuple[tuple[str, ...], ...] = ()


def yardsticks(store: ResultStore, run_id: str) -> Yardsticks:
    """Read a run's measures."""
    is_test = _is_test(store, run_id)
    voters, scales = voters_and_scales(store, run_id)
    voted = np.zeros((0, 2))
    if voters:
        voted = weighted_vote(head_scores(store, run_id, voters), scales)[is_test]
    return Yardsticks(
        voters=tuple(voters),
        scales=scales,
        typical=_typical_leads(store, run_id),
        model_leads=np.sort(leads(model_logits(store, run_id)[is_test])),
        vote_leads=np.sort(leads(voted)),
        candidates=_candidates(store, run_id),
    )


def head_leads(store: ResultStore, run_id: str, layer: int, head: int) -> np.ndarray:
    """(test puzzle) sorted leads of one head."""
    return np.sort(leads(head_scores(store, run_id, [(layer, head)])[_is_test(store, run_id), 0]))


def share_below(sorted_leads: np.ndarray, lead: float) -> float | None:
    """The share of stored puzzles that were answered with a smaller lead; None without any.

    >>> share_below(np.array([1.0, 2.0, 3.0, 4.0]), 3.0)
    0.5
    """
    if not len(sorted_leads):
        return None
    return float(np.searchsorted(sorted_leads, lead)) / len(sorted_leads)


def chosen_for_others(by: Yardsticks, candidates: Sequence[str]) -> tuple[str, ...] | None:
    """The candidates that a run's heads were chosen for, where these are none of them.

    In any order, for a head answers by its scores and not by their place. None: they were chosen
    for these, or for so many that none is theirs.

    >>> none = np.zeros(0)
    >>> by = Yardsticks((), none, none, none, none, (("true", "false"),))
    >>> chosen_for_others(by, ("false", "true")), chosen_for_others(by, ("yes", "no"))
    (None, ('true', 'false'))
    """
    known = [frozenset(one) for one in by.candidates]
    if not known or len(known) == MAX_SETS or frozenset(candidates) in known:
        return None
    return by.candidates[0]


def _candidates(store: ResultStore, run_id: str) -> tuple[tuple[str, ...], ...]:
    found = store.frame(
        """
        select candidates, count(*) as n_puzzles
        from store.puzzles join store.runs using (puzzle_set)
        where run_id = $run_id
        group by candidates
        order by n_puzzles desc, candidates
        limit $most
        """,
        run_id=run_id,
        most=MAX_SETS,
    )
    return tuple(tuple(one) for one in found["candidates"])


def _is_test(store: ResultStore, run_id: str) -> np.ndarray:
    return (puzzle_rows(store, run_id)["split"] == "test").to_numpy()


def _typical_leads(store: ResultStore, run_id: str) -> np.ndarray:
    """As publishing counted them; of a store from before it did, from all scores."""
    if store.has_table("typical_leads"):
        found = store.arrays(
            """
            select unnest(lead) as lead, n_heads
            from store.typical_leads join store.runs using (run_id)
            where run_id = $run_id
            """,
            run_id=run_id,
        )
        if len(found["lead"]):
            return found["lead"].reshape(-1, found["n_heads"][0])
    scores = all_scores(store, run_id)
    return typical_leads(scores) if scores.size else np.zeros(scores.shape[:2])
