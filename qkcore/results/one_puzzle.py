"""What every head, the vote and the model say to one puzzle.

Scores in, tidy frames for charts and tables out.
Plain numbers, so a page can keep them without the model. Where nobody knows the answer there is no
right and wrong, and margins are those of the first candidate.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qkcore.puzzles.variants import Variant
from qkcore.results.scores import RIGHT, Scores
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
