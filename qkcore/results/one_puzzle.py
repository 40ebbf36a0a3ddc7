"""What every head, the vote and the model say to one puzzle.

Scores in, tidy frames for charts and tables out.
Plain numbers, so a page can keep them without the model. Where nobody knows the answer there is no
right and wrong, and margins are those of the first candidate.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import Variant
from qkcore.results.scores import RIGHT, UNDECIDED, WRONG, Scores
from qkcore.results.yardsticks import Yardsticks, share_below
from qkcore.statistics.marks import choices, leads, margins
from qkcore.statistics.votes import weighted_vote
from qkcore.wording import head_name


def vote_scores(scored: Scores, by: Yardsticks) -> np.ndarray | None:
    """(candidate,) what the best heads say together; None where no heads could be chosen."""
    if not by.voters:
        return None
    voters = np.stack([scored.of(*voter) for voter in by.voters])
    return weighted_vote(voters[None], by.scales)[0]


def answer_rows(
    scored: Scores, layer: int, head: int, by: Yardsticks | None, own_leads: np.ndarray
) -> pd.DataFrame:
    """Who answers what.

    Args:
        scored: what everybody says.
        layer: of the head.
        head: within its layer.
        by: the run's measures; None: there are none, and nobody votes.
        own_leads: (test puzzle) sorted leads of the head; empty where none are stored.

    Returns:
        who, answer, verdict, lead, share_below (of test puzzles, NaN where none are stored).
    """
    none = np.zeros(0)
    said = [("the model", scored.logits, by.model_leads if by else none)]
    said.append((head_name(layer, head), scored.of(layer, head), own_leads))
    if by is not None and (voted := vote_scores(scored, by)) is not None:
        said.append((f"the vote of {len(by.voters)} heads", voted, by.vote_leads))
    rows = []
    for who, scores, stored in said:
        lead = float(leads(scores))
        below = share_below(stored, lead)
        share = np.nan if below is None else below
        rows.append((who, scored.named(scores), scored.verdict(scores), lead, share))
    return pd.DataFrame(rows, columns=["who", "answer", "verdict", "lead", "share_below"])


def without_rows(
    puzzle: Puzzle, heads: Sequence[tuple[int, int]], logits: np.ndarray
) -> pd.DataFrame:
    """The model's answers with heads switched off one at a time.

    Args:
        puzzle: that was asked.
        heads: (layer, head) of the one in view, then of others.
        logits: (1 + head, candidate) of the model as it is, then without each of these heads.

    Returns:
        who ("model", "head", "control"), name (of the head, or "nothing"), answer, verdict, towards
        (the right candidate; where nobody knows it, the first), lead (of that over the best
        other), moved (lead minus that of the model as it is).

    >>> from qkcore import typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> logits = np.array([[2.0, 1.0], [1.0, 1.5], [2.0, 1.0]])
    >>> rows = without_rows(one, [(6, 1), (6, 0)], logits)
    >>> rows["answer"].tolist(), rows["moved"].tolist()
    (['true', 'false', 'true'], [0.0, -1.5, 0.0])
    """
    said, candidate = choices(logits), puzzle.answer or 0
    names = ["nothing", *(head_name(*head) for head in heads)]
    lead = margins(np.asarray(logits, dtype=np.float64), candidate)
    verdicts = [
        "" if puzzle.answer is None else RIGHT if one == puzzle.answer else WRONG for one in said
    ]
    return pd.DataFrame(
        {
            "who": ["model", "head", *["control"] * (len(heads) - 1)],
            "name": names,
            "answer": [UNDECIDED if one < 0 else puzzle.candidates[one] for one in said],
            "verdict": verdicts,
            "towards": puzzle.candidates[candidate],
            "lead": lead,
            "moved": lead - lead[0],
        }
    )


def n_as_moving(rows: pd.DataFrame) -> tuple[int, int]:
    """How many other heads move the lead as much as the head in view, or more; of how many.

    Args:
        rows: as `without_rows` gives them.
    """
    moved = rows.groupby("who")["moved"].apply(lambda own: np.abs(own.to_numpy()))
    others = moved.get("control", np.zeros(0))
    return int((others >= moved["head"][0]).sum()), len(others)


def grid_frame(
    scored: Scores, typical: np.ndarray | None, known_good: Sequence[tuple[int, int]] = ()
) -> pd.DataFrame:
    """Every head's answer to the puzzle.

    Args:
        scored: what everybody says.
        typical: (layer, head) leads to scale by, of the same layers; None: the typical lead of all
            heads on this puzzle.
        known_good: heads to outline.

    Returns:
        layer, head, name, answer, verdict, margin, scaled (margin / typical lead), mark ("+" for
        the right answer or, where nobody knows it, for the first candidate; "−" for another, "="
        for a tie), is_known_good.

    >>> from qkcore import bundled_model, grid_frame, load_model, score_puzzle, typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> frame = grid_frame(score_puzzle(load_model(bundled_model()), one), typical=None)
    >>> frame.shape, frame[["name", "answer", "mark"]].iloc[29].tolist()
    ((32, 9), ['L7 H1', 'true', '+'])
    """
    margin = margins(scored.qk, scored.puzzle.answer or 0)
    if typical is None or typical.shape != margin.shape:
        typical = np.full_like(margin, np.sqrt((margin**2).mean()))
    scaled = np.divide(margin, typical, out=np.zeros_like(margin), where=typical > 0)
    places = [(scored.layers[place], int(head)) for place, head in np.ndindex(margin.shape)]
    by_head = scored.qk.reshape(-1, scored.qk.shape[-1])
    good = set(known_good)
    return pd.DataFrame(
        {
            "layer": [layer for layer, _ in places],
            "head": [head for _, head in places],
            "name": [head_name(*place) for place in places],
            "answer": [scored.named(scores) for scores in by_head],
            "verdict": [scored.verdict(scores) for scores in by_head],
            "margin": margin.ravel(),
            "scaled": scaled.ravel(),
            "mark": np.select([margin.ravel() > 0, margin.ravel() < 0], ["+", "−"], "="),
            "is_known_good": [place in good for place in places],
        }
    )


def effects(
    before: Scores,
    after: Sequence[tuple[Variant, Scores]],
    layer: int,
    head: int,
    by: Yardsticks | None,
) -> pd.DataFrame:
    """What each change does to whom; the first row is the puzzle itself.

    Returns:
        kind, change, truth, premise, n_added, then for "model", "head" and "vote" (left out where
        nobody votes): its answer, {who}_verdict and {who}_flips (another answer than before).
    """
    rows = [_effect("as typed", "The puzzle as it is", before, before, layer, head, by)]
    rows += [
        _effect(variant.kind, variant.change, scored, before, layer, head, by)
        for variant, scored in after
    ]
    frame = pd.DataFrame(rows)
    extra = pd.DataFrame(
        {
            "premise": [None, *(v.premise for v, _ in after)],
            "n_added": [0, *(v.n_added for v, _ in after)],
        }
    )
    return pd.concat([frame, extra.astype("Int64")], axis=1)


def _effect(
    kind: str,
    change: str,
    scored: Scores,
    before: Scores,
    layer: int,
    head: int,
    by: Yardsticks | None,
) -> dict[str, str | bool]:
    answer = scored.puzzle.answer
    row: dict[str, str | bool] = {
        "kind": kind,
        "change": change,
        "truth": "unknown" if answer is None else scored.puzzle.candidates[answer],
    }
    now, then = (_sayings(one, layer, head, by) for one in (scored, before))
    for who, own, earlier in zip(("model", "head", "vote"), now, then, strict=False):
        # By place, for a renamed puzzle may have renamed candidates.
        is_other = int(choices(own)) != int(choices(earlier))
        row |= {
            who: scored.named(own),
            f"{who}_verdict": scored.verdict(own),
            f"{who}_flips": is_other,
        }
    return row


def _sayings(scored: Scores, layer: int, head: int, by: Yardsticks | None) -> list[np.ndarray]:
    voted = None if by is None else vote_scores(scored, by)
    return [scored.logits, scored.of(layer, head), *([] if voted is None else [voted])]


def own_curve(table: pd.DataFrame) -> pd.DataFrame:
    """This puzzle's own difficulty curve, from `effects`.

    Returns:
        who, n_added, n (puzzles), share_right: for 0 added it is the puzzle itself.
    """
    some = table[
        table["n_added"].notna()
        & table["kind"].isin(["as typed", "distractors"])
        & (table["truth"] != "unknown")
    ]
    whose = [who for who in ("model", "head", "vote") if who in table]
    rows = [
        (who, n_added, len(group), float((group[f"{who}_verdict"] == RIGHT).mean()))
        for n_added, group in some.groupby(some["n_added"].astype(int))
        for who in whose
    ]
    return pd.DataFrame(rows, columns=["who", "n_added", "n", "share_right"])
