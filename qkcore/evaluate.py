"""Puzzles and a model to scores: the only path to a number.

Precompute, the command line and any page call `score_puzzles` or `score_puzzle`; nothing else turns a
puzzle into scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qkcore.capture import ROPES, capture
from qkcore.layout import batches_of, rows_of, separate_rows_of
from qkcore.models import CausalLM, UnsupportedModelError
from qkcore.prompts import Prompt, PromptError, PromptTemplate, default_template, locate
from qkcore.puzzles import Puzzle
from qkcore.qkscore import choices, margins, qk_scores

MAX_BATCH_TOKENS = 4_096


@dataclass(frozen=True, slots=True)
class PuzzleScores:
    """What every head, and the model itself, says to one puzzle."""

    puzzle: Puzzle
    qk: Tensor  # (layer, head, candidate) float32
    logits: Tensor  # (candidate,) the model's own next-token logits, float32; see Prompt.answer_tokens

    @property
    def margins(self) -> Tensor:
        """(layer, head): the right candidate's score minus the best wrong one's; > 0 is right.

        Raises:
            PromptError: when nobody knows the puzzle's answer.
        """
        if self.puzzle.answer is None:
            raise PromptError(f"puzzle {self.puzzle.puzzle_id!r} has no known answer, so no margins")
        return margins(self.qk, self.puzzle.answer)

    @property
    def choices(self) -> Tensor:
        """(layer, head) candidate index, -1 where a head cannot decide."""
        return choices(self.qk)

    @property
    def model_choice(self) -> int:
        """Candidate index of the largest logit, -1 for a tie."""
        return int(choices(self.logits))


def prompts_of(lm: CausalLM, puzzles: Sequence[Puzzle], template: PromptTemplate | None = None) -> list[Prompt]:
    """The prompts of puzzles, in order, each within the model's reach.

    Raises:
        PromptError: naming the first puzzle that cannot be asked of this model.
    """
    prompts = []
    for puzzle in puzzles:
        prompt = locate(lm.tokenizer, template or default_template(puzzle), puzzle)
        limit = lm.geometry.max_positions
        if limit is not None and prompt.n_positions > limit:
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r} is {prompt.n_positions - limit} tokens too long: it has "
                f"{prompt.n_positions}, {lm.name} reads at most {limit}; shorten its context"
            )
        prompts.append(prompt)
    return prompts


def score_puzzles(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    *,
    rope: str = "pre",
    template: PromptTemplate | None = None,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> Iterator[PuzzleScores]:
    """Score puzzles, one result each in their order; a puzzle's scores do not depend on its batch.

    Args:
        rope: "pre" for queries and keys before rotary position embedding, "post" for after.
        template: the prompt for all of them; by default each puzzle's `default_template`.
        max_batch_tokens: padded tokens in one forward pass. Decides speed and memory only.

    Raises:
        PromptError: naming the first puzzle that cannot be asked, before anything is computed.
        UnsupportedModelError: when a score is not a finite number.
    """
    if rope not in ROPES:
        raise PromptError(f"rope {rope!r} is neither 'pre' nor 'post'")
    if rope not in lm.geometry.ropes:
        raise UnsupportedModelError(
            f"{lm.name}: its queries and keys are changed again after rotary embedding, so there is no score before "
            "it; use rope 'post'"
        )
    prompts = prompts_of(lm, puzzles, template)
    results: dict[int, PuzzleScores] = {}
    for batch in batches_of(prompts, max_batch_tokens):
        for index, qk, logits in _score_batch(lm, [prompts[i] for i in batch], rope):
            results[batch[index]] = PuzzleScores(puzzles[batch[index]], qk, logits)
    yield from (results[index] for index in range(len(puzzles)))


def score_puzzle(
    lm: CausalLM, puzzle: Puzzle, *, rope: str = "pre", template: PromptTemplate | None = None
) -> PuzzleScores:
    """Score one puzzle; see `score_puzzles`."""
    return next(score_puzzles(lm, [puzzle], rope=rope, template=template))


def _score_batch(lm: CausalLM, prompts: list[Prompt], rope: str) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(row, scores of (layer, head, candidate), logits of (candidate,)) of each prompt; all have as many candidates."""
    n_candidates = len(prompts[0].candidates)
    if lm.geometry.is_side_by_side:
        captured = capture(lm.model, lm.geometry, rows_of(prompts), (rope,))
        queries, step = captured.queries[rope], 1
    else:
        captured = capture(lm.model, lm.geometry, separate_rows_of(prompts), (rope,))
        queries = captured.queries[rope].squeeze(-2).unflatten(0, (-1, n_candidates)).movedim(1, -2)
        step = n_candidates  # rows of one prompt follow each other; key and logits are the same in all of them
    scores = qk_scores(queries, captured.keys[rope][::step, ..., 0, :])
    for row, prompt in enumerate(prompts):
        logits = captured.logits[row * step, list(prompt.answer_tokens)]
        if not (torch.isfinite(scores[row]).all() and torch.isfinite(logits).all()):
            raise UnsupportedModelError(
                f"{lm.name} in {lm.dtype}: puzzle {prompt.puzzle_id!r} gives scores that are not finite numbers; "
                "try another dtype"
            )
        yield row, scores[row], logits
