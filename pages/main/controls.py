"""Controls whose values live in the link, whatever page they stand on.

A control's key is its name in the address; names that are public already must not change
(tests/pages/test_results_pages.py holds them).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import streamlit as st

from pages.main.stored import ask
from qkcore.results.store import ResultStore
from qkcore.wording import escaped

ALL = "all"
LINKED = "linked"  # session key: what the page on show adds to its link


class Place(Protocol):
    """Where something is drawn: `st` itself, or a column or container of it."""

    @property
    def selectbox(self) -> Callable[..., Any]:
        """Draws a select box and gives what is picked."""

    @property
    def text_input(self) -> Callable[..., Any]:
        """Draws a text box and gives what is typed."""

    @property
    def number_input(self) -> Callable[..., Any]:
        """Draws a box for a number and gives what is typed."""

    @property
    def vega_lite_chart(self) -> Callable[..., Any]:
        """Draws a chart and gives what is selected in it."""

    @property
    def warning(self) -> Callable[..., object]:
        """Says a sentence that should be seen."""


def forget_links() -> None:
    """Before a page runs: what the last one added to the link is gone."""
    st.session_state[LINKED] = {}


def linked() -> dict[str, str]:
    """What the controls drawn in this run add to the link."""
    named: dict[str, str] = st.session_state.get(LINKED, {})
    return named


def pick(
    where: Place,
    label: str,
    name: str,
    options: Sequence[str],
    default: str | None = None,
    help: str | None = None,
) -> str:
    """A select box in the link; a value that is not among the options falls back with a sentence.

    Args:
        where: what to draw in.
        label: above the box.
        name: in the address.
        options: to pick from.
        default: picked at first; by default the first option.
        help: shown on demand.
    """
    default = options[0] if default is None else default
    asked = st.session_state.get(name) or st.query_params.get(name)
    if asked not in options:
        if asked is not None:
            where.warning(
                f"{label} {escaped(str(asked)[:80])} is not there; this is {escaped(default)}."
            )
        st.session_state[name] = default
    value: str = where.selectbox(label, options, key=name, bind="query-params", help=help)
    linked()[name] = value
    return value


def type_text(where: Place, label: str, name: str) -> str:
    """A text box in the link."""
    value: str = where.text_input(label, key=name, bind="query-params", max_chars=200)
    if value:
        linked()[name] = value
    return value


def pick_difficulty(where: Place, run_id: str, name: str) -> int | None:
    """Steps or distractors, of those that the run's test puzzles have; None is all of them."""
    known = ask(ResultStore.difficulties, run_id, "test")[name].dropna()
    values = [str(int(value)) for value in sorted(known.unique())]
    value = pick(where, name.capitalize(), name, [ALL, *values])
    return None if value == ALL else int(value)
