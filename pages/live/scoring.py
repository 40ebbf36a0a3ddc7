"""From a puzzle that was asked to its result: the desk, its work, and waiting before the screen.

Everything that needs torch is imported in the worker, so that opening a page of results loads none
of it.
"""

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.live.desk import Busy, Desk, Job
from pages.live.typed import model_path, sentence
from pages.server.failures import LOG, without_words
from pages.server.settings import settings
from pages.server.turns import out_of_turn
from qkcore import InputError
from qkcore.asking.links import Shared
from qkcore.asking.templates import PromptError, template_named
from qkcore.attention.memory import memory_needed, parameter_bytes, size_text
from qkcore.bundled import REAL_MODEL
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import KINDS, Variant, variants
from qkcore.results.scores import Scores
from qkcore.wording import escaped

if TYPE_CHECKING:
    from qkcore.asking.prompts import Prompt
    from qkcore.attention.load import CausalLM
    from qkcore.scoring.alignment import Alignment

QUICK = 2.5  # seconds to wait for a result before the page shows where it stands in line
LOOK_UP = 10  # seconds for asking Hugging Face how large a model is
DRAWS = (4, 2, 1)  # as many as the limit on variants allows
Found = TypeVar("Found")  # what some work gives


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One puzzle's scores and alignment, and whose they are."""

    scores: Scores
    alignment: "Alignment"
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


@st.cache_resource(max_entries=1, show_spinner=False)
def desk() -> Desk:
    """The one desk of this server."""
    return Desk(_load, report=lambda error: LOG.error("Scoring failed.\n%s", without_words(error)))


def _load(model: tuple[str, str | None], say: Callable[[str], None]) -> "CausalLM":
    """The model of a name, in as many bits as are asked, in the worker."""
    name, quantize = model
    needed = memory_needed(model_path(name), quantize) or _memory_by_hub(name, quantize, say)
    if needed:
        if needed > (there := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")):
            raise InputError(
                f"{name} needs about {size_text(needed)} of memory, this machine has "
                f"{size_text(there)}; name a smaller model"
            )
        say(f"loading the model, which needs about {size_text(needed)} of memory")
    from transformers.utils import logging

    from qkcore.attention.load import load_model

    logging.disable_progress_bar()
    if name == REAL_MODEL or name.lower().endswith(".gguf"):
        say("loading the model (a GGUF file is converted the first time, which takes a minute)")
    cache = settings().cache
    return load_model(model_path(name), cache=Path(cache) if cache else None, quantize=quantize)


def _memory_by_hub(name: str, quantize: str | None, say: Callable[[str], None]) -> int | None:
    """What Hugging Face says of a model's size, if it is one of theirs and can be reached."""
    if Path(name).is_dir() or name == REAL_MODEL or name.lower().endswith(".gguf"):
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    say("asking Hugging Face how large the model is")
    try:
        found = HfApi().model_info(name, timeout=LOOK_UP).safetensors
    except (HfHubHTTPError, HFValidationError, OSError, ValueError, RuntimeError):
        return None  # loading says what is wrong
    return int(parameter_bytes(quantize) * found.total) if found else None


def score(shared: Shared) -> Result | None:
    """The result of a puzzle; None while it is waited for, or where there is none.

    The page says which.
    """
    limit = settings().max_tokens

    def work(lm: "CausalLM") -> Result:
        from qkcore.scoring.alignment import align_prompt
        from qkcore.scoring.score import prompts_of, score_prompts

        template = template_named(shared.template)
        (prompt,) = prompts_of(lm, [shared.puzzle], template, limit)
        (scores,) = score_prompts(lm, [prompt], rope=shared.rope)
        alignment = align_prompt(lm, prompt, rope=shared.rope)
        said = lm.name, lm.revision, lm.dtype, len(prompt.tokens), lm.geometry.n_layers
        return Result(scores, alignment, *said)

    return result_of("score", (*what_decides(shared), limit), shared.model, work)


def what_if(
    shared: Shared, kinds: tuple[str, ...]
) -> tuple[list[tuple[Variant, Scores]], list[str]] | None:
    """Scores of a puzzle's variants, and a sentence for each that could not be made or asked."""
    limit = settings().max_tokens
    made, notes = _variants(shared.puzzle, kinds, settings().max_variants)

    def work(lm: "CausalLM") -> tuple[list[tuple[Variant, Scores]], list[str]]:
        from qkcore.scoring.score import prompts_of, score_prompts

        template, said = template_named(shared.template), list(notes)
        fitting: list[Variant] = []
        prompts: list[Prompt] = []
        for variant in made:
            try:
                prompts += prompts_of(lm, [variant.puzzle], template, limit)
                fitting.append(variant)
            except PromptError as error:
                said.append(f"{variant.change}: {error}")
        scores = score_prompts(lm, prompts, rope=shared.rope)
        return list(zip(fitting, scores, strict=True)), said

    key = (*what_decides(shared), limit, kinds, len(made))
    return result_of("what if", key, shared.model, work)


def what_decides(shared: Shared) -> tuple[Puzzle, str, str | None, str, str]:
    """What decides the scores."""
    bits = settings().quantised(shared.model)
    return shared.puzzle, shared.model, bits, shared.rope, shared.template


def _variants(puzzle: Puzzle, kinds: tuple[str, ...], most: int) -> tuple[list[Variant], list[str]]:
    """As many draws as the limit allows."""
    for n_draws in DRAWS:
        made, notes = variants(puzzle, [kind for kind in KINDS if kind in kinds], n_draws=n_draws)
        if len(made) <= most:
            return made, notes
    left_out = f"Of {len(made)} changes the first {most} are shown; more are not scored here."
    return made[:most], [*notes, left_out]


def result_of(
    slot: str, asked: tuple[Hashable, ...], model: str, work: Callable[["CausalLM"], Found]
) -> Found | None:
    """The result of work, asked for once however often the page is drawn."""
    key = (slot, *asked)
    job = st.session_state.get(f"live job {slot}")
    if job is None or job.key != key:
        allowed, context = settings(), get_script_run_ctx()
        try:
            job = desk().submit(
                key,
                (model, allowed.quantised(model)),
                work,
                visitor=context.session_id if context else "",
                address=st.context.ip_address or "",
                seconds=allowed.max_seconds,
                max_waiting=allowed.max_waiting,
                per_minute=allowed.per_minute,
            )
        except Busy as busy:
            st.warning(str(busy))
            return None
        st.session_state[f"live job {slot}"] = job
    if not job.done.is_set():
        with st.spinner(_where(job)), out_of_turn():
            job.done.wait(QUICK)
    if not job.done.is_set():
        _watch(job)
        return None
    if job.error is not None:
        st.error(escaped(sentence(job.error)))
    result: Found | None = job.result
    return result


@st.fragment(run_every=1.0)
def _watch(job: Job) -> None:
    """Say where a job stands until it is done, and then draw the page."""
    st.info(_where(job))
    if job.done.is_set():
        st.rerun()


def _where(job: Job) -> str:
    ahead = desk().look(job)
    if ahead:
        who = "visitor is" if ahead == 1 else "visitors are"
        return f"{ahead} {who} before you; your puzzle is scored after theirs."
    since = "" if job.started is None else f" ({time.monotonic() - job.started:.0f} s)"
    return f"{job.stage[:1].upper()}{job.stage[1:]}{since} …"
