"""Made-up runs whose best head is of a known kind, and the evidence on them.

A set of two candidates in groups, with a word in the statement that gives the answer away or does
not; heads and a model that leans to the first candidate score it. `evidence_on` does with the
scores what is done with those of a run.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkcore.statistics.calibration import calibrated, offsets
from qkcore.statistics.evidence import Evidence, Twin, against, measured
from qkcore.statistics.luck import luck_line
from qkcore.statistics.marks import choices
from qkcore.statistics.rivals import constant_answers, majority_answer

PLANTED, N_HEADS = 7, 48


@dataclass(frozen=True)
class Puzzles:
    answer: np.ndarray  # (puzzle,) 0 or 1
    word: np.ndarray  # (puzzle,) what a reader of the word would answer
    group: np.ndarray  # (puzzle,)


def puzzles(rng, n_groups: int, share_of_first: float = 0.5, telling_word: bool = True) -> Puzzles:
    """Groups of four questions; the word is the answer's or a coin's."""
    group = np.repeat(np.arange(n_groups), 4)
    answer = (rng.random(len(group)) >= share_of_first).astype(int)
    return Puzzles(answer, answer if telling_word else rng.integers(0, 2, len(group)), group)


def scores(knows: np.ndarray, rng, own: Puzzles, strength: float, lean: float = 0.0) -> np.ndarray:
    """(puzzle, candidate) scores of someone who knows something of the puzzles.

    In one group of five he knows nothing, so puzzles of a group are answered alike.
    """
    has_clue = (rng.random(own.group.max() + 1) < 0.8)[own.group]
    towards = np.where(knows == 0, strength, -strength) * has_clue + rng.normal(size=len(knows))
    return np.stack([towards + lean, np.zeros(len(knows))], axis=-1)


def head_scores(kind: str, rng, own: Puzzles) -> np.ndarray:
    """(puzzle, head, candidate): heads that guess, one of which is planted."""
    heads = rng.normal(size=(len(own.answer), N_HEADS, 2))
    heads[:, :, 0] += np.linspace(-1, 1, N_HEADS)  # some lean
    if kind in ("logical", "calibration"):
        heads[:, PLANTED] = scores(own.answer, rng, own, strength=1.5)
    if kind == "word":
        heads[:, PLANTED] = scores(own.word, rng, own, strength=1.5)
    if kind == "constant":
        heads[:, PLANTED, 0] += 5
    return heads


def evidence_on(
    kind: str,
    rng,
    n_groups: int = 120,
    rule_works: bool = True,
    twin: bool = False,
    strength: float = 0.3,
):
    """The evidence on a made-up run: its best head is logical, reads a word, and so on.

    Args:
        kind: "logical", "word", "constant", "guess" or "calibration" (the model knows as much).
        rng: draws it.
        n_groups: of either split, and of the twin.
        rule_works: the word gives the answer away on the set.
        twin: the set has a balanced twin.
        strength: how much the model knows; a head that knows has 1.5.
    """
    share = 0.72 if kind == "constant" else 0.5
    validation, test = (puzzles(rng, n_groups, share, rule_works) for _ in range(2))
    strength = 1.5 if kind == "calibration" else strength
    model, heads = [], []
    for own in (validation, test):
        model.append(scores(own.answer, rng, own, strength, lean=4.0))
        heads.append(head_scores(kind, rng, own))
    said = [choices(of_split) for of_split in heads]
    best = int((said[0] == validation.answer[:, None]).sum(axis=0).argmax())
    is_right = said[1][:, best] == test.answer
    own_offsets = offsets(model[0], validation.answer)
    says = constant_answers(said[0][:, [best]])[0]

    def rival(name: str, answers: np.ndarray):
        return against(name, answers == test.answer, is_right, test.group)

    frame = pd.DataFrame({"answer": test.answer, "group": test.group, "steps": 1, "distractors": 0})
    majority = np.full(len(test.answer), majority_answer(validation.answer))
    return Evidence(
        head_name=f"L0 H{best}",
        head=measured(is_right, test.group),
        model=rival("the model", choices(model[1])),
        calibrated_model=rival("the calibrated model", calibrated(model[1], own_offsets)),
        majority=rival("the commonest answer", majority),
        luck=float(luck_line(said[1], frame, n_permutations=100)["q95"].iloc[0]),
        n=len(test.answer),
        n_groups=n_groups,
        rule=rival('"contains not"', test.word),
        head_says=None if says < 0 else ("true", "false")[says],
        twin=twin_of(kind, rng, n_groups, best, own_offsets, strength) if twin else None,
    )


def twin_of(kind, rng, n_groups, best, own_offsets, strength) -> Twin:
    """The same head and model on puzzles whose word says nothing."""
    own = puzzles(rng, n_groups, telling_word=False)
    is_right = choices(head_scores(kind, rng, own))[:, best] == own.answer
    model = calibrated(scores(own.answer, rng, own, strength, lean=4.0), own_offsets)
    return Twin(
        head=measured(is_right, own.group),
        calibrated_model=against("the calibrated model", model == own.answer, is_right, own.group),
        luck=0.5,
        n=len(own.answer),
        n_groups=n_groups,
    )
