"""A loaded model that answers with heads switched off: what works on the shards of an ablation.

Every engine has one of these a process, as `scorer` has it for scores, and all give the same bits.
Which heads are switched off, and who says so, it is told (`Plan`). Knows nothing of files, stores
or other workers.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qkcore import InputError
from qkcore.asking.prompts import Prompt
from qkcore.asking.templates import Template, template_name
from qkcore.attention.geometry import Geometry
from qkcore.attention.load import CausalLM
from qkcore.attention.switching import Head
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import PART_SIZE, Part
from qkcore.scoring.interventions import Interventions, check_heads, check_paths
from qkcore.scoring.replacing import check_kind, replacements_of
from qkcore.scoring.score import budget_for, prompts_of
from qkcore.scoring.scorer import States


@dataclass(frozen=True, slots=True)
class AskedModel:
    """What is known of a model by who has it loaded; plain values, so that it travels."""

    name: str
    revision: str
    dtype: str
    template: str  # how it is asked, as runs name it
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be answered."""

    kind: str  # what takes the place of a head's output
    places: tuple[int, ...]  # of the puzzles that are asked
    off: tuple[tuple[Head, ...], ...]  # heads that are off together, each set by itself


class Answerer:
    """Answers the shards of one plan."""

    def __init__(
        self,
        lm: CausalLM,
        puzzles: Sequence[Puzzle],
        *,
        template: Template | None = None,
        max_batch_tokens: int | None = None,
    ) -> None:
        self._lm, self._puzzles, self._template = lm, puzzles, template
        self._max_batch_tokens = max_batch_tokens
        # How reading follows projections is no plain value, and nobody elsewhere asks.
        geometry = replace(lm.geometry, projections=())
        self.model = AskedModel(lm.name, lm.revision, lm.dtype, template_name(template), geometry)
        self.told: Callable[[int], object] = lambda _: None  # how many more answers there are
        self._plan: Plan | None = None
        self._prompts: list[Prompt] = []
        self._asked: Interventions | None = None

    def accept(self, plan: Plan) -> int:
        """Know of a plan that it can be carried out, before the first shard.

        Returns:
            How many puzzles are asked.

        Raises:
            InputError, PromptError: saying what cannot be asked, or switched off.
        """
        check_kind(plan.kind, self._validation)
        prompts = prompts_of(self._lm, [self._puzzles[at] for at in plan.places], self._template)
        check_heads(self._lm.name, self._lm.geometry, plan.off)
        if plan.kind == "knock-out":
            check_paths(self._lm.geometry, prompts, plan.off)
        self._plan, self._prompts, self._asked = plan, prompts, None
        return len(prompts)

    def shard(self, index: int) -> tuple[Part, States]:
        """One shard's part: one of scores, with a set of heads where that has a head."""
        if self._plan is None:
            raise InputError("no plan was accepted, so there is nothing to answer")
        start = time.monotonic()
        prompts = self._prompts[index * PART_SIZE : (index + 1) * PART_SIZE]
        answers = self._interventions(self._plan).answers(prompts, self._plan.off, self.told)
        ids = tuple(prompt.puzzle.puzzle_id for prompt in prompts)
        return Part(ids, answers.swapaxes(0, 1), answers[0], time.monotonic() - start), {}

    @property
    def _validation(self) -> list[Puzzle]:
        return [puzzle for puzzle in self._puzzles if puzzle.split == "validation"]

    def _interventions(self, plan: Plan) -> Interventions:
        """The model and what takes the place of its heads' outputs, read once for all shards."""
        if self._asked is None:
            layers = {layer for off in plan.off for layer, _ in off}
            changed = replacements_of(
                self._lm, self._validation, plan.kind, template=self._template, layers=layers
            )
            self._asked = Interventions(
                self._lm, changed, budget_for(self._lm, self._max_batch_tokens)
            )
        return self._asked
