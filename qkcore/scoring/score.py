"""Puzzles and a model to scores: the only path to a number.

Precompute, the command line and any page call `score_puzzles` or `score_puzzle`; nothing else turns
a puzzle into scores.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from qkcore.asking.prompts import Prompt, locate
from qkcore.asking.readings import ROPES
from qkcore.asking.templates import PromptError, Template, default_template
from qkcore.attention.capture import Captured, capture
from qkcore.attention.continued import capture_apart
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import (
    MAX_ROW_TOKENS,
    alike,
    batches_of,
    groups_of,
    n_row_tokens,
    rows_of,
)
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.scores import Scores
from qkcore.scoring.layer_reading import LayerReader, agreeing
from qkcore.scoring.products import scores_of

# Tokens a pass, by device: so many that what a pass costs by itself hardly counts; a GPU wants more
# (tests/bench/bench_batches.py). Fixed, not timed: the same run gives the same bits again.
BATCH_TOKENS = {"cpu": 1_024, "mps": 4_096, "cuda": 16_384}
MAX_BATCH_TOKENS = 4_096  # of any other device
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Budget:
    """How many tokens go into one pass.

    Shrinks when memory runs out, and stays so for every call that shares it.
    """

    max_tokens: int = MAX_BATCH_TOKENS
    max_row_tokens: int = MAX_ROW_TOKENS

    def halve(self, batch: Sequence[Sequence[Prompt]]) -> bool:
        """Allow half of a batch that did not fit: half its rows, or half of its only row.

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


def budget_for(lm: CausalLM, max_tokens: int | None = None) -> Budget:
    """So many tokens a pass, or what suits the model's device."""
    return Budget(max_tokens or BATCH_TOKENS.get(lm.device.type, MAX_BATCH_TOKENS))


def prompts_of(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    template: Template | None = None,
    max_tokens: int | None = None,
) -> list[Prompt]:
    """The prompts of puzzles, in order, each within the model's reach.

    Args:
        lm: the model.
        puzzles: to ask of it.
        template: the prompt for all of them; by default each puzzle's `default_template`.
        max_tokens: longest prompt allowed, if the model reaches further.

    Raises:
        PromptError: naming the first puzzle that cannot be asked of this model.

    >>> from qkcore import bundled_model, load_model, prompts_of, typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> (prompt,) = prompts_of(load_model(bundled_model()), [one])
    >>> len(prompt.tokens), prompt.key_at
    (37, 34)
    """
    reach = lm.geometry.max_positions
    limits = [
        (reach, f"{lm.name} reads at most {reach:,}") if reach is not None else None,
        (max_tokens, f"at most {max_tokens:,} are scored here") if max_tokens is not None else None,
    ]
    prompts = []
    for puzzle in puzzles:
        prompt = locate(lm.tokenizer, template or default_template(puzzle), puzzle)
        for limit, sentence in filter(None, limits):
            if prompt.n_positions > limit:
                raise PromptError(
                    f"puzzle {puzzle.puzzle_id!r} is {prompt.n_positions - limit:,} tokens too "
                    f"long: it has {prompt.n_positions:,}, {sentence}; shorten it"
                )
        prompts.append(prompt)
    return prompts


def score_puzzles(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    *,
    rope: str = "pre",
    template: Template | None = None,
    max_batch_tokens: int | Budget | None = None,
) -> Iterator[Scores]:
    """Score puzzles, one result each in their order.

    A puzzle's scores do not depend on its batch. Statements about one context share a row. When
    memory runs out, batches are halved for good and the log says so.

    Args:
        lm: the model.
        puzzles: to ask of it.
        rope: "pre" for queries and keys before rotary position embedding, "post" for after, "raw"
            for what the projections give: before QK-norm too, and "pre" where a model has none.
        template: the prompt for all of them; by default each puzzle's `default_template`. A `Chat`
            asks through the tokenizer's chat template; one that lists {options} scores by the
            query at the cue and the key at the end of each option's line (arXiv 2410.02343).
        max_batch_tokens: padded tokens in one forward pass, or a `Budget` of them that several
            calls share; by default what suits the device. Decides speed and memory only.

    Raises:
        PromptError: naming the first puzzle that cannot be asked, before anything is computed.
        UnsupportedModelError: when a score is not a finite number.

    >>> from qkcore import bundled_model, generate_puzzles, load_model, score_puzzles
    >>> lm = load_model(bundled_model())
    >>> puzzles = generate_puzzles(steps=range(1, 3), distractors=0, n=2)
    >>> [scores.qk.shape for scores in score_puzzles(lm, puzzles)]
    [(8, 4, 2), (8, 4, 2), (8, 4, 2), (8, 4, 2)]
    """
    return score_prompts(
        lm, prompts_of(lm, puzzles, template), rope=rope, max_batch_tokens=max_batch_tokens
    )


def score_puzzle(
    lm: CausalLM, puzzle: Puzzle, *, rope: str = "pre", template: Template | None = None
) -> Scores:
    """Score one puzzle; see `score_puzzles`.

    >>> from qkcore import bundled_model, load_model, score_puzzle, typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> scores = score_puzzle(load_model(bundled_model()), one, rope="post")
    >>> scores.qk.shape, int((scores.margins > 0).sum())
    ((8, 4, 2), 19)
    """
    return next(score_puzzles(lm, [puzzle], rope=rope, template=template))


