"""Who answers what: single puzzles of a run, for a few heads, the model and a vote.

Functions of a `ResultStore`; each reads the few heads it needs from table head_scores. Every choice
of a head, and every scale of a vote, is made on validation puzzles.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from qkcore.results.store import ResultStore, Steps
from qkcore.statistics.marks import choices, margins
from qkcore.statistics.votes import majority_vote, spreads, weighted_vote

VOTES = {f"{kind} of {k}": (kind, k) for k in (3, 5, 10) for kind in ("majority", "weighted vote")}
DEFAULT_VOTE = "weighted vote of 5"


def puzzles_of(store: ResultStore, run_id: str) -> pd.DataFrame:
    """Every puzzle of a run, in order.

    Returns:
        puzzle_id, split, steps, distractors, answer, n_candidates, model (a choice).
    """
    frame = store.frame(
        """
        select place, puzzle_id, split, steps, distractors, answer, len(candidates) as n_candidates
        from store.puzzles join store.runs using (puzzle_set)
        where run_id = $run_id
        order by place
        """,
        run_id=run_id,
    )
    return frame.drop(columns="place").assign(model=choices(model_logits(store, run_id)))


def model_logits(store: ResultStore, run_id: str) -> np.ndarray:
    """(puzzle, candidate) the model's own logits, in the order of `puzzles_of`.

    Candidates that a puzzle lacks are NaN.
    """
    found = store.arrow(
        "select logit from store.logits where run_id = $run_id order by place", run_id=run_id
    )["logit"].combine_chunks()
    n_candidates = np.diff(found.offsets.to_numpy())
    logits = np.full((len(found), n_candidates.max(initial=2)), np.nan, dtype=np.float32)
    logits[np.arange(logits.shape[1]) < n_candidates[:, None]] = found.flatten().to_numpy()
    return logits


def head_scores(store: ResultStore, run_id: str, heads: Sequence[tuple[int, int]]) -> np.ndarray:
    """(puzzle, head, candidate) scores of a few heads, in the order asked.

    Candidates that a puzzle lacks are NaN.
    """
    found = store.arrow(
        """
        with wanted as (
            select unnest($layers) as layer, unnest($heads) as head, unnest($columns) as "column"
        )
        select first_place, "column", qk, qk_half, n_candidates
        from store.head_scores join wanted using (layer, head) join store.runs using (run_id)
        where run_id = $run_id
        order by "column", first_place
        """,
        run_id=run_id,
        layers=[layer for layer, _ in heads],
        heads=[head for _, head in heads],
        columns=list(range(len(heads))),
    )
    if not len(found):
        return np.zeros((0, len(heads), 2), dtype=np.float32)
    is_there = np.unique(found["column"].to_numpy())
    known = stored_scores(found).reshape(len(is_there), -1, found["n_candidates"][0].as_py())
    scores = np.full((len(heads), *known.shape[1:]), np.nan, dtype=np.float32)
    scores[is_there] = known
    return scores.swapaxes(0, 1)


def stored_scores(rows: pa.Table) -> np.ndarray:
    """(score,) float32 of rows of table head_scores, one row after the other.

    Args:
        rows: with qk and qk_half, of one run.
    """
    half = rows["qk_half"].combine_chunks().flatten()
    if len(half):
        return half.to_numpy().view(np.float16).astype(np.float32)
    values: np.ndarray = rows["qk"].combine_chunks().flatten().to_numpy()
    return values


def vote(scores: np.ndarray, kind: str, is_validation: np.ndarray) -> np.ndarray:
    """(puzzle,) what the heads answer together; -1 for a tie.

    Args:
        scores: (puzzle, head, candidate) of the heads that vote.
        kind: "majority", or "weighted vote" with scales from the validation puzzles.
        is_validation: (puzzle,) bool.
    """
    if kind == "majority":
        return majority_vote(choices(scores), scores.shape[-1])
    return choices(weighted_vote(scores, spreads(scores[is_validation])))


def exam(
    store: ResultStore, run_id: str, layer: int, head: int, by_vote: str = DEFAULT_VOTE
) -> pd.DataFrame:
    """What the head, the model and a vote answer to every **test** puzzle.

    Args:
        store: that holds the run.
        run_id: of the run.
        layer: of the head.
        head: within its layer.
        by_vote: a name in `VOTES`; its heads are the best on validation puzzles. Without such
            puzzles nobody votes.

    Returns:
        puzzle_id, steps, distractors, answer, then who's choice (candidate index, -1 for none) in
        head, model, vote, whether it is right in is_head_right, is_model_right, is_vote_right, and
        the head's margin.

    >>> from qkcore import ResultStore, demo_store, exam
    >>> store = ResultStore.kept(demo_store())
    >>> marks = exam(store, store.runs()["run_id"].iloc[0], layer=6, head=1)
    >>> len(marks), marks[["is_head_right", "is_model_right"]].mean().round(3).tolist()
    (3600, [0.618, 0.766])
    """
    kind, k = VOTES[by_vote]
    frame = puzzles_of(store, run_id)
    voters = store.selected(run_id, k)
    scores = head_scores(store, run_id, [(layer, head), *voters])
    is_validation = (frame["split"] == "validation").to_numpy()
    own = scores[:, 0]
    voted = vote(scores[:, 1:], kind, is_validation) if voters else np.full(len(frame), -1)
    frame = frame.assign(
        head=choices(own), vote=voted, margin=margins(own, frame["answer"].to_numpy())
    )
    for who in ("head", "model", "vote"):
        frame[f"is_{who}_right"] = frame[who] == frame["answer"]
    return frame[~is_validation].drop(columns=["split", "n_candidates"]).reset_index(drop=True)


def voters_and_scales(
    store: ResultStore, run_id: str, by_vote: str = DEFAULT_VOTE
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The heads of a vote, best first, and the (head,) scale of each, by validation puzzles."""
    voters = store.selected(run_id, VOTES[by_vote][1])
    if not voters:
        return [], np.zeros(0)
    is_validation = (puzzles_of(store, run_id)["split"] == "validation").to_numpy()
    return voters, spreads(head_scores(store, run_id, voters)[is_validation])


