"""How long a protocol will take on this machine, and how much memory: told from a sample.

Whole groups of each set are scored and thrown away, ever more of them, for less than a minute in
all; the set is taken to be as fast a token as the fastest sample. Knows nothing of stores.
"""

import math
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from qkcore.asking.prompts import Prompt
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import CausalLM
from qkcore.attention.memory import size_text
from qkcore.attention.rows import groups_of, n_row_tokens
from qkcore.protocol.frozen import Protocol
from qkcore.protocol.sets import PuzzleSet
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import PART_SIZE
from qkcore.scoring.score import prompts_of
from qkcore.scoring.scorer import Scorer

AT_MOST = 45.0  # seconds of scoring
SAMPLED = 16  # puzzles of a set, for a start
AFTERWARDS = 4.0  # seconds that publishing a run and drawing its report take
KIBI = 1 if sys.platform == "darwin" else 1024  # macOS says bytes


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is ahead."""

    seconds: float
    n_puzzles: int
    n_runs: int
    n_bytes: int  # the most that the sample held, with the model

    @property
    def sentence(self) -> str:
        """As people read it.

        >>> Estimate(1500.0, 2060, 7, 1_250_000_000).sentence
        'Ahead: 2,060 puzzles in 7 runs, about 25 minutes; memory so far at most 1.2 GB.'
        """
        return (
            f"Ahead: {self.n_puzzles:,} puzzles in {self.n_runs:,} "
            f"{'run' if self.n_runs == 1 else 'runs'}, about {duration(self.seconds)}; memory so "
            f"far at most {size_text(self.n_bytes)}."
        )


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(20), duration(1500), duration(20_000)
    ('1 minute', '25 minutes', '5.6 hours')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 100:
        return f"{minutes} {'minute' if minutes == 1 else 'minutes'}"
    return f"{seconds / 3600:.1f} hours"


def estimate(
    lm: CausalLM, sets: Sequence[PuzzleSet], protocol: Protocol, batch_tokens: int | None = None
) -> Estimate:
    """What scoring these sets will take, and switching heads off in those that the protocol names.

    Raises:
        PromptError: naming the first puzzle that cannot be asked of this model.
    """
    start = time.monotonic()
    ahead, pace = 0.0, 0.0
    for number, one in enumerate(sets):
        left = AT_MOST - (time.monotonic() - start)
        if one.puzzles and (left > 0 or not pace):
            pace = _pace(lm, one, protocol, batch_tokens, left / (len(sets) - number))
        n_tokens = _tokens(prompts_of(lm, one.puzzles))
        ahead += pace * n_tokens + _switching(lm, one, protocol, pace * n_tokens)
    ahead += AFTERWARDS * len(sets)
    return Estimate(ahead, sum(len(one.puzzles) for one in sets), len(sets), _most_bytes())


def _pace(
    lm: CausalLM, one: PuzzleSet, protocol: Protocol, batch_tokens: int | None, seconds: float
) -> float:
    """Seconds a token of a set, of a sample that is doubled as long as there is time for it.

    A few puzzles alone would tell too much: what a pass costs besides is shared by all that a full
    batch holds, and the first pass of all warms up.
    """
    n, pace, spent = (
        SAMPLED,
        math.inf,
        _spent(lm, one, _sample(one.puzzles, 2), protocol, batch_tokens),
    )
    while True:
        sample = _sample(one.puzzles, n)
        took = _spent(lm, one, sample, protocol, batch_tokens)
        spent += took
        pace = min(pace, took / _tokens(prompts_of(lm, sample)))
        if spent + 2 * took > seconds or len(sample) == len(one.puzzles) or 2 * n > PART_SIZE:
            return pace
        n *= 2


def _sample(puzzles: Sequence[Puzzle], n_puzzles: int) -> list[Puzzle]:
    """Whole groups, spread evenly over a set, of which there are always some."""
    groups = list(dict.fromkeys(one.group for one in puzzles))
    per_group = len(puzzles) / max(len(groups), 1)
    n = min(len(groups), max(1, round(n_puzzles / max(per_group, 1))))
    kept = {groups[place * len(groups) // n] for place in range(n)}
    return [one for one in puzzles if one.group in kept][:PART_SIZE]


def _spent(
    lm: CausalLM,
    one: PuzzleSet,
    sample: list[Puzzle],
    protocol: Protocol,
    batch_tokens: int | None,
) -> float:
    """Seconds that the sample takes."""
    scorer = Scorer(
        lm, sample, puzzle_set=one.name, rope=protocol.reading, max_batch_tokens=batch_tokens
    )
    if one.has_lens:
        with suppress(UnsupportedModelError):  # it is scored without, and precompute says why
            scorer.read_layers()
    return scorer.shard(0)[0].seconds


def _tokens(prompts: Sequence[Prompt]) -> int:
    """Of the rows that these prompts fill."""
    return sum(n_row_tokens([prompts[at] for at in group]) for group in groups_of(prompts))


def _switching(lm: CausalLM, one: PuzzleSet, protocol: Protocol, seconds: float) -> float:
    """Seconds of an ablation: each test puzzle is asked once with each set of heads off.

    Args:
        lm: the model; a layer has no more control heads than other heads.
        one: a set.
        protocol: that says how many puzzles and heads.
        seconds: of scoring the whole set.
    """
    ablation = protocol.ablation
    if one.name not in ablation.sets:
        return 0.0
    n_controls = min(ablation.n_controls, max(0, lm.geometry.n_heads - ablation.n_heads))
    n_test = sum(puzzle.split == "test" for puzzle in one.puzzles)
    share = min(ablation.n_test, n_test) / len(one.puzzles)
    return seconds * share * (1 + n_controls)


def _most_bytes() -> int:
    """The most memory that this process held so far, on its GPU if it has one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBI
