"""A loaded model and the puzzles that it is asked: what works on the shards of a scoring run.

Every engine has one of these a process, and all give the same bits: a shard's scores depend on the
model, the settings and the shard's own puzzles. Knows nothing of files or of other workers.
"""

import hashlib
import json
import re
import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from qkcore.asking.prompts import Prompt
from qkcore.asking.templates import Chat, Template, template_name
from qkcore.attention.load import CausalLM
from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.parts import PART_SIZE, Part
from qkcore.results.publish import Run, WorkedExample
from qkcore.results.scores import Scores
from qkcore.scoring.layer_reading import LayerReader, layer_reader
from qkcore.scoring.score import budget_for, prompts_of, score_prompts
from qkcore.scoring.worked_example import worked_example

# The version that last changed a number: part of a run's name, so that newer ones go on with it.
NUMBERS = "0.1.0"

States = dict[str, np.ndarray]  # (layer, dim) float32 by puzzle id, of puzzles that are probed


class Scorer:
    """Scores the shards of one run."""

    def __init__(
        self,
        lm: CausalLM,
        puzzles: Sequence[Puzzle],
        *,
        puzzle_set: str,
        rope: str = "pre",
        template: Template | None = None,
        max_batch_tokens: int | None = None,
        scores: str = "float32",
    ) -> None:
        self._lm, self._puzzles, self._rope, self._template = lm, puzzles, rope, template
        self.run = described(lm, puzzles, puzzle_set, rope, template, scores)
        # Shared by all shards: memory that ran out once is not tried again.
        self._budget = budget_for(lm, max_batch_tokens)
        self._reader: LayerReader | None = None

    @cached_property
    def prompts(self) -> list[Prompt]:
        """Of all puzzles, in order.

        Raises:
            PromptError: naming the first puzzle that cannot be asked.
        """
        return prompts_of(self._lm, self._puzzles, self._template)

    @property
    def tolerance(self) -> float:
        """What is rounding, as a share of the largest value."""
        return self._lm.check.tolerance

    def locate(self) -> int:
        """Know of every puzzle that it fits, before the first is scored; returns how many do."""
        return len(self.prompts)

    def read_layers(self) -> frozenset[str]:
        """From now on read after each layer too.

        Returns:
            The puzzles whose states are kept.

        Raises:
            UnsupportedModelError: saying why the model has no lens.
        """
        self._reader = layer_reader(self._lm, self._puzzles)
        return self._reader.probed

    def shard(self, index: int) -> tuple[Part, States]:
        """One shard's part, and the states of its puzzles that are probed."""
        start = time.monotonic()
        found = self._scored(self.prompts[index * PART_SIZE : (index + 1) * PART_SIZE])
        return part_of(found, time.monotonic() - start), _states(found)

    def states(self, puzzle_ids: frozenset[str]) -> States:
        """States of some puzzles, which are read for them."""
        again = [one for one in self.prompts if one.puzzle.puzzle_id in puzzle_ids]
        states: States = {}
        for start in range(0, len(again), PART_SIZE):
            states |= _states(self._scored(again[start : start + PART_SIZE]))
        return states

    def example(self, layer: int, head: int) -> WorkedExample:
        """The run's worked example of a head."""
        return worked_example(self._lm, self.prompts, layer, head, self._rope)

    def _scored(self, prompts: Sequence[Prompt]) -> list[Scores]:
        return list(
            score_prompts(
                self._lm,
                prompts,
                rope=self._rope,
                max_batch_tokens=self._budget,
                reader=self._reader,
            )
        )


def _states(scored: Sequence[Scores]) -> States:
    return {one.puzzle.puzzle_id: one.states for one in scored if one.states is not None}


def described(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    puzzle_set: str,
    rope: str,
    template: Template | None,
    scores: str,
) -> Run:
    """The run that these settings make, named by all that changes its numbers."""
    decisive = {
        "model_revision": lm.revision,
        "dtype": lm.dtype,
        "puzzle_set_sha256": puzzle_set_sha256(puzzles),
        "rope": rope,
        "template": template_name(template),
    }
    chat = None
    # A chat's words may lie in a file outside of the revision, or hold a date.
    if isinstance(template, Chat) and puzzles:
        text = template.prompt_text(lm.tokenizer, puzzles[0]).text
        chat = f"{lm.tokenizer.chat_template} {text}"
    return Run(
        run_id=run_id_of(decisive, lm.name, puzzle_set, scores, chat),
        model=lm.name,
        puzzle_set=puzzle_set,
        n_layers=lm.geometry.n_layers,
        n_heads=lm.geometry.n_heads,
        n_kv_heads=lm.geometry.n_kv_heads,
        scores=scores,
        head_layers=lm.geometry.head_layers if lm.geometry.has_absent_layers else None,
        **decisive,
    )


def run_id_of(
    decisive: dict[str, str], model: str, puzzle_set: str, scores: str, chat: str | None = None
) -> str:
    """The id of a run: a name to read, and a hash of all that changes its numbers.

    Args:
        decisive: model_revision, dtype, puzzle_set_sha256, rope and template of the run.
        model: its name.
        puzzle_set: its name.
        scores: as what they are kept.
        chat: template and first prompt, of a run that is asked as a chat.
    """
    names = {"model": model, "puzzle_set": puzzle_set, "version": NUMBERS, "part_size": PART_SIZE}
    if scores != "float32":
        names["scores"] = scores
    if chat is not None:
        names["chat"] = chat
    key = hashlib.sha256(json.dumps(decisive | names, sort_keys=True).encode()).hexdigest()[:8]
    words = f"{model} {puzzle_set} {decisive['rope']}"
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.").lower()
    return f"{slug[:80]}-{key}"


def part_of(scores: Sequence[Scores], seconds: float) -> Part:
    """Scores of puzzles as the arrays that a part holds; candidates that a puzzle lacks are NaN."""
    lenses = [one.lens for one in scores if one.lens is not None]
    return Part(
        tuple(one.puzzle.puzzle_id for one in scores),
        _filled([one.qk.reshape(-1, len(one.logits)) for one in scores]),
        _filled([one.logits[None] for one in scores])[:, 0],
        seconds,
        _filled(lenses) if len(lenses) == len(scores) else None,
    )


def _filled(found: Sequence[np.ndarray]) -> np.ndarray:
    """(puzzle, ..., candidate) float32 from (..., candidate) of each puzzle, filled up with NaN."""
    most = max(one.shape[1] for one in found)
    filled = np.full((len(found), len(found[0]), most), np.nan, dtype=np.float32)
    for row, one in zip(filled, found, strict=True):
        row[:, : one.shape[1]] = one
    return filled
