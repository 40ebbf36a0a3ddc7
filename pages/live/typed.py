"""The puzzle as it is typed, and the puzzle that was asked: what is asked changes only when
somebody says so.

What is typed lives in widgets (asking.py), what was asked in `st.session_state[ASKED]`, as a
`Shared`, which is what a link holds.
"""

import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.live.examples import EXAMPLES
from pages.server.settings import ROOT, settings
from qkcore import InputError
from qkcore.asking.links import MAX_CANDIDATES, LinkError, Shared, decode
from qkcore.asking.templates import DEFAULT
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import truth

ASKED, PROBLEM, OPENED, JOB = "live asked", "live problem", "live opened", "live job score"
LAYER, HEAD = (
    "live layer",
    "live head",
)  # the head in view where no run of the model is in the sidebar
PAIRS = {"true or false": ("true", "false"), "yes or no": ("yes", "no")}
OWN = "my own"
WORKED_OUT, NOT_KNOWN = "worked out from the context", "not known"
AS_THE_RUN = "as the run"  # the reading, or the template, of the run in the sidebar
READINGS = {AS_THE_RUN: None, "before rotary": "pre", "after rotary": "post"}
NAMED = {rope: name for name, rope in READINGS.items()}
OTHER_MODEL = "another model"


def open_link() -> None:
    """Take over the puzzle that the address names, once; or begin with the first example."""
    text = st.query_params.get("puzzle")
    if text and text != st.session_state.get(OPENED):
        st.session_state[OPENED] = text
        try:
            _fill(decode(text))
        except LinkError as error:
            _fill(next(iter(EXAMPLES.values())))
            st.session_state[PROBLEM] = (
                f"This link cannot be opened: {error}. Below is an example instead."
            )
    if ASKED not in st.session_state:
        _fill(next(iter(EXAMPLES.values())))


def keep_in_address(text: str) -> str:
    """Have the address name the puzzle on show, so that it can be copied, reloaded and gone back
    to.
    """
    if st.query_params.get("puzzle") != text:
        st.session_state[OPENED] = st.query_params["puzzle"] = text
    return text


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
    """The run in the sidebar, if it is of a model of this name; its revision is compared once the
    model is loaded.
    """
    it = st.session_state.get("chosen")
    return it.run if it is not None and it.run["model"] in (model, Path(model).name) else None


def model_path(model: str) -> str:
    """A folder of the project by its full path; any other name as it is.

    Raises:
        InputError: for a model that is not offered. A select box does not keep a visitor from
            sending another name.
    """
    if not settings().offers(model):
        raise InputError(f"The model {model} is not offered here; choose another one.")
    return str(ROOT / model) if not Path(model).is_absolute() and (ROOT / model).is_dir() else model


def typed_candidates() -> tuple[str, ...]:
    """The candidates as they are typed, empty lines left out."""
    pair = st.session_state.get("live pair", next(iter(PAIRS)))
    if pair in PAIRS:
        return PAIRS[pair]
    return tuple(
        line.strip() for line in st.session_state.get("live own", "").splitlines() if line.strip()
    )


def typed_model() -> str:
    """The model that is picked or typed."""
    model = st.session_state.get("live model", settings().models[0])
    return st.session_state.get("live other model", "").strip() if model == OTHER_MODEL else model


def typed() -> Shared:
    """What is typed, checked.

    Raises:
        InputError: saying which field cannot be used.
    """
    context, statement = (
        st.session_state.get(f"live {name}", "").strip() for name in ("context", "statement")
    )
    candidates = typed_candidates()
    n_characters, allowed = (
        len(context) + len(statement) + sum(map(len, candidates)),
        settings().max_characters,
    )
    if n_characters > allowed:
        raise InputError(
            f"The puzzle has {n_characters:,} characters; at most {allowed:,} are scored. Shorten "
            "it."
        )
    for name, text, what in (
        ("context", context, "one premise"),
        ("statement", statement, "what is to be judged"),
    ):
        if not text:
            raise InputError(f"The {name} is empty; type at least {what}.")
    if not 2 <= len(candidates) <= MAX_CANDIDATES:
        raise InputError(
            f"There are {len(candidates)} candidates; type 2 to {MAX_CANDIDATES} of them, one a "
            "line."
        )
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


def typed_or_none() -> Shared | None:
    try:
        return typed()
    except InputError:
        return None


def ask_typed() -> None:
    """The button: what is typed becomes what is asked."""
    st.session_state.pop(JOB, None)  # what failed may be tried again
    try:
        st.session_state[ASKED] = typed()
        st.session_state[PROBLEM] = None
    except InputError as error:
        st.session_state[PROBLEM] = sentence(error)


def sentence(error: Exception | str) -> str:
    """A refusal as the page says it: the puzzle needs no name there."""
    text = str(error).removeprefix("puzzle 'typed': ").replace("puzzle 'typed' ", "this puzzle ", 1)
    return text[:1].upper() + text[1:]


def take_example() -> None:
    if (name := st.session_state["live example"]) is not None:
        _fill(EXAMPLES[name])


def take_random() -> None:
    steps, distractors = st.session_state["live steps"], st.session_state["live distractors"]
    seed = random.SystemRandom().randrange(2**31)
    made = generate_puzzles(steps, distractors, 8, seed, st.session_state["live style"])
    _fill(_shared(random.Random(seed).choice(made)))


def _shared(puzzle: Puzzle) -> Shared:
    return Shared(
        puzzle.context,
        puzzle.statement,
        puzzle.candidates,
        puzzle.answer,
        model="",
        rope="",
        template="",
    )


def _fill(given: Shared) -> None:
    """Put a puzzle into the fields, and ask it; an example leaves model and reading as they are."""
    state = st.session_state
    state["live context"], state["live statement"] = given.context, given.statement
    pair = next((name for name, pair in PAIRS.items() if pair == given.candidates), OWN)
    state["live pair"], state["live own"] = pair, "\n".join(given.candidates)
    found = truth(given.context, given.statement, given.candidates).answer
    known = NOT_KNOWN if given.answer is None else given.candidates[given.answer]
    state["live answer"] = WORKED_OUT if found == given.answer else known
    state[LAYER], state[HEAD] = given.layer, given.head
    state[ASKED] = None
    run = run_of(given.model) if given.model else None
    is_as_run = run is not None and (given.rope, given.template) == (run["rope"], run["template"])
    state["live template"] = AS_THE_RUN if is_as_run or not given.template else given.template
    if given.rope:
        state["live reading"] = AS_THE_RUN if is_as_run else NAMED[given.rope]
    if given.model and given.model not in settings().models:
        state[PROBLEM] = _take_other_model(given.model)
    else:
        state["live model"] = given.model or state.get("live model", settings().models[0])
        ask_typed()


def _take_other_model(model: str) -> str:
    """A link may name any model; whether to load it is for the visitor to say, and in a hosted demo
    for its host.
    """
    if settings().hosted:
        return f"The model {model} that this link names is not offered here; press the button to ask another one."
    st.session_state["live model"], st.session_state["live other model"] = OTHER_MODEL, model
    return (
        f"This link names the model {model}. Press the button to load it, if that is what you want."
    )
