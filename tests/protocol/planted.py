"""Stores in which it is known what a claim about heads should come to."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from tests.stores import N_HEADS, N_LAYERS, planted_run, publish_parts, write_parts

HEAD = 1, 2  # right as often as is planted
OTHER = 0, 1  # another that may be
Share = Callable[[Puzzle], float]  # how often somebody is right on puzzles like this


def puzzles_of(name: str, n_groups: int = 30, parent: str | None = None) -> list[Puzzle]:
    """Two puzzles a group, one true and one false.

    So many groups of each split and each pair of 1 or 5 steps with 0 or 5 distractors.
    """
    return [
        Puzzle(
            puzzle_id=f"{name}-{split}-{steps}-{distractors}-{group}-{answer}",
            context=f"{name}, {split} {steps} {distractors} {group}.",
            statement=f"Statement {answer}.",
            candidates=("true", "false"),
            answer=answer,
            steps=steps,
            distractors=distractors,
            group=f"{name}-{split}-{steps}-{distractors}-{group}",
            split=split,
            parent=parent,
        )
        for split in ("validation", "test")
        for steps in (1, 5)
        for distractors in (0, 5)
        for group in range(n_groups)
        for answer in (0, 1)
    ]


def plant(
    path: Path,
    name: str,
    puzzles: list[Puzzle],
    heads: dict[tuple[int, int], Share],
    model: Share,
    lean: float = 0.0,
) -> str:
    """A run whose heads and model are right as often as said; every other head guesses.

    A lean is added to the model's logit of the first candidate; one offset takes it away.
    """
    rng = np.random.default_rng(len(name))
    qk = rng.normal(size=(len(puzzles), N_LAYERS * N_HEADS, 2)).astype(np.float32)
    for (layer, head), share in heads.items():
        right = _right(puzzles, share, layer + 2)
        qk[np.arange(len(puzzles)), layer * N_HEADS + head, right] = 9.0
        qk[np.arange(len(puzzles)), layer * N_HEADS + head, 1 - right] = 0.0
    logits = np.zeros((len(puzzles), 2), dtype=np.float32)
    logits[np.arange(len(puzzles)), _right(puzzles, model, 1)] = 1.0
    logits[:, 0] += lean
    run = planted_run(
        puzzles, run_id=name, puzzle_set=name, puzzle_set_sha256=puzzle_set_sha256(puzzles)
    )
    publish_parts(
        path, run, puzzles, write_parts(path.with_suffix(f".{name}"), puzzles, qk, logits)
    )
    return name


def _right(puzzles: Sequence[Puzzle], share: Share, seed: int) -> np.ndarray:
    """(puzzle,) the candidate that is said; of each kind of puzzles exactly so many are right."""
    draw = np.random.default_rng(seed)
    kinds: dict[tuple, list[int]] = {}
    for at, one in enumerate(puzzles):
        kinds.setdefault((one.split, one.steps, one.distractors, one.answer), []).append(at)
    said = np.zeros(len(puzzles), dtype=int)
    for places in kinds.values():
        n_right = round(share(puzzles[places[0]]) * len(places))
        for rank, at in enumerate(draw.permutation(places)):
            said[at] = puzzles[at].answer if rank < n_right else 1 - puzzles[at].answer
    return said
