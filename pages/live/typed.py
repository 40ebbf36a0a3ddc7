"""The puzzle as it is typed, and the puzzle that was asked.

What is asked changes only when somebody says so. What is typed lives in widgets (panels/fields.py),
what was asked in `st.session_state[ASKED]`, as an `Asked`; with the run in the sidebar it becomes a
`Shared`, which is what is scored and what a link holds. An example is a `Puzzle`.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import streamlit as st

from pages.live.examples import EXAMPLES
from pages.main.chosen import Chosen
from pages.server.settings import ROOT, settings, told
from qkcore import InputError
from qkcore.asking.links import MAX_CANDIDATES, LinkError, Shared, decode, typed_puzzle
from qkcore.asking.options import roles_named
from qkcore.asking.readings import READINGS
from qkcore.asking.templates import DEFAULT
from qkcore.bundled import names_of
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import Truth, truth

ASKED, PROBLEM, OPENED, JOB = "live asked", "live problem", "live opened", "live job score"
FOLLOWED = "live model of run"  # the model that the run in the sidebar brought last
# The head in view where no run of the model is in the sidebar.
LAYER, HEAD = "live layer", "live head"
PAIRS = {"true or false": ("true", "false"), "yes or no": ("yes", "no")}
OWN = "my own"
WORKED_OUT, NOT_KNOWN = "worked out from the context", "not known"
AS_THE_RUN = "as the run"  # the reading, or the template, of the run in the sidebar
ROPE_OF = {AS_THE_RUN: None} | {name: rope for rope, name in READINGS.items()}
OTHER_MODEL = "another model"


class Fields(NamedTuple):
    """The fields as they stand, whether or not they make a puzzle."""

    context: str
    statement: str
    candidates: tuple[str, ...]
    answer: str
    model: str
    reading: str
    template: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A puzzle that was typed, checked and solved."""

    fields: Fields
    puzzle: Puzzle
    truth: Truth
    rope: str | None  # None: as the run in the sidebar reads
    template: str | None  # None: as the run in the sidebar asks

    def resolved(self) -> Shared:
        """The puzzle to score, read as the run in the sidebar unless otherwise picked."""
        run = run_of(self.fields.model)
        rope, template = ("pre", DEFAULT) if run is None else (run["rope"], run["template"])
        if roles_named(template) == "options":  # panels show candidates' queries
            template = DEFAULT
        return Shared(self.puzzle, self.fields.model, self.rope or rope, self.template or template)


def open_link() -> None:
    """Take over the puzzle that the address names, once; or begin with the first example.

    Both after the model of the run in the sidebar, which a link's own model then replaces.
    """
    _follow_run()
    text = st.query_params.get("puzzle")
    if text and text != st.session_state.get(OPENED):
        st.session_state[OPENED] = text
        try:
            _fill_from_link(decode(text))
        except LinkError as error:
            _fill_and_ask(next(iter(EXAMPLES.values())))
            st.session_state[PROBLEM] = (
                f"This link cannot be opened: {error}. Below is an example instead."
            )
    if ASKED not in st.session_state:
        _fill_and_ask(next(iter(EXAMPLES.values())))


def _follow_run() -> None:
    """Take the model of the run in the sidebar, where it is offered, whenever it is another."""
    it: Chosen | None = st.session_state.get("chosen")
    model = None if it is None else settings().offered_as(it.run["model"])
    if model is None or model == st.session_state.get(FOLLOWED):
        return
    st.session_state[FOLLOWED] = st.session_state["live model"] = model
    if (asked := asked_now()) is not None:
        st.session_state[ASKED] = replace(asked, fields=asked.fields._replace(model=model))


def keep_in_address(text: str) -> str:
    """Have the address name the puzzle on show: it can be copied, reloaded and gone back to."""
    if st.query_params.get("puzzle") != text:
        st.session_state[OPENED] = st.query_params["puzzle"] = text
    return text


