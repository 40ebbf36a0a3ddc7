"""From a puzzle that was asked to its result: the desk, its work, and waiting before the screen.

Nothing here needs torch: models are in a process of their own.
"""

import os
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.live.desk import Busy, Desk, Job
from pages.live.process import ScoringProcess, WorkFailed
from pages.live.typed import model_path, sentence
from pages.live.work import Model, Result, Score, ScoreVariants, Work
from pages.server.settings import settings
from pages.server.traces import LOG, without_words
from pages.server.turns import out_of_turn
from qkcore.asking.links import Shared
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import KINDS, Variant, variants
from qkcore.results.scores import Scores
from qkcore.wording import escaped

QUICK = 2.5  # seconds to wait for a result before the page shows where it stands in line
DRAWS = (4, 2, 1)  # as many as the limit on variants allows
Found = TypeVar("Found")  # what some work gives


@st.cache_resource(max_entries=1, show_spinner=False)
def desk() -> Desk:
    """The one desk of this server.

    In a hosted demo a scoring leaves a core to those who draw pages.
    """
    cores = os.cpu_count() or 2
    process = ScoringProcess(threads=max(1, cores - 1) if settings().hosted else None)

    def load(model: tuple[str, str | None], say: Callable[[str], None]) -> ScoringProcess:
        name, quantize = model
        cache = settings().cache
        path = model_path(name)
        return process.load(Model(name, path, quantize, Path(cache) if cache else None), say)

    return Desk(load, report=_log, give_up=process.stop)


def _log(error: Exception) -> None:
    trace = error.trace if isinstance(error, WorkFailed) else without_words(error)
    LOG.error("Scoring failed.\n%s", trace)


def score(shared: Shared) -> Result | None:
    """The result of a puzzle; None while it is waited for, or where there is none.

    The page says which.
    """
    limit = settings().max_tokens
    key = (*what_decides(shared), limit)
    return result_of("score", key, shared.model, Score(shared, limit))


def what_if(
    shared: Shared, kinds: tuple[str, ...]
) -> tuple[list[tuple[Variant, Scores]], list[str]] | None:
    """Scores of a puzzle's variants, and a sentence for each that could not be made or asked."""
    limit = settings().max_tokens
    made, notes = _variants(shared.puzzle, kinds, settings().max_variants)
    key = (*what_decides(shared), limit, kinds, len(made))
    work = ScoreVariants(shared, tuple(made), tuple(notes), limit)
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
    slot: str, asked: tuple[Hashable, ...], model: str, work: Work[Found]
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
                lambda process: process.do(work),
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


def be_ready() -> None:
    """Have the first model that is offered loaded before anybody asks.

    Pages say what is wrong with it.
    """
    allowed = settings()
    model = allowed.offered[0]
    desk().submit("ready", (model, allowed.quantised(model)), lambda process: None, visitor="")
