"""The puzzle as it is typed, and the puzzle that was asked: what is asked changes only when somebody says so.

What is typed lives in widgets, what was asked in `st.session_state[ASKED]`, as a `Shared`, which is what a link holds.
"""

import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.frame.settings import ROOT, settings
from pages.live.panels.examples import EXAMPLES
from qkcore import InputError
from qkcore.generate import MAX_DISTRACTORS, MAX_STEPS, STYLES, generate_puzzles
from qkcore.known_words import unknown_words
from qkcore.links import MAX_CANDIDATES, LinkError, Shared, decode
from qkcore.model_size import memory_needed, size_text
from qkcore.puzzles import Puzzle
from qkcore.templates import DEFAULT
from qkcore.what_if import truth
from qkcore.wording import escaped

ASKED, PROBLEM, OPENED, JOB = "live asked", "live problem", "live opened", "live job score"
LAYER, HEAD = "live layer", "live head"  # the head in view where no run of the model is in the sidebar
PAIRS = {"true or false": ("true", "false"), "yes or no": ("yes", "no")}
OWN = "my own"
WORKED_OUT, NOT_KNOWN = "worked out from the context", "not known"
AS_THE_RUN = "as the run"  # the reading, or the template, of the run in the sidebar
READINGS = {AS_THE_RUN: None, "before rotary": "pre", "after rotary": "post"}
OTHER_MODEL = "another model"
KEPT = {"persist_state": "session"}


def open_link() -> None:
    """Take over the puzzle that the address names, once; or begin with the first example."""
    text = st.query_params.get("puzzle")
    if text and text != st.session_state.get(OPENED):
        st.session_state[OPENED] = text
        try:
            _fill(decode(text))
        except LinkError as error:
            _fill(next(iter(EXAMPLES.values())))
            st.session_state[PROBLEM] = f"This link cannot be opened: {error}. Below is an example instead."
    if ASKED not in st.session_state:
        _fill(next(iter(EXAMPLES.values())))