def asked_now() -> Asked | None:
    """What was asked last; None while there is nothing."""
    asked: Asked | None = st.session_state.get(ASKED)
    return asked


def run_of(model: str) -> pd.Series | None:
    """The run in the sidebar, if it is of a model of this name.

    Its revision is compared once the model is loaded.
    """
    it: Chosen | None = st.session_state.get("chosen")
    if it is None or it.run["model"] not in names_of(model):
        return None
    return it.run


def model_path(model: str) -> str:
    """A folder of the project by its full path; any other name as it is.

    Raises:
        InputError: for a model that is not offered. A select box does not keep a visitor from
            sending another name.
    """
    if not settings().offers(model):
        raise InputError(f"The model {model} is not offered here; choose another one.")
    return str(ROOT / model) if _is_ours(model) else model


def model_told(model: str) -> str:
    """The same for Python and commands on a page; see `told`."""
    return told(ROOT / model) if _is_ours(model) else model


def _is_ours(model: str) -> bool:
    return not Path(model).is_absolute() and (ROOT / model).is_dir()


def typed_candidates() -> tuple[str, ...]:
    """The candidates as they are typed, empty lines left out."""
    pair = st.session_state.get("live pair", next(iter(PAIRS)))
    if pair in PAIRS:
        return PAIRS[pair]
    lines = st.session_state.get("live own", "").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def typed_model() -> str:
    """The model that is picked or typed."""
    model: str = st.session_state.get("live model", settings().offered[0])
    other: str = st.session_state.get("live other model", "")
    return other.strip() if model == OTHER_MODEL else model


def typed_fields() -> Fields:
    """What is typed, as it stands."""
    state = st.session_state
    return Fields(
        state.get("live context", "").strip(),
        state.get("live statement", "").strip(),
        typed_candidates(),
        state.get("live answer", WORKED_OUT),
        typed_model(),
        state.get("live reading", AS_THE_RUN),
        state.get("live template", AS_THE_RUN),
    )


def _check(fields: Fields) -> None:
    """Raise an `InputError` that says which field cannot be used."""
    texts = [fields.context, fields.statement, *fields.candidates]
    n_characters, allowed = sum(map(len, texts)), settings().max_characters
    if n_characters > allowed:
        raise InputError(
            f"The puzzle has {n_characters:,} characters; at most {allowed:,} are scored. Shorten "
            "it."
        )
    if not fields.context:
        raise InputError("The context is empty; type at least one premise.")
    if not fields.statement:
        raise InputError("The statement is empty; type at least what is to be judged.")
    if not 2 <= len(fields.candidates) <= MAX_CANDIDATES:
        raise InputError(
            f"There are {len(fields.candidates)} candidates; type 2 to {MAX_CANDIDATES} of them, "
            "one a line."
        )
    if not fields.model:
        raise InputError("No model is named; type a folder or a Hugging Face id.")
    model_path(fields.model)  # raises for one that is not offered


def _asked(fields: Fields, known: Truth | None = None) -> Asked:
    """What is typed, checked, and solved unless its truth is known.

    Raises:
        InputError: saying which field cannot be used.
    """
    _check(fields)
    puzzle = typed_puzzle(fields.context, fields.statement, fields.candidates)
    found = known or truth(puzzle.context, puzzle.statement, puzzle.candidates)
    is_named = fields.answer in fields.candidates
    answer = fields.candidates.index(fields.answer) if is_named else None
    if fields.answer == WORKED_OUT:
        answer = found.answer
    template = None if fields.template == AS_THE_RUN else fields.template
    return Asked(fields, replace(puzzle, answer=answer), found, ROPE_OF[fields.reading], template)


def ask_typed(known: Truth | None = None) -> None:
    """The button: what is typed becomes what is asked."""
    st.session_state.pop(JOB, None)  # what failed may be tried again
    try:
        st.session_state[ASKED] = _asked(typed_fields(), known)
        st.session_state[PROBLEM] = None
    except InputError as error:
        st.session_state[PROBLEM] = sentence(error)


