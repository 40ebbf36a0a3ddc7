"""What every head, the vote and the model say to one puzzle: scores in, tidy frames for charts and
tables out.

Plain numbers, so a page can keep them without the model. Where nobody knows the answer there is no
right and wrong, and margins are those of the first candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import Variant
from qkcore.results.yardsticks import Yardsticks, leads, share_below
from qkcore.statistics.metrics import candidate_choices
from qkcore.statistics.votes import weighted_vote
from qkcore.wording import head_name

RIGHT, WRONG, TIE = "right", "wrong", "cannot decide"


@dataclass(frozen=True, slots=True)
class Scored:
    """A puzzle's scores, as `score_puzzle` gives them."""

    puzzle: Puzzle
    qk: np.ndarray  # (layer, head, candidate)
    logits: np.ndarray  # (candidate,)

    @property
    def probabilities(self) -> np.ndarray:
        """(candidate,) the model's, shared out among the candidates only."""
        raised = np.exp(self.logits - self.logits.max())
        return raised / raised.sum()

    def choice(self, scores: np.ndarray) -> str:
        """The candidate of the largest of (candidate,) scores."""
        index = int(candidate_choices(scores))
        return TIE if index < 0 else self.puzzle.candidates[index]

    def verdict(self, scores: np.ndarray) -> str:
        """Whether that is right; empty where nobody knows."""
        if self.puzzle.answer is None:
            return ""
        return RIGHT if int(candidate_choices(scores)) == self.puzzle.answer else WRONG


def vote_scores(scored: Scored, by: Yardsticks) -> np.ndarray | None:
    """(candidate,) what the best heads say together; None where no heads could be chosen."""
    if not by.voters:
        return None
    layers, heads = zip(*by.voters, strict=True)
    return weighted_vote(scored.qk[None, list(layers), list(heads)], by.scales)[0]


def answer_rows(
    scored: Scored, layer: int, head: int, by: Yardsticks | None, own_leads: np.ndarray
) -> pd.DataFrame:
    """Who answers what.

    Args:
        own_leads: (test puzzle) sorted leads of the head; empty where none are stored.

    Returns:
        who, answer, verdict, lead, share_below (of test puzzles, NaN where none are stored).
    """
    said = [("the model", scored.logits, by.model_leads if by else ())]
    said.append((head_name(layer, head), scored.qk[layer, head], own_leads))
    if by is not None and (voted := vote_scores(scored, by)) is not None:
        said.append((f"the vote of {len(by.voters)} heads", voted, by.vote_leads))
    rows = []
    for who, scores, stored in said:
        lead = float(leads(scores))
        below = share_below(np.asarray(stored), lead)
        rows.append(
            (
                who,
                scored.choice(scores),
                scored.verdict(scores),
                lead,
                np.nan if below is None else below,
            )
        )
    return pd.DataFrame(rows, columns=["who", "answer", "verdict", "lead", "share_below"])


def grid_frame(
    scored: Scored, typical: np.ndarray | None, known_good: Sequence[tuple[int, int]] = ()
) -> pd.DataFrame:
    """Every head's answer to the puzzle.

    Args:
        typical: (layer, head) leads to scale by; None: the typical lead of all heads on this
            puzzle.
        known_good: heads to outline.

    Returns:
        layer, head, name, answer, verdict, margin, scaled (margin / typical lead), mark ("+" for
        the right answer or, where nobody knows it, for the first candidate; "−" for another, "="
        for a tie), is_known_good.
    """
    margin = head_margins(scored)
    if typical is None or typical.shape != margin.shape:
        typical = np.full_like(margin, np.sqrt((margin**2).mean()))
    scaled = np.divide(margin, typical, out=np.zeros_like(margin), where=typical > 0)
    layers, heads = (index.ravel() for index in np.indices(margin.shape))
    by_head = scored.qk.reshape(-1, scored.qk.shape[-1])
    good = set(known_good)
    return pd.DataFrame(
        {
            "layer": layers,
            "head": heads,
            "name": [head_name(*place) for place in zip(layers, heads, strict=True)],
            "answer": [scored.choice(scores) for scores in by_head],
            "verdict": [scored.verdict(scores) for scores in by_head],
            "margin": margin.ravel(),
            "scaled": scaled.ravel(),
            "mark": np.select([margin.ravel() > 0, margin.ravel() < 0], ["+", "−"], "="),
            "is_known_good": [
                place in good for place in zip(layers.tolist(), heads.tolist(), strict=True)
            ],
        }
    )


def head_margins(scored: Scored) -> np.ndarray:
    """(layer, head) margins of the right candidate, or of the first where nobody knows it."""
    answer = scored.puzzle.answer or 0
    others = np.delete(scored.qk, answer, axis=-1)
    return scored.qk[..., answer] - others.max(axis=-1)


def effects(
    before: Scored,
    after: Sequence[tuple[Variant, Scored]],
    layer: int,
    head: int,
    by: Yardsticks | None,
) -> pd.DataFrame:
    """What each change does to whom; the first row is the puzzle itself.

    Returns:
        kind, change, truth, premise, n_added, then for "model", "head" and "vote" (left out where
        nobody votes): its answer, {who}_verdict, {who}_flips (another answer than before) and
        {who}_margin (NaN where nobody knows the right candidate).
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
    scored: Scored,
    before: Scored,
    layer: int,
    head: int,
    by: Yardsticks | None,
) -> dict:
    answer = scored.puzzle.answer
    row = {
        "kind": kind,
        "change": change,
        "truth": "unknown" if answer is None else scored.puzzle.candidates[answer],
    }
    for who, own, earlier in zip(
        ("model", "head", "vote"),
        _sayings(scored, layer, head, by),
        _sayings(before, layer, head, by),
        strict=False,
    ):
        # By place, for a renamed puzzle may have renamed candidates.
        is_other = int(candidate_choices(own)) != int(candidate_choices(earlier))
        margin = np.nan if answer is None else float(own[answer] - np.delete(own, answer).max())
        row |= {
            who: scored.choice(own),
            f"{who}_verdict": scored.verdict(own),
            f"{who}_flips": is_other,
        }
        row[f"{who}_margin"] = margin
    return row


def _sayings(scored: Scored, layer: int, head: int, by: Yardsticks | None) -> list[np.ndarray]:
    voted = None if by is None else vote_scores(scored, by)
    return [scored.logits, scored.qk[layer, head], *([] if voted is None else [voted])]


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
        (who, int(n_added), len(group), float((group[f"{who}_verdict"] == RIGHT).mean()))
        for n_added, group in some.groupby("n_added")
        for who in whose
    ]
    return pd.DataFrame(rows, columns=["who", "n_added", "n", "share_right"])
