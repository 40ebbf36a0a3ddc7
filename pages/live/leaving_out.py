"""A premise left out of the puzzle on show, which is then asked again; and put back.

What a click on the prompt and the box below it call; draws nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st

from pages.live.typed import ASKED, JOB, PROBLEM, WORKED_OUT, Asked, ask_again, asked_now
from qkcore.charts.theme import CELL
from qkcore.puzzles.english import split
from qkcore.puzzles.puzzle import Puzzle

LEFT_OUT = "live left out"  # session key: what was left out of the puzzle on show, the last last


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One premise less."""

    premise: str
    before: Asked
    after: Puzzle


def leaving_out_clicked(key: str) -> Callable[[], None]:
    """For the `on_select` of the prompt: leaves out the premise that was clicked."""
    return partial(_leave_out_clicked, key)


def _leave_out_clicked(key: str) -> None:
    picked = st.session_state[key].selection[CELL]
    if picked and picked[0].get("premise") is not None:
        leave_out(int(picked[0]["premise"]))


def leaving_out_picked(key: str) -> Callable[[], None]:
    """For the `on_change` of a box that lists premises by number, from 0: the keyboard's way."""
    return partial(_leave_out_picked, key)


def _leave_out_picked(key: str) -> None:
    number = st.session_state[key]
    if number is not None:
        leave_out(int(number))


def leave_out(number: int) -> None:
    """Ask the puzzle on show without a premise; its answer is worked out anew.

    Args:
        number: of the premise, from 0. One that is not there, or the only one, stays.
    """
    asked = asked_now()
    if asked is None:
        return
    premises = split(asked.puzzle.context)
    if not 0 <= number < len(premises) or len(premises) < 2:
        return
    context = " ".join(premises[:number] + premises[number + 1 :])
    earlier = left_out()
    after = ask_again(asked.fields._replace(context=context, answer=WORKED_OUT))
    if after is not None:
        st.session_state[LEFT_OUT] = [*earlier, LeftOut(premises[number], asked, after.puzzle)]


def left_out() -> list[LeftOut]:
    """What was left out of the puzzle on show; nothing once another puzzle was asked."""
    known: list[LeftOut] = st.session_state.get(LEFT_OUT, [])
    asked = asked_now()
    is_of_this = (
        bool(known) and asked is not None and asked.puzzle.context == known[-1].after.context
    )
    return known if is_of_this else []


def put_back() -> None:
    """The puzzle as it was before the last premise was left out."""
    known = left_out()
    if not known:
        return
    before = known[-1].before
    st.session_state[LEFT_OUT] = known[:-1]
    st.session_state[ASKED], st.session_state[PROBLEM] = before, None
    st.session_state["live context"] = before.fields.context
    st.session_state["live answer"] = before.fields.answer
    st.session_state.pop(JOB, None)
