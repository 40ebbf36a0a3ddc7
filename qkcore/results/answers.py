"""Who answers what: single puzzles of a run, for a few heads, the model and a vote.

Functions of a `ResultStore`; each reads the few heads it needs from table head_scores. Every choice
of a head, and every scale of a vote, is made on validation puzzles.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qkcore.results.raw import (
    Steps,
    head_scores,
    is_among,
    model_logits,
    puzzle_rows,
    rule_choices,
)
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import balance_weights, calibrated, offsets
from qkcore.statistics.exams import accuracy_by, gaps
from qkcore.statistics.marks import choices, margins
from qkcore.statistics.metrics import MEASURES
from qkcore.statistics.votes import majority_vote, spreads, weighted_vote

VOTES = {f"{kind} of {k}": (kind, k) for k in (3, 5, 10) for kind in ("majority", "weighted vote")}
DEFAULT_VOTE = "weighted vote of 5"
EXAMINED = ("head", "calibrated_head", "model", "calibrated_model", "vote", "majority", "rule")


def puzzles_of(store: ResultStore, run_id: str) -> pd.DataFrame:
    """Every puzzle of a run, in order, and what those say to it who are not heads.

    Returns:
        puzzle_id, split, steps, distractors, group, answer, n_candidates, then choices (-1: none)
        of model, calibrated_model (with the run's offset), majority (the answer that is right most
        often among validation puzzles) and rule (the surface rule that does best on them).
    """
    frame = puzzle_rows(store, run_id)
    logits, rules = model_logits(store, run_id), rule_choices(store, run_id)
    nobody = np.full(len(frame), -1, dtype=np.int8)
    return frame.assign(
        model=choices(logits),
        calibrated_model=calibrated(logits, store.model_offset(run_id)),
        majority=rules.get("majority", nobody),
        rule=rules.get(store.best_rule(run_id, store.measure(run_id)) or "", nobody),
    )


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
        puzzle_id, steps, distractors, group, answer, then for each of `EXAMINED` its choice
        (candidate index, -1 for none) and whether it is right (is_head_right and so on), and the
        head's margin.

    >>> from qkcore import ResultStore, demo_store, exam
    >>> store = ResultStore.kept(demo_store())
    >>> marks = exam(store, store.runs()["run_id"].iloc[0], layer=15, head=7)
    >>> len(marks), marks[["is_head_right", "is_model_right"]].mean().round(3).tolist()
    (326, [0.88, 0.5])
    """
    kind, k = VOTES[by_vote]
    frame = puzzles_of(store, run_id)
    voters = store.selected(run_id, k, with_constant=False)
    scores = head_scores(store, run_id, [(layer, head), *voters])
    is_validation = (frame["split"] == "validation").to_numpy()
    own, answer = scores[:, 0], frame["answer"].to_numpy()
    voted = vote(scores[:, 1:], kind, is_validation) if voters else np.full(len(frame), -1)
    measure, known = store.measure(run_id), answer[is_validation]
    weights = balance_weights(known) if measure == "balanced_accuracy" else None
    offset = offsets(own[is_validation], known, weights)
    frame = frame.assign(
        head=choices(own),
        calibrated_head=calibrated(own, offset),
        vote=voted,
        margin=margins(own, answer),
    )
    for who in EXAMINED:
        frame[f"is_{who}_right"] = frame[who] == frame["answer"]
    return frame[~is_validation].drop(columns=["split", "n_candidates"]).reset_index(drop=True)


def voters_and_scales(
    store: ResultStore, run_id: str, by_vote: str = DEFAULT_VOTE
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The heads of a vote, best first, and the (head,) scale of each, by validation puzzles."""
    voters = store.selected(run_id, VOTES[by_vote][1], with_constant=False)
    if not voters:
        return [], np.zeros(0)
    is_validation = (puzzle_rows(store, run_id)["split"] == "validation").to_numpy()
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
        rule, heads (a list of (layer, head)), n, n_right, n_groups, accuracy, low, high (95 %),
        gap to the model (share), gap_low, gap_high, p; by the run's measure.
    """
    frame = puzzles_of(store, run_id)
    is_chosen_on = is_among(frame, "validation", choose_steps)
    is_reported = is_among(frame, "test", report_steps)
    ranked = store.selected(run_id, 10, steps=choose_steps, with_constant=False)
    best = [store.selected(run_id, 1, measure, choose_steps) for measure in MEASURES]
    if not best[0] or not is_reported.any():
        return pd.DataFrame(columns=["rule", "heads"])
    scores = head_scores(store, run_id, [*best[0], *best[1], *ranked])
    answers = {
        "best by accuracy": (best[0], choices(scores[:, 0])),
        "best by balanced accuracy": (best[1], choices(scores[:, 1])),
    }
    for name, (kind, k) in VOTES.items() if ranked else ():
        answers[name] = (ranked[:k], vote(scores[:, 2 : 2 + k], kind, is_chosen_on))
    marks = frame[is_reported].assign(
        is_model_right=(frame["model"] == frame["answer"])[is_reported],
        **{
            f"is_{name}_right": (said == frame["answer"])[is_reported]
            for name, (_, said) in answers.items()
        },
    )
    measure = store.measure(run_id)
    reported = accuracy_by(marks, [], list(answers), measure).rename(columns={"who": "rule"})
    of_each = [gaps(marks, [], name, measure=measure) for name in answers]
    differences = pd.concat(of_each, ignore_index=True)
    return reported.assign(
        heads=pd.Series([heads for heads, _ in answers.values()], dtype=object),
        **{
            column: differences[name]
            for column, name in {
                "gap": "gap",
                "gap_low": "low",
                "gap_high": "high",
                "p": "p",
            }.items()
        },
    )


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
