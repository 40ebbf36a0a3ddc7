"""What the desk can be asked to do: pieces of work that can be sent to another process.

Each holds what it needs, and is done with a model by `done_with`; torch is imported there only.
What comes back is plain NumPy, so that who asks loads none of it. Knows nothing of Streamlit.
"""

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from qkcore import InputError
from qkcore.asking.links import Shared
from qkcore.asking.templates import PromptError, template_named
from qkcore.attention.memory import memory_needed, parameter_bytes, size_text
from qkcore.bundled import REAL_MODEL
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.variants import Variant
from qkcore.results.aligned import Alignment
from qkcore.results.scores import Scores
from qkcore.statistics.control_heads import control_heads

if TYPE_CHECKING:
    from qkcore.asking.prompts import Prompt
    from qkcore.attention.load import CausalLM
    from qkcore.scoring.interventions import Interventions

LOOK_UP = 10  # seconds for asking Hugging Face how large a model is
N_OTHERS = 10  # heads of the same layer, drawn with a fixed seed; fewer where it has fewer
STEPS, N_EACH = (0, 1, 2, 3), 4  # of the puzzles whose mean takes a head's place
N_MEAN = len(STEPS) * N_EACH


Made = TypeVar("Made", covariant=True)


class Work(Protocol[Made]):
    """A piece of work on a model."""

    def done_with(self, lm: "CausalLM", beside: dict[Hashable, Any]) -> Made:
        """What comes of it.

        Args:
            lm: the model.
            beside: what earlier work has kept beside the model; gone when the model is.

        Raises:
            InputError: with a sentence for the visitor.
        """


