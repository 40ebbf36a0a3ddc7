"""Controls whose values live in the link, whatever page they stand on.

A control's key is its name in the address; names that are public already must not change
(tests/test_links_stay.py).
"""

from collections.abc import Sequence

import streamlit as st

from pages.main.stored import ask
from qkcore.results.store import ResultStore
from qkcore.wording import escaped

ALL = "all"
LINKED = "linked"  # session key: what the page on show adds to its link


def forget_links() -> None:
    """Before a page runs: what the last one added to the link is gone."""
    st.session_state[LINKED] = {}


def linked() -> dict[str, str]:
    """What the controls drawn in this run add to the link."""
    return st.session_state.get(LINKED, {})


def pick(
    where, label: str, name: str, options: Sequence[str], default: str | None = None, **words
) -> str:
    """A select box in the link; a value that is not among the options falls back with a sentence.

    Args:
        where: the container to draw in.
        words: `help` and the like, for `st.selectbox`.
    """
    default = options[0] if default is None else default
    asked = st.session_state.get(name) or st.query_params.get(name)
    if asked not in options:
        if asked is not None:
            where.warning(
                f"{label} {escaped(str(asked)[:80])} is not there; this is {escaped(default)}."
            )
        st.session_state[name] = default
    value = where.selectbox(label, options, key=name, bind="query-params", **words)
    linked()[name] = value
    return value


def type_text(where, label: str, name: str, **words) -> str:
    """A text box in the link."""
    value = where.text_input(label, key=name, bind="query-params", max_chars=200, **words)
    if value:
        linked()[name] = value
    return value


def pick_difficulty(where, run_id: str, name: str) -> int | None:
    """Steps or distractors, of those that the run's test puzzles have; None is all of them."""
    values = [
        str(int(value))
        for value in sorted(ask(ResultStore.difficulties, run_id, "test")[name].dropna().unique())
    ]
    value = pick(where, name.capitalize(), name, [ALL, *values])
    return None if value == ALL else int(value)