def ask_again(fields: Fields) -> Asked | None:
    """Ask the puzzle on show with another context, which the fields then hold too.

    None where it cannot be asked; the page says why.
    """
    st.session_state["live context"] = fields.context
    st.session_state["live answer"] = fields.answer
    st.session_state.pop(JOB, None)
    try:
        asked = _asked(fields)
    except InputError as error:
        st.session_state[PROBLEM] = sentence(error)
        return None
    st.session_state[ASKED], st.session_state[PROBLEM] = asked, None
    return asked


def say_answer(candidate: str) -> None:
    """A visitor's word on which answer to the puzzle on show is right."""
    asked = asked_now()
    if asked is not None:
        st.session_state["live answer"] = candidate
        st.session_state[ASKED] = _asked(asked.fields._replace(answer=candidate), asked.truth)


def sentence(error: Exception | str) -> str:
    """A refusal as the page says it: the puzzle needs no name there."""
    text = str(error).removeprefix("puzzle 'typed': ").replace("puzzle 'typed' ", "this puzzle ", 1)
    return text[:1].upper() + text[1:]


def take_example() -> None:
    """The gallery: the example that was picked is asked."""
    if (name := st.session_state["live example"]) is not None:
        _fill_and_ask(EXAMPLES[name])


def take_random() -> None:
    """The button for a new random puzzle."""
    steps, distractors = st.session_state["live steps"], st.session_state["live distractors"]
    seed = random.SystemRandom().randrange(2**31)
    made = generate_puzzles(steps, distractors, 8, seed, st.session_state["live style"])
    _fill_and_ask(random.Random(seed).choice(made))


def _fill(puzzle: Puzzle) -> Truth:
    """Put a puzzle into the fields; returns its truth."""
    state = st.session_state
    state["live context"], state["live statement"] = puzzle.context, puzzle.statement
    pair = next((name for name, pair in PAIRS.items() if pair == puzzle.candidates), OWN)
    state["live pair"], state["live own"] = pair, "\n".join(puzzle.candidates)
    found = truth(puzzle.context, puzzle.statement, puzzle.candidates)
    known = NOT_KNOWN if puzzle.answer is None else puzzle.candidates[puzzle.answer]
    state["live answer"] = WORKED_OUT if found.answer == puzzle.answer else known
    state[ASKED] = None
    return found


def _fill_and_ask(puzzle: Puzzle) -> None:
    """Put a puzzle into the fields, and ask it; model and reading stay as they are."""
    state = st.session_state
    found = _fill(puzzle)
    state[LAYER], state[HEAD] = 0, 0
    state["live template"] = AS_THE_RUN
    state["live model"] = state.get("live model", settings().offered[0])
    ask_typed(found)


def _fill_from_link(shared: Shared) -> None:
    """Put a link's puzzle, model and reading into the fields; ask it if its model is offered."""
    state = st.session_state
    found = _fill(shared.puzzle)
    state[LAYER], state[HEAD] = shared.layer, shared.head
    run = run_of(shared.model)
    read_and_asked = (shared.rope, shared.template)
    is_as_run = run is not None and read_and_asked == (run["rope"], run["template"])
    state["live template"] = AS_THE_RUN if is_as_run else shared.template
    state["live reading"] = AS_THE_RUN if is_as_run else READINGS[shared.rope]
    if shared.model not in settings().offered:
        state[PROBLEM] = _take_other_model(shared.model)
    else:
        state["live model"] = shared.model
        ask_typed(found)


def _take_other_model(model: str) -> str:
    """Fill in a model that is not offered: a link may name any.

    Whether to load it is for the visitor to say, and in a hosted demo for its host.
    """
    if settings().hosted:
        return (
            f"The model {model} that this link names is not offered here; press the button to ask "
            "another one."
        )
    st.session_state["live model"], st.session_state["live other model"] = OTHER_MODEL, model
    return (
        f"This link names the model {model}. Press the button to load it, if that is what you want."
    )