def rules_of_choice(
    store: ResultStore, run_id: str, choose_steps: Steps = None, report_steps: Steps = None
) -> pd.DataFrame:
    """Every way to choose on validation puzzles, reported on the same test puzzles.

    Args:
        store: that holds the run.
        run_id: of the run.
        choose_steps: choose on validation puzzles of these steps,
        report_steps: and report on test puzzles of those.

    Returns:
        rule, heads (a list of (layer, head)), n, n_right, n_only_rule, n_only_model (where one of
        the two is right).
    """
    frame = puzzles_of(store, run_id)
    is_chosen_on, is_reported = (
        ((frame["split"] == split) & _is_among(frame["steps"], steps)).to_numpy()
        for split, steps in (("validation", choose_steps), ("test", report_steps))
    )
    ranked = store.selected(run_id, 10, steps=choose_steps)
    balanced = store.selected(run_id, 1, "balanced_accuracy", choose_steps)
    columns = ["rule", "heads", "n", "n_right", "n_only_rule", "n_only_model"]
    if not ranked or not is_reported.any():
        return pd.DataFrame(columns=columns)
    scores = head_scores(store, run_id, [*ranked, *balanced])
    answers = {
        "best by accuracy": (ranked[:1], choices(scores[:, 0])),
        "best by balanced accuracy": (balanced, choices(scores[:, -1])),
    }
    for name, (kind, k) in VOTES.items():
        answers[name] = (ranked[:k], vote(scores[:, : min(k, len(ranked))], kind, is_chosen_on))
    right_answer = frame["answer"].to_numpy()[is_reported]
    is_model_right = frame["model"].to_numpy()[is_reported] == right_answer
    rows = []
    for name, (heads, said) in answers.items():
        is_right = said[is_reported] == right_answer
        marks = (is_right, is_right & ~is_model_right, ~is_right & is_model_right)
        rows.append((name, heads, len(is_right), *(int(mark.sum()) for mark in marks)))
    return pd.DataFrame(rows, columns=columns)


def _is_among(values: pd.Series, wanted: Steps) -> pd.Series:
    if wanted is None:
        return pd.Series(True, index=values.index)
    return values.isin([wanted] if isinstance(wanted, int | np.integer) else list(wanted))


def texts(store: ResultStore, run_id: str, puzzle_ids: Sequence[str]) -> pd.DataFrame:
    """puzzle_id, context, statement, candidates, answer_text of these puzzles.

    Context and statement are None where the set was published without its texts.
    """
    return store.frame(
        """
        select puzzle_id, context, statement, candidates, candidates[answer + 1] as answer_text
        from store.puzzles join store.runs using (puzzle_set)
        where run_id = $run_id and list_contains($puzzle_ids, puzzle_id)
        order by place
        """,
        run_id=run_id,
        puzzle_ids=list(puzzle_ids),
    )


def find_texts(store: ResultStore, run_id: str, wanted: str) -> list[str]:
    """puzzle_ids whose context or statement holds the text as it is, whatever its case."""
    return store.frame(
        """
        select puzzle_id
        from store.puzzles join store.runs using (puzzle_set)
        where run_id = $run_id
          and (contains(lower(context), lower($wanted))
               or contains(lower(statement), lower($wanted)))
        """,
        run_id=run_id,
        wanted=wanted,
    )["puzzle_id"].tolist()