def score_prompts(
    lm: CausalLM,
    prompts: Sequence[Prompt],
    *,
    rope: str = "pre",
    max_batch_tokens: int | Budget | None = None,
    reader: LayerReader | None = None,
) -> Iterator[Scores]:
    """`score_puzzles` of puzzles that have been located, by `prompts_of`.

    With a reader, scores have what it reads after each layer: lens and states.
    """
    if rope not in ROPES:
        raise PromptError(f"rope {rope!r} is not one of {', '.join(map(repr, ROPES))}")
    lm.geometry.refuse_unread(lm.name, rope)
    given = max_batch_tokens
    budget = given if isinstance(given, Budget) else budget_for(lm, given)
    scored = _score_prompts(lm, prompts, rope, budget, reader)
    return (scored[index] for index in range(len(prompts)))


def _score_prompts(
    lm: CausalLM,
    prompts: Sequence[Prompt],
    rope: str,
    budget: Budget,
    reader: LayerReader | None,
) -> dict[int, Scores]:
    """Scores of each prompt, by its index."""
    results: dict[int, Scores] = {}
    # Once round, and again with smaller batches whenever memory runs out.
    while left := [index for index in range(len(prompts)) if index not in results]:
        for batch in _batches(lm, prompts, left, budget):
            groups = [[prompts[index] for index in group] for group in batch]
            try:
                scored = _score_batch(lm, groups, rope, reader)
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not is_out_of_memory(error):
                    raise
                if not budget.halve(groups):
                    raise UnsupportedModelError(
                        f"{lm.name}: one puzzle by itself does not fit into memory on {lm.device}; "
                        "use --dtype bfloat16, --device auto, or a shorter context"
                    ) from error
                break
            results |= zip((index for group in batch for index in group), scored, strict=True)
    return results


def _batches(
    lm: CausalLM, prompts: Sequence[Prompt], indices: list[int], budget: Budget
) -> list[list[list[int]]]:
    """Prompts that are still to be scored, as batches of groups of indices."""
    wanted = [prompts[index] for index in indices]
    geometry = lm.geometry
    groups = [[place] for place in range(len(wanted))]
    if geometry.is_side_by_side or geometry.is_continued:
        groups = groups_of(wanted, budget.max_row_tokens)
    batches = list(batches_of(wanted, groups, budget.max_tokens))
    if geometry.is_continued:
        # A pass more costs little on a CPU; elsewhere many rows at once matter more.
        is_exact = lm.device.type == "cpu"
        batches = [part for batch in batches for part in alike(wanted, batch, is_exact)]
    return [[[indices[place] for place in group] for group in batch] for batch in batches]


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error is about memory."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def _score_batch(
    lm: CausalLM, groups: list[list[Prompt]], rope: str, reader: LayerReader | None
) -> list[Scores]:
    """Scores of each prompt; all have the same number of candidates."""
    prompts = [prompt for group in groups for prompt in group]
    n_candidates = len(prompts[0].candidates)
    layers = reader.lens.layers if reader else ()
    if lm.geometry.is_side_by_side:
        captured = capture(lm.model, lm.geometry, rows_of(groups), (rope,), layers=layers)
        places = [(row, place) for row, group in enumerate(groups) for place in range(len(group))]
    else:
        captured = capture_apart(lm.model, lm.geometry, groups, (rope,), layers)
        # The rows of one prompt follow each other; what is read once is the same in all of them.
        places = [(row * n_candidates, 0) for row in range(len(prompts))]
    results = []
    for (row, place), prompt in zip(places, prompts, strict=True):
        qk = scores_of(lm.geometry, captured, rope, prompt, (row, place))
        logits = captured.logits[row, place, list(prompt.answer_tokens)].float().cpu()
        _check_finite(lm, prompt, qk, logits)
        scores = Scores(prompt.puzzle, qk.numpy(), logits.numpy(), lm.geometry.head_layers)
        results.append(scores)
    return _with_layers(lm, results, captured, places, prompts, reader)


def _check_finite(lm: CausalLM, prompt: Prompt, *found: torch.Tensor) -> None:
    if not all(bool(torch.isfinite(one).all()) for one in found):
        raise UnsupportedModelError(
            f"{lm.name} in {lm.dtype}: puzzle {prompt.puzzle.puzzle_id!r} gives scores that "
            "are not finite numbers; try another dtype"
        )


def _with_layers(
    lm: CausalLM,
    results: list[Scores],
    captured: Captured,
    places: list[tuple[int, int]],
    prompts: list[Prompt],
    reader: LayerReader | None,
) -> list[Scores]:
    """The scores, with what a reader makes of the states of their pass."""
    if reader is None or captured.states is None:
        return results
    read = reader.read(captured.states, places, prompts)
    found = []
    for scores, (lens, states), (row, place), prompt in zip(
        results, read, places, prompts, strict=True
    ):
        _check_finite(lm, prompt, lens)
        scale = float(captured.logits[row, place].abs().max())
        own = torch.from_numpy(scores.logits)
        lens = agreeing(lens, own, scale, lm.name, reader.lens.tolerance)
        found.append(replace(scores, lens=lens.numpy(), states=states))
    return found