@dataclass(frozen=True, slots=True)
class Model:
    """Which model is wanted, and how."""

    name: str  # as it is offered
    path: str  # a folder or file, or an id
    quantize: str | None = None  # "8bit" or "4bit"
    cache: Path | None = None  # where converted GGUF files lie; None: the usual place

    def loaded(self, say: Callable[[str], None]) -> "CausalLM":
        """The model in memory; `say` is told the stages.

        Raises:
            InputError: when it cannot be had, or would not fit.
        """
        needed = memory_needed(self.path, self.quantize) or self._memory_by_hub(say)
        if needed:
            if needed > (there := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")):
                raise InputError(
                    f"{self.name} needs about {size_text(needed)} of memory, this machine has "
                    f"{size_text(there)}; name a smaller model"
                )
            say(f"loading the model, which needs about {size_text(needed)} of memory")
        from transformers.utils import logging

        from qkcore.attention.load import load_model

        logging.disable_progress_bar()
        if self.name == REAL_MODEL or self.name.lower().endswith(".gguf"):
            say("loading the model (a GGUF file is converted the first time, which takes a minute)")
        return load_model(self.path, cache=self.cache, quantize=self.quantize)

    def _memory_by_hub(self, say: Callable[[str], None]) -> int | None:
        """What Hugging Face says of a model's size, if it is one of theirs and can be reached."""
        name = self.name
        if Path(self.path).is_dir() or name == REAL_MODEL or name.lower().endswith(".gguf"):
            return None
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        say("asking Hugging Face how large the model is")
        try:
            found = HfApi().model_info(name, timeout=LOOK_UP).safetensors
        except (HfHubHTTPError, HFValidationError, OSError, ValueError, RuntimeError):
            return None  # loading says what is wrong
        return int(parameter_bytes(self.quantize) * found.total) if found else None


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One puzzle's scores and alignment, and whose they are."""

    scores: Scores
    alignment: Alignment
    model: str
    revision: str
    dtype: str
    n_tokens: int
    n_layers: int  # of the model, with those that have no heads

    @property
    def absent(self) -> tuple[int, ...]:
        """Layers of the model that have no heads."""
        return tuple(sorted(set(range(self.n_layers)) - set(self.scores.layers)))

    @property
    def n_bytes(self) -> int:
        """What it takes to keep it."""
        return self.alignment.products.nbytes


@dataclass(frozen=True, slots=True)
class Score:
    """Score a puzzle, and align it; prompts of more than `limit` tokens are refused."""

    shared: Shared
    limit: int

    def done_with(self, lm: "CausalLM", beside: dict[Hashable, Any]) -> Result:
        """See `Work`."""
        from qkcore.scoring.alignment import align_prompt
        from qkcore.scoring.score import prompts_of, score_prompts

        template = template_named(self.shared.template)
        (prompt,) = prompts_of(lm, [self.shared.puzzle], template, self.limit)
        (scores,) = score_prompts(lm, [prompt], rope=self.shared.rope)
        alignment = align_prompt(lm, prompt, rope=self.shared.rope)
        said = lm.name, lm.revision, lm.dtype, len(prompt.tokens), lm.geometry.n_layers
        return Result(scores, alignment, *said)


@dataclass(frozen=True, slots=True)
class ScoreVariants:
    """Score a puzzle's variants; those that cannot be asked are told with the notes."""

    shared: Shared
    variants: tuple[Variant, ...]
    notes: tuple[str, ...]
    limit: int

    def done_with(
        self, lm: "CausalLM", beside: dict[Hashable, Any]
    ) -> tuple[list[tuple[Variant, Scores]], list[str]]:
        """See `Work`."""
        from qkcore.scoring.score import prompts_of, score_prompts

        template, said = template_named(self.shared.template), list(self.notes)
        fitting: list[Variant] = []
        prompts: list[Prompt] = []
        for variant in self.variants:
            try:
                prompts += prompts_of(lm, [variant.puzzle], template, self.limit)
                fitting.append(variant)
            except PromptError as error:
                said.append(f"{variant.change}: {error}")
        scores = score_prompts(lm, prompts, rope=self.shared.rope)
        return list(zip(fitting, scores, strict=True)), said


@dataclass(frozen=True, slots=True, eq=False)
class Without:
    """One puzzle's answers with heads switched off one at a time."""

    heads: tuple[tuple[int, int], ...]  # (layer, head): the one in view, then others of its layer
    logits: np.ndarray  # (1 + head, candidate) of the model as it is, then without each head
    style: str  # of the puzzles whose mean takes a head's place


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """Answer a puzzle without its head in view, and without others of its layer."""

    shared: Shared
    style: str  # of the generated puzzles whose mean takes a head's place
    limit: int

    def done_with(self, lm: "CausalLM", beside: dict[Hashable, Any]) -> Without:
        """See `Work`."""
        from qkcore.scoring.score import prompts_of

        template = template_named(self.shared.template)
        (prompt,) = prompts_of(lm, [self.shared.puzzle], template, self.limit)
        own = self.shared.layer, self.shared.head
        heads = (own, *_others(own, lm.geometry.n_heads))
        off = [(), *((head,) for head in heads)]
        logits = self._interventions(lm, beside).answers([prompt], off)[:, 0]
        return Without(heads, logits, self.style)

    def _interventions(self, lm: "CausalLM", beside: dict[Hashable, Any]) -> "Interventions":
        """The model with what takes the place of heads' outputs, read once while it is in memory.

        It also knows which of its layers can be handed on, and need not look again.
        """
        from qkcore.scoring.interventions import Interventions
        from qkcore.scoring.replacing import replacements_of

        candidates = self.shared.puzzle.candidates
        key: Hashable = ("off", self.style, self.shared.template, candidates)
        if key not in beside:
            made = generate_puzzles(STEPS, 1, N_EACH, seed=0, style=self.style)
            asked = [replace(one, candidates=candidates, answer=0) for one in made]
            template = template_named(self.shared.template)
            beside[key] = Interventions(lm, replacements_of(lm, asked, template=template))
        kept: Interventions = beside[key]
        return kept


def _others(head: tuple[int, int], n_heads: int) -> list[tuple[int, int]]:
    """Other heads of the same layer; none where it has no other."""
    try:
        return [one for (one,) in control_heads([head], n_heads, N_OTHERS)]
    except InputError:
        return []