def show_examples() -> None:
    """The gallery, and new random puzzles."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.selectbox(
        "Example", EXAMPLES, index=None, placeholder="Choose an example", key="live example", on_change=_take_example
    )
    with right.popover("New random puzzle", width="stretch"):
        st.slider("Steps (rules to apply)", 0, MAX_STEPS, 2, key="live steps")
        st.slider("Distractors", 0, MAX_DISTRACTORS, 1, key="live distractors")
        st.selectbox("Words", STYLES, key="live style")
        st.button("Draw a puzzle", on_click=_take_random, type="primary")


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
    st.button("Score this puzzle", type="primary", on_click=_ask, key="live score")
    asked, typed = st.session_state.get(ASKED), _typed_or_none()
    if asked is not None and typed != asked:
        st.caption("What you have typed differs from the puzzle below; press the button to score it.")


def _show_model() -> None:
    """Which model, what it needs, and how its queries and keys are read."""
    allowed = settings()
    offered = [*allowed.models] if allowed.hosted else [*allowed.models, OTHER_MODEL]
    if st.session_state.get("live model") not in offered:
        st.session_state["live model"] = offered[0]
    with st.expander("Model and reading"):
        left, right = st.columns(2)
        left.selectbox("Model", offered, key="live model", **KEPT)
        right.selectbox(
            "Queries and keys",
            READINGS,
            key="live reading",
            help="Before or after rotary position embedding. A run has settled on one; numbers compare within it only.",
            **KEPT,
        )
        if st.session_state["live model"] == OTHER_MODEL:
            left.text_input("Folder or Hugging Face id", key="live other model", **KEPT)
        needed = memory_needed(typed_model())
        st.caption(
            f"It needs about {size_text(needed)} of memory; one model is in memory at a time."
            if needed
            else "How much memory it needs is looked up when it is loaded; one model is in memory at a time."
        )


def asked_now() -> Shared | None:
    """The puzzle to score, read as the run in the sidebar reads where nothing else was picked."""
    asked = st.session_state.get(ASKED)
    if asked is None:
        return None
    run = run_of(asked.model)
    rope, template = ("pre", DEFAULT) if run is None else (run["rope"], run["template"])
    return replace(
        asked,
        rope=rope if asked.rope == AS_THE_RUN else asked.rope,
        template=template if asked.template == AS_THE_RUN else asked.template,
    )


def run_of(model: str) -> pd.Series | None:
    """The run in the sidebar, if it is of a model of this name; its revision is compared once the model is loaded."""
    it = st.session_state.get("chosen")
    return it.run if it is not None and it.run["model"] in (model, Path(model).name) else None


def show_unknown_words(asked: Shared) -> None:
    """Which words the model has never seen."""
    words = unknown_words(model_path(asked.model), " ".join((asked.context, asked.statement, *asked.candidates)))
    if not words:
        return
    named = [word if not near else f"{word} (near: {', '.join(near)})" for word, near in list(words.items())[:40]]
    more = f" and {len(words) - 40} more" if len(words) > 40 else ""
    st.warning(
        f"The model has never seen {'this word' if len(words) == 1 else 'these words'}, so its answer says little: "
        + escaped("; ".join(named))
        + more
    )


def model_path(model: str) -> str:
    """A folder of the project by its full path; any other name as it is.

    Raises:
        InputError: for a model that is not offered. A select box does not keep a visitor from sending another name.
    """
    if not settings().offers(model):
        raise InputError(f"The model {model} is not offered here; choose another one.")
    return str(ROOT / model) if not Path(model).is_absolute() and (ROOT / model).is_dir() else model


def typed_candidates() -> tuple[str, ...]:
    """The candidates as they are typed, empty lines left out."""
    pair = st.session_state.get("live pair", next(iter(PAIRS)))
    if pair in PAIRS:
        return PAIRS[pair]
    return tuple(line.strip() for line in st.session_state.get("live own", "").splitlines() if line.strip())


def typed_model() -> str:
    """The model that is picked or typed."""
    model = st.session_state.get("live model", settings().models[0])
    return st.session_state.get("live other model", "").strip() if model == OTHER_MODEL else model


def typed() -> Shared:
    """What is typed, checked.

    Raises:
        InputError: saying which field cannot be used.
    """
    context, statement = (st.session_state.get(f"live {name}", "").strip() for name in ("context", "statement"))
    candidates = typed_candidates()
    n_characters, allowed = len(context) + len(statement) + sum(map(len, candidates)), settings().max_characters
    if n_characters > allowed:
        raise InputError(f"The puzzle has {n_characters:,} characters; at most {allowed:,} are scored. Shorten it.")
    for name, text, what in (("context", context, "one premise"), ("statement", statement, "what is to be judged")):
        if not text:
            raise InputError(f"The {name} is empty; type at least {what}.")
    if not 2 <= len(candidates) <= MAX_CANDIDATES:
        raise InputError(f"There are {len(candidates)} candidates; type 2 to {MAX_CANDIDATES} of them, one a line.")
    if not typed_model():
        raise InputError("No model is named; type a folder or a Hugging Face id.")
    model_path(typed_model())  # raises for one that is not offered
    choice = st.session_state.get("live answer", WORKED_OUT)
    answer = candidates.index(choice) if choice in candidates else None
    if choice == WORKED_OUT:
        answer = truth(context, statement, candidates).answer
    shared = Shared(
        context,
        statement,
        candidates,
        answer,
        typed_model(),
        rope=READINGS[st.session_state.get("live reading", AS_THE_RUN)] or AS_THE_RUN,
        template=st.session_state.get("live template", AS_THE_RUN),
    )
    _ = shared.puzzle  # raises for what no puzzle can be
    return shared


def _typed_or_none() -> Shared | None:
    try:
        return typed()
    except InputError:
        return None


def _ask() -> None:
    """The button: what is typed becomes what is asked."""
    st.session_state.pop(JOB, None)  # what failed may be tried again
    try:
        st.session_state[ASKED] = typed()
        st.session_state[PROBLEM] = None
    except InputError as error:
        st.session_state[PROBLEM] = sentence(error)


def sentence(error: Exception | str) -> str:
    """A refusal as the page says it: the puzzle needs no name there."""
    text = str(error).removeprefix("puzzle 'typed': ").removeprefix("puzzle 'typed' ")
    return text[:1].upper() + text[1:]


def _take_example() -> None:
    if (name := st.session_state["live example"]) is not None:
        _fill(EXAMPLES[name])


def _take_random() -> None:
    steps, distractors = st.session_state["live steps"], st.session_state["live distractors"]
    seed = random.SystemRandom().randrange(2**31)
    made = generate_puzzles(steps, distractors, 8, seed, st.session_state["live style"])
    _fill(_shared(random.Random(seed).choice(made)))


def _shared(puzzle: Puzzle) -> Shared:
    return Shared(puzzle.context, puzzle.statement, puzzle.candidates, puzzle.answer, model="", rope="", template="")


def _fill(given: Shared) -> None:
    """Put a puzzle into the fields, and ask it; an example leaves model and reading as they are."""
    state = st.session_state
    state["live context"], state["live statement"] = given.context, given.statement
    pair = next((name for name, pair in PAIRS.items() if pair == given.candidates), OWN)
    state["live pair"], state["live own"] = pair, "\n".join(given.candidates)
    found = truth(given.context, given.statement, given.candidates).answer
    known = NOT_KNOWN if given.answer is None else given.candidates[given.answer]
    state["live answer"] = WORKED_OUT if found == given.answer else known
    state["live template"] = given.template or AS_THE_RUN
    state[LAYER], state[HEAD] = given.layer, given.head
    state[ASKED] = None
    if given.rope:
        state["live reading"] = next(name for name, rope in READINGS.items() if rope == given.rope)
    if given.model and given.model not in settings().models:
        state[PROBLEM] = _take_other_model(given.model)
    else:
        state["live model"] = given.model or state.get("live model", settings().models[0])
        _ask()


def _take_other_model(model: str) -> str:
    """A link may name any model; whether to load it is for the visitor to say, and in a hosted demo for its host."""
    if settings().hosted:
        return f"The model {model} that this link names is not offered here; press the button to ask another one."
    st.session_state["live model"], st.session_state["live other model"] = OTHER_MODEL, model
    return f"This link names the model {model}. Press the button to load it, if that is what you want."
