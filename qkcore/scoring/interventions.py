"""The model's own answers with heads switched off: the only path to such numbers.

`ablate` and any page call `answers_without` or `Interventions`. What the answers say of the heads
is elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qkcore import InputError
from qkcore.asking.prompts import Prompt
from qkcore.attention.capture import logits_of
from qkcore.attention.geometry import Geometry, UnsupportedModelError
from qkcore.attention.load import CausalLM
from qkcore.attention.replay import Kept, can_replay, keeping, replaying
from qkcore.attention.switching import Head, Replacements, Switching, changing
from qkcore.scoring.replacing import drawn_at
from qkcore.scoring.score import Budget, budget_for, is_out_of_memory, score_prompts
from qkcore.scoring.whole_rows import Laid, laid_out
from qkcore.wording import head_name

NOTHING = Replacements("zero")


def answers_without(
    lm: CausalLM,
    prompt: Prompt,
    switched_off: Sequence[Sequence[Head]],
    kind: str = "mean",
    means: Replacements | None = None,
) -> np.ndarray:
    """The model's answer to one prompt with heads switched off, in several variants.

    Args:
        lm: the model.
        prompt: located by `prompts_of`.
        switched_off: for each variant, (layer, head) that are off together. In one without any the
            logits are those of `score_puzzle`, bit for bit.
        kind: "mean", "zero", "resample" or "knock-out" (the token after which the model answers
            does not see the statement's end in that head).
        means: what takes the place of outputs, from `replacements_of` of the same kind; "zero" and
            "knock-out" need none.

    Returns:
        (variant, candidate) next-token logits, float32.

    Raises:
        InputError: where a head is not in the model, or `means` is missing or of another kind.
        UnsupportedModelError: where the model's heads cannot be switched off.

    >>> from qkcore import answers_without, bundled_model, load_model, prompts_of, typed_puzzle
    >>> lm = load_model(bundled_model())
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> (prompt,) = prompts_of(lm, [one])
    >>> answers_without(lm, prompt, [[], [(6, 1)], [(6, 1), (5, 0)]], kind="zero").shape
    (3, 2)
    """
    if means is None and (kind in ("zero", "knock-out") or not any(switched_off)):
        means = Replacements(kind)
    if means is None or means.kind != kind:
        raise InputError(f"kind {kind!r} needs what replacements_of(lm, puzzles, {kind!r}) gives")
    return Interventions(lm, means).answers([prompt], switched_off)[:, 0]


@dataclass
class Interventions:
    """A model whose heads can be switched off. Knows which of its layers can be replayed."""

    lm: CausalLM
    replacements: Replacements
    budget: Budget | None = None
    is_replayed: dict[int, bool] = field(default_factory=dict)  # by first layer computed

    def answers(
        self,
        prompts: Sequence[Prompt],
        switched_off: Sequence[Sequence[Head]],
        told: Callable[[int], object] = lambda _: None,
    ) -> np.ndarray:
        """The answers to several prompts, in each variant.

        Args:
            prompts: from `prompts_of`.
            switched_off: as of `answers_without`.
            told: called with the number of answers that a pass has given.

        Returns:
            (variant, prompt, candidate) logits, float32; NaN for candidates that a puzzle lacks.

        Raises:
            InputError, UnsupportedModelError: as `answers_without`.
        """
        check_heads(self.lm.name, self.lm.geometry, switched_off)
        if self.replacements.kind == "knock-out":
            check_paths(self.lm.geometry, prompts, switched_off)
        budget = self.budget = self.budget or budget_for(self.lm)
        most = max((len(prompt.candidates) for prompt in prompts), default=2)
        answers = np.full((len(switched_off), len(prompts), most), np.nan, dtype=np.float32)
        variants = {number: off for number, off in enumerate(switched_off) if off}
        if len(variants) < len(switched_off):
            self._answer_whole(prompts, [one for one, off in enumerate(switched_off) if not off],
                               answers)  # fmt: skip
        left = list(range(len(prompts))) if variants else []
        while left:
            for laid in laid_out(self.lm, prompts, budget, left):
                try:
                    self._answer_batch(laid, prompts, variants, answers, told)
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                    if not budget.halve(laid.groups):
                        raise UnsupportedModelError(
                            f"{self.lm.name}: one puzzle by itself does not fit into memory on "
                            f"{self.lm.device}; use --dtype bfloat16, or a shorter context"
                        ) from error
                    break
                done = {number for numbers in laid.numbers for number in numbers}
                left = [number for number in left if number not in done]
        return answers

    def _answer_whole(
        self, prompts: Sequence[Prompt], variants: list[int], answers: np.ndarray
    ) -> None:
        """Fill in the variants in which no head is off: what scoring gives."""
        rope = self.lm.geometry.ropes[-1]
        scored = score_prompts(self.lm, prompts, rope=rope, max_batch_tokens=self.budget)
        for number, scores in enumerate(scored):
            answers[variants, number, : len(scores.logits)] = scores.logits

    def _answer_batch(
        self,
        laid: Laid,
        prompts: Sequence[Prompt],
        variants: dict[int, Sequence[Head]],
        answers: np.ndarray,
        told: Callable[[int], object],
    ) -> None:
        """Fill in a batch's answers in all variants."""
        by_start: dict[int, list[int]] = {}
        for number, off in variants.items():
            by_start.setdefault(min(layer for layer, _ in off), []).append(number)
        kept = self._kept(laid, list(by_start))
        drawn = drawn_at(laid) if self.replacements.kind == "resample" else None
        for start, numbers in by_start.items():
            pairs = [(number, row) for number in numbers for row in range(len(laid.groups))]
            for some in self._passes(pairs, laid.rows.tokens.shape[1]):
                some_off = [variants[number] for number, _ in some]
                of_row = torch.tensor([row for _, row in some])
                logits = self._pass(laid, some_off, of_row, drawn, start, kept)
                for (number, row), found in zip(some, logits, strict=True):
                    for place, at in enumerate(laid.numbers[row]):
                        own = found[place, list(prompts[at].answer_tokens)].float().cpu()
                        if not torch.isfinite(own).all():
                            raise UnsupportedModelError(_not_finite(self.lm, prompts[at]))
                        answers[number, at, : len(own)] = own.numpy()
                told(sum(len(laid.numbers[row]) for _, row in some))

    def _passes(
        self, pairs: list[tuple[int, int]], n_tokens: int
    ) -> Iterator[list[tuple[int, int]]]:
        """(variant, row) pairs, as many at a time as the budget allows."""
        budget = self.budget or budget_for(self.lm)
        n = max(1, budget.max_tokens // n_tokens)
        return (pairs[start : start + n] for start in range(0, len(pairs), n))

    def _pass(
        self,
        laid: Laid,
        off: list[Sequence[Head]],
        of_row: Tensor,
        drawn: Tensor | None,
        start: int,
        kept: Kept,
    ) -> Tensor:
        """(row, statement, vocabulary) logits of rows in which these heads are off."""
        model, geometry = self.lm.model, self.lm.geometry
        rows = laid.rows.taken(of_row)
        switching = Switching(
            off=off,
            replacements=self.replacements,
            key_at=rows.key_at,
            logits_at=rows.logits_at,
            n_statements=[len(laid.groups[row]) for row in of_row.tolist()],
            drawn_at=None if drawn is None else drawn[of_row],
        )
        with changing(switching):
            if start - 1 in kept:
                with replaying(model, geometry.n_layers, start, kept[start - 1], of_row):
                    logits = logits_of(model, geometry, rows)
            else:
                logits = logits_of(model, geometry, rows)
        switching.check_all_came()
        return logits

    def _kept(self, laid: Laid, starts: list[int]) -> Kept:
        """What the layers before these gave to a batch, of those that can be replayed."""
        model, geometry = self.lm.model, self.lm.geometry
        wanted = [one for one in starts if one > 0 and self.is_replayed.get(one, True)]
        if not wanted:
            return {}
        nobody = [()] * len(laid.groups)
        rows = laid.rows
        unchanged = Switching(nobody, NOTHING, rows.key_at, rows.logits_at, [])
        with changing(unchanged):
            with keeping(model, geometry.n_layers, [one - 1 for one in wanted]) as kept:
                logits = logits_of(model, geometry, rows)
            for one in wanted:
                if one not in self.is_replayed:
                    self.is_replayed[one] = can_replay(model, geometry, rows, one, kept, logits)
        return {one - 1: kept[one - 1] for one in wanted if self.is_replayed[one]}


def check_heads(name: str, geometry: Geometry, switched_off: Sequence[Sequence[Head]]) -> None:
    """Refuse heads that the model of this name has not.

    Raises:
        InputError: naming the first.
    """
    for layer, head in (one for off in switched_off for one in off):
        if layer not in geometry.head_layers or not 0 <= head < geometry.n_heads:
            layers = (
                f"layers {', '.join(map(str, geometry.head_layers))}"
                if geometry.has_absent_layers
                else f"layers 0 to {geometry.n_layers - 1}"
            )
            raise InputError(
                f"{name} has no head {head_name(layer, head)}; it has heads 0 to "
                f"{geometry.n_heads - 1} in {layers}"
            )


def check_paths(
    geometry: Geometry, prompts: Sequence[Prompt], switched_off: Sequence[Sequence[Head]]
) -> None:
    """Refuse to cut a path that a window or a chunk has cut already, or one of several.

    Raises:
        InputError: naming the first puzzle that has none.
    """
    kinds = geometry.layer_kinds
    layers = sorted({layer for off in switched_off for layer, _ in off})
    for prompt in prompts:
        if prompt.option_ends:
            raise InputError(
                f"puzzle {prompt.puzzle.puzzle_id!r} lists its options, so the cue has a path to "
                "each of them and not one to the statement's end; use kind 'mean'"
            )
        answer_at = len(prompt.tokens) - 1 + prompt.n_shared
        for layer in layers:
            kind = "sliding_attention" if kinds is None else kinds[layer]
            is_far = kind == "sliding_attention" and geometry.window is not None and (
                answer_at - prompt.key_at >= geometry.window
            )  # fmt: skip
            is_other = kind == "chunked_attention" and geometry.chunk is not None and (
                answer_at // geometry.chunk != prompt.key_at // geometry.chunk
            )  # fmt: skip
            if is_far or is_other:
                raise InputError(
                    f"puzzle {prompt.puzzle.puzzle_id!r}: layer {layer} does not look back from "
                    "the cue to the statement's end, so there is no path to cut; use kind "
                    "'mean', or heads of other layers"
                )


def _not_finite(lm: CausalLM, prompt: Prompt) -> str:
    return (
        f"{lm.name} in {lm.dtype}: with heads switched off, puzzle {prompt.puzzle.puzzle_id!r} "
        "gives logits that are not finite numbers; try another dtype"
    )
