"""From a puzzle that was asked to its result: the desk, what its worker does, and waiting before
the screen.

Everything that needs torch is imported in the worker, so that opening a page of results loads none
of it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.live.desk import Busy, Desk, Job
from pages.live.typed import model_path, sentence
from pages.server.failures import LOG, without_words
from pages.server.settings import settings
from qkcore import InputError
from qkcore.asking.links import Shared
from qkcore.asking.templates import PromptError, template_named
from qkcore.attention.memory import memory_needed, size_text
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import KINDS, Variant, variants
from qkcore.results.one_puzzle import Scored
from qkcore.wording import escaped

QUICK = 2.5  # seconds to wait for a result before the page shows where it stands in line
LOOK_UP = 10  # seconds for asking Hugging Face how large a model is
DRAWS = (4, 2, 1)  # as many as the limit on variants allows


@dataclass(frozen=True, slots=True)
class Result:
    """One puzzle's scores and alignment, and whose they are."""

    scored: Scored
    alignment: Any  # qkcore.scoring.alignment.Alignment, which cannot be named here without torch
    model: str
    revision: str
    n_tokens: int
    key_token: str

    @property
    def n_bytes(self) -> int:
        """What it takes to keep it."""
        return self.alignment.products.nbytes


@st.cache_resource(max_entries=1, show_spinner=False)
def desk() -> Desk:
    """The one desk of this server."""
    return Desk(_load, report=lambda error: LOG.error("Scoring failed.\n%s", without_words(error)))


def _load(name: str, say: Callable[[str], None]) -> Any:
    """The model of a name, in the worker."""
    needed = memory_needed(model_path(name)) or _memory_by_hub(name, say)
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
    return load_model(model_path(name))


def _memory_by_hub(name: str, say: Callable[[str], None]) -> int | None:
    """What Hugging Face says of a model's size, if it is one of theirs and can be reached."""
    if Path(name).is_dir():
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    say("asking Hugging Face how large the model is")
    try:
        found = HfApi().model_info(name, timeout=LOOK_UP).safetensors
    except (HfHubHTTPError, HFValidationError, OSError, ValueError, RuntimeError):
        return None  # loading says what is wrong
    return 4 * found.total if found else None


def score(asked: Shared) -> Result | None:
    """The result of a puzzle; None while it is waited for, or when there is none (the page says
    so).
    """
    limit = settings().max_tokens

    def work(lm) -> Result:
        from qkcore.scoring.alignment import align
        from qkcore.scoring.score import prompts_of, score_puzzle

        template = template_named(asked.template)
        prompt = prompts_of(lm, [asked.puzzle], template)[0]
        _check_length(prompt, limit)
        scores = score_puzzle(lm, asked.puzzle, rope=asked.rope, template=template)
        alignment = align(lm, asked.puzzle, rope=asked.rope, template=template)
        key_token = lm.tokenizer.decode([prompt.tokens[prompt.key_at]])
        return Result(
            _plain(scores), alignment, lm.name, lm.revision, len(prompt.tokens), key_token
        )

    key = ("score", asked.puzzle, asked.model, asked.rope, asked.template, limit)
    return _result_of("score", key, asked.model, work)


def what_if(
    asked: Shared, kinds: tuple[str, ...]
) -> tuple[list[tuple[Variant, Scored]], list[str]] | None:
    """Scores of a puzzle's variants, and a sentence for each that could not be made or asked."""
    limit = settings().max_tokens
    made, notes = _variants(asked.puzzle, kinds, settings().max_variants)

    def work(lm) -> tuple[list[tuple[Variant, Scored]], list[str]]:
        from qkcore.scoring.score import prompts_of, score_puzzles

        template, fitting, said = template_named(asked.template), [], list(notes)
        for variant in made:
            try:
                _check_length(prompts_of(lm, [variant.puzzle], template)[0], limit)
                fitting.append(variant)
            except PromptError as error:
                said.append(f"{variant.change}: {error}")
        puzzles = [variant.puzzle for variant in fitting]
        scores = score_puzzles(lm, puzzles, rope=asked.rope, template=template)
        return list(zip(fitting, map(_plain, scores), strict=True)), said

    key = (
        "what if",
        asked.puzzle,
        asked.model,
        asked.rope,
        asked.template,
        limit,
        kinds,
        len(made),
    )
    return _result_of("what if", key, asked.model, work)


def _variants(puzzle: Puzzle, kinds: tuple[str, ...], most: int) -> tuple[list[Variant], list[str]]:
    """As many draws as the limit allows."""
    for n_draws in DRAWS:
        made, notes = variants(puzzle, [kind for kind in KINDS if kind in kinds], n_draws=n_draws)
        if len(made) <= most:
            return made, notes
    left_out = f"Of {len(made)} changes the first {most} are shown; more are not scored here."
    return made[:most], [*notes, left_out]


def _check_length(prompt, limit: int) -> None:
    if prompt.n_positions > limit:
        raise PromptError(
            f"puzzle {prompt.puzzle_id!r} is {prompt.n_positions - limit:,} tokens too long: it "
            f"has {prompt.n_positions:,}, at most {limit:,} are scored here; shorten it"
        )


def _plain(scores) -> Scored:
    """Without tensors, so that a session can keep it."""
    return Scored(scores.puzzle, scores.qk.numpy(), scores.logits.numpy())


def _result_of(slot: str, key: tuple, model: str, work: Callable[[Any], Any]) -> Any:
    """The result of work, asked for once however often the page is drawn."""
    job = st.session_state.get(f"live job {slot}")
    if job is None or job.key != key:
        allowed, context = settings(), get_script_run_ctx()
        try:
            job = desk().ask(
                key,
                model,
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
        with st.spinner(_where(job)):
            job.done.wait(QUICK)
    if not job.done.is_set():
        _watch(job)
        return None
    if job.error is not None:
        st.error(escaped(sentence(job.error)))
    return job.result


@st.fragment(run_every=1.0)
def _watch(job: Job) -> None:
    """Say where a job stands until it is done, and then draw the page."""
    st.info(_where(job))
    if job.done.is_set():
        st.rerun()


def _where(job: Job) -> str:
    ahead = desk().look(job)
    if ahead:
        return f"{ahead} {'visitor is' if ahead == 1 else 'visitors are'} before you; your puzzle is scored after theirs."
    since = "" if job.started is None else f" ({time.monotonic() - job.started:.0f} s)"
    return f"{job.stage[:1].upper()}{job.stage[1:]}{since} …"
