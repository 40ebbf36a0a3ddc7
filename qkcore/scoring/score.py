"""Puzzles and a model to scores: the only path to a number.

Precompute, the command line and any page call `score_puzzles` or `score_puzzle`; nothing else turns
a puzzle into scores.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qkcore.asking.prompts import Prompt, PromptError, Template, default_template, locate
from qkcore.attention.capture import ROPES, capture
from qkcore.attention.load import CausalLM, UnsupportedModelError
from qkcore.attention.rows import (
    MAX_ROW_TOKENS,
    batches_of,
    groups_of,
    n_row_tokens,
    rows_of,
    separate_rows_of,
)
from qkcore.puzzles.puzzle import Puzzle
from qkcore.scoring.arithmetic import choices, margins, qk_scores

MAX_BATCH_TOKENS = 4_096
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Budget:
    """How many tokens go into one pass. Shrinks when memory runs out, and stays so for every call
    that shares it.
    """

    max_tokens: int = MAX_BATCH_TOKENS
    max_row_tokens: int = MAX_ROW_TOKENS

    def halve(self, batch: Sequence[Sequence[Prompt]]) -> bool:
        """Allow half of a batch that did not fit: half its rows, or half the statements of its only
        row.

        Returns:
            False where it holds one puzzle, so that there is nothing left to halve.
        """
        longest = max(n_row_tokens(group) for group in batch)
        if len(batch) > 1:
            self.max_tokens = len(batch) // 2 * longest
        elif len(batch[0]) > 1:
            self.max_row_tokens = n_row_tokens(batch[0][: len(batch[0]) // 2])
            self.max_tokens = min(self.max_tokens, self.max_row_tokens)
        else:
            return False
        log.warning(
            "Out of memory with %s rows of %s tokens in a batch; going on with at most %s tokens "
            "from here on.",
            len(batch),
            longest,
            self.max_tokens,
        )
        return True


@dataclass(frozen=True, slots=True)
class PuzzleScores:
    """What every head, and the model itself, says to one puzzle."""

    puzzle: Puzzle
    qk: Tensor  # (layer, head, candidate) float32
    logits: (
        Tensor  # (candidate,) the model's own next-token logits, float32; see Prompt.answer_tokens
    )

    @property
    def margins(self) -> Tensor:
        """(layer, head): the right candidate's score minus the best wrong one's; > 0 is right.

        Raises:
            PromptError: when nobody knows the puzzle's answer.
        """
        if self.puzzle.answer is None:
            raise PromptError(
                f"puzzle {self.puzzle.puzzle_id!r} has no known answer, so no margins"
            )
        return margins(self.qk, self.puzzle.answer)

    @property
    def choices(self) -> Tensor:
        """(layer, head) candidate index, -1 where a head cannot decide."""
        return choices(self.qk)

    @property
    def model_choice(self) -> int:
        """Candidate index of the largest logit, -1 for a tie."""
        return int(choices(self.logits))


def prompts_of(
    lm: CausalLM, puzzles: Sequence[Puzzle], template: Template | None = None
) -> list[Prompt]:
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
                f"puzzle {puzzle.puzzle_id!r} is {prompt.n_positions - limit:,} tokens too long: "
                f"it has {prompt.n_positions:,}, {lm.name} reads at most {limit:,}; shorten it"
            )
        prompts.append(prompt)
    return prompts


def score_puzzles(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    *,
    rope: str = "pre",
    template: Template | None = None,
    max_batch_tokens: int | Budget = MAX_BATCH_TOKENS,
) -> Iterator[PuzzleScores]:
    """Score puzzles, one result each in their order; a puzzle's scores do not depend on its batch.

    Statements about one context share a row. When memory runs out, batches are halved for good and
    the log says so.

    Args:
        rope: "pre" for queries and keys before rotary position embedding, "post" for after.
        template: the prompt for all of them; by default each puzzle's `default_template`. A `Chat`
            asks through the tokenizer's chat template.
        max_batch_tokens: padded tokens in one forward pass, or a `Budget` of them that several
            calls share. Decides speed and memory only.

    Raises:
        PromptError: naming the first puzzle that cannot be asked, before anything is computed.
        UnsupportedModelError: when a score is not a finite number.
    """
    if rope not in ROPES:
        raise PromptError(f"rope {rope!r} is neither 'pre' nor 'post'")
    if rope not in lm.geometry.ropes:
        raise UnsupportedModelError(
            f"{lm.name}: its queries and keys are changed again after rotary embedding, so there "
            "is no score before it; use rope 'post'"
        )
    prompts = prompts_of(lm, puzzles, template)
    budget = max_batch_tokens if isinstance(max_batch_tokens, Budget) else Budget(max_batch_tokens)
    scored = _score_prompts(lm, prompts, rope, budget)
    yield from (PuzzleScores(puzzle, *scored[index]) for index, puzzle in enumerate(puzzles))


def _score_prompts(
    lm: CausalLM, prompts: list[Prompt], rope: str, budget: Budget
) -> dict[int, tuple[Tensor, Tensor]]:
    """Scores (layer, head, candidate) and logits (candidate,) of each prompt, by its index."""
    results: dict[int, tuple[Tensor, Tensor]] = {}
    while len(results) < len(
        prompts
    ):  # once round, and again with smaller batches whenever memory runs out
        for batch in _batches(
            lm, prompts, [index for index in range(len(prompts)) if index not in results], budget
        ):
            try:
                scored = _score_batch(
                    lm, [[prompts[index] for index in group] for group in batch], rope
                )
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not _is_out_of_memory(error):
                    raise
                if not budget.halve([[prompts[index] for index in group] for group in batch]):
                    raise UnsupportedModelError(
                        f"{lm.name}: one puzzle by itself does not fit into memory on {lm.device}; "
                        "use --dtype bfloat16, --device auto, or a shorter context"
                    ) from error
                break
            results |= zip((index for group in batch for index in group), scored, strict=True)
    return results


def _batches(
    lm: CausalLM, prompts: list[Prompt], indices: list[int], budget: Budget
) -> list[list[list[int]]]:
    """Prompts that are still to be scored, as batches of groups of indices."""
    wanted = [prompts[index] for index in indices]
    if lm.geometry.is_side_by_side:
        groups = groups_of(wanted, budget.max_row_tokens)
    else:
        groups = [[place] for place in range(len(wanted))]
    batches = batches_of(wanted, groups, budget.max_tokens)
    return [[[indices[place] for place in group] for group in batch] for batch in batches]


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def score_puzzle(
    lm: CausalLM, puzzle: Puzzle, *, rope: str = "pre", template: Template | None = None
) -> PuzzleScores:
    """Score one puzzle; see `score_puzzles`."""
    return next(score_puzzles(lm, [puzzle], rope=rope, template=template))


def _score_batch(
    lm: CausalLM, groups: list[list[Prompt]], rope: str
) -> list[tuple[Tensor, Tensor]]:
    """Scores (layer, head, candidate) and logits (candidate,) of each prompt; all have as many
    candidates.
    """
    prompts = [prompt for group in groups for prompt in group]
    n_candidates = len(prompts[0].candidates)
    if lm.geometry.is_side_by_side:
        captured = capture(lm.model, lm.geometry, rows_of(groups), (rope,))
        places = [(row, place) for row, group in enumerate(groups) for place in range(len(group))]
        queries = captured.queries[rope].unflatten(
            -2, (-1, n_candidates)
        )  # ..., statement, candidate, dim
    else:
        captured = capture(lm.model, lm.geometry, separate_rows_of(prompts), (rope,))
        # The rows of one prompt follow each other; its key and logits are the same in all of them.
        places = [(row * n_candidates, 0) for row in range(len(prompts))]
        rows = captured.queries[rope].unflatten(0, (-1, n_candidates)).movedim(1, -2)
        queries = rows.repeat_interleave(n_candidates, dim=0)
    results = []
    for (row, place), prompt in zip(places, prompts, strict=True):
        qk = qk_scores(queries[row, :, :, place], captured.keys[rope][row, :, :, place])
        logits = captured.logits[row, place, list(prompt.answer_tokens)].float().cpu()
        if not (torch.isfinite(qk).all() and torch.isfinite(logits).all()):
            raise UnsupportedModelError(
                f"{lm.name} in {lm.dtype}: puzzle {prompt.puzzle_id!r} gives scores that are not "
                "finite numbers; try another dtype"
            )
        results.append((qk, logits))
    return results
