"""A store where everything that can be uneven is, and what its scores say.

They are counted one puzzle at a time.

Two, three and four candidates, in both orders, ties, scores of any size, puzzles that do not say
their steps or distractors, an answer that occurs at some difficulties only, parts of unlike width,
and another set in the same store that uses the same puzzle ids. `records` reads only scores, logits
and puzzles, with plain DuckDB, and loops in plain Python: the oracle of the questions to a store.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np

from qkcore.puzzles.puzzle import Puzzle
from tests.stores import planted_run, publish_parts, write_parts

CANDIDATES = (
    ("true", "false"),
    ("false", "true"),
    ("red", "green", "blue"),
    ("north", "east", "south", "west"),
)
N_LAYERS, N_HEADS = 2, 3
HEADS = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]
GOOD, ALWAYS_FIRST, ALWAYS_TIED, HUGE, SHIFTED, GUESSING = HEADS


def messy_puzzles(
    n: int = 200,
    seed: int = 0,
    kinds: Iterable[tuple[str, ...]] = CANDIDATES,
    answers: Iterable[int] | None = None,
) -> list[Puzzle]:
    """n puzzles in groups of one to three; steps 1, 2, 3 or unknown, distractors 0, 2 or unknown.

    Args:
        kinds: candidate lists, of one kind in the first 64 puzzles (a part) and mixed thereafter.
        answers: what may be right; None for all candidates, the last only on puzzles of 2 steps.
    """
    rng, kinds, puzzles, group = np.random.default_rng(seed), list(kinds), [], 0
    while len(puzzles) < n:
        split = "test" if rng.random() < 0.6 else "validation"
        for _ in range(rng.integers(1, 4)):
            candidates = kinds[rng.integers(len(kinds))] if len(puzzles) >= 64 else kinds[0]
            steps = (1, 2, 3, None)[rng.integers(4)]
            allowed = answers or range(max(2, len(candidates) - (steps != 2)))
            puzzle = Puzzle(
                puzzle_id=f"p{len(puzzles)}",
                context=f"Context {group} of set {seed}.",
                statement=f"Statement {len(puzzles)}.",
                candidates=candidates,
                answer=int(rng.choice([answer for answer in allowed if answer < len(candidates)])),
                steps=steps,
                distractors=(0, 2, None)[rng.integers(3)],
                group=f"g{group}",
                split=split,
            )
            puzzles.append(puzzle)
        group += 1
    return puzzles[:n]


def messy_scores(puzzles: list[Puzzle], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """qk (puzzle, layer * head, candidate) and logits (puzzle, candidate).

    NaN where a puzzle has no such candidate.
    """
    rng = np.random.default_rng(seed)
    most = max(len(puzzle.candidates) for puzzle in puzzles)
    # Small whole numbers tie often
    qk = rng.integers(-2, 3, size=(len(puzzles), len(HEADS), most)).astype(np.float32)
    logits = rng.integers(0, 3, size=(len(puzzles), most)).astype(np.float32)
    for row, puzzle in enumerate(puzzles):
        if rng.random() < 0.8:
            qk[row, HEADS.index(GOOD), puzzle.answer] = 5
        qk[row, HEADS.index(SHIFTED)] = rng.normal(size=most) + 10 * (np.arange(most) == 0)
        qk[row, HEADS.index(SHIFTED), puzzle.answer] += 2
        qk[row, :, len(puzzle.candidates) :] = np.nan
        logits[row, len(puzzle.candidates) :] = np.nan
    qk[:, HEADS.index(ALWAYS_FIRST), 0] = 7
    qk[:, HEADS.index(ALWAYS_TIED)] *= 0
    qk[:, HEADS.index(HUGE)] *= 1e30
    return qk, logits


def messy_store(path: Path, puzzles: list[Puzzle] | None = None) -> Path:
    """A store of run "messy" on set "messy-set".

    Without puzzles of its own it is on `messy_puzzles`, beside run "namesake" on another set with
    the same puzzle ids.
    """
    if puzzles is None:
        namesakes = [
            replace(puzzle, split="test", steps=4, answer=0)
            for puzzle in messy_puzzles(100, seed=9)
        ]
        add_run(path, "namesake", namesakes, "namesake-set", seed=9)
    add_run(path, "messy", puzzles or messy_puzzles(), "messy-set")
    return path


def add_run(
    path: Path, run_id: str, puzzles: list[Puzzle], puzzle_set: str, seed: int = 0, **changes
) -> None:
    """Publish one more run of messy scores."""
    parts = write_parts(path.with_suffix(f".{run_id}"), puzzles, *messy_scores(puzzles, seed))
    run = dict(run_id=run_id, puzzle_set=puzzle_set, n_layers=N_LAYERS, n_heads=N_HEADS)
    publish_parts(path, planted_run(puzzles, **run | changes), puzzles, parts)


@dataclass(frozen=True, slots=True)
class Record:
    """One puzzle of a run as the store has it, in plain Python."""

    puzzle_id: str
    split: str
    steps: int | None
    distractors: int | None
    candidates: tuple[str, ...]
    answer: int
    group: str
    qk: dict[tuple[int, int], list[float]]  # by (layer, head), of each candidate
    logits: list[float]

    def is_right(self, head: tuple[int, int]) -> bool:
        """Whether the head is right; a tie is wrong."""
        return the_largest(self.qk[head]) == self.answer

    @property
    def is_model_right(self) -> bool:
        """Whether the model is right."""
        return the_largest(self.logits) == self.answer


def the_largest(scores: list[float]) -> int:
    """The index of the largest, -1 for a tie."""
    return scores.index(max(scores)) if scores.count(max(scores)) == 1 else -1


def records(path: Path, run_id: str) -> list[Record]:
    """The run's puzzles in order."""
    with duckdb.connect(":memory:") as plain:
        plain.execute(f"attach '{path}' as s (read_only)")
        rows = plain.execute(
            """
            select p.puzzle_id, p.split, p.steps, p.distractors, p.candidates, p.answer, p.group,
                   list(x.qk order by x.candidate, x.layer, x.head), any_value(l.logit)
            from s.scores x, s.logits l, s.puzzles p, s.runs r
            where x.run_id = ? and r.run_id = x.run_id and l.run_id = x.run_id
              and p.puzzle_set = r.puzzle_set and p.place = x.place and l.place = x.place
            group by p.puzzle_id, p.split, p.steps, p.distractors, p.candidates, p.answer, p.group
            order by any_value(p.place)
            """,
            [run_id],
        ).fetchall()
    return [
        Record(*row[:4], tuple(row[4]), *row[5:7], _by_head(row[7], len(row[4])), row[8])
        for row in rows
    ]


def by_group(rows: list[Record], counted: list[bool] | None = None) -> list[int]:
    """How many rows of each group count, groups in the order of their names."""
    n = dict.fromkeys(sorted(row.group for row in rows), 0)
    for row, counts in zip(rows, [True] * len(rows) if counted is None else counted, strict=True):
        n[row.group] += counts
    return list(n.values())


def among(
    rows: list[Record], split: str | None = None, steps=None, distractors: int | None = None
) -> list[Record]:
    """Those of this split, these steps (one or several) and distractors; None for all."""
    wanted = (steps,) if isinstance(steps, int) else steps
    return [
        row
        for row in rows
        if split in (None, row.split)
        and (wanted is None or row.steps in wanted)
        and (distractors is None or row.distractors == distractors)
    ]


def _by_head(scores: list[float], n_candidates: int) -> dict[tuple[int, int], list[float]]:
    """Of scores that come candidate after candidate, of all heads each."""
    n = len(scores) // n_candidates
    return {divmod(head, N_HEADS): scores[head::n] for head in range(n)}
