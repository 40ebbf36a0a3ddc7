"""What every page shares: the run and the head, chosen in the sidebar and kept in the link."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from pages.main.controls import Place, linked
from pages.main.runs import nobodys_choice, pick_run, take_best_head
from pages.main.stored import ask
from qkcore.results.findings import layers_with_heads
from qkcore.results.store import ResultStore
from qkcore.wording import escaped, head_name

NOT_THERE = "head not there"  # session key: a sentence that the next run says
CLICKED = "clicked head"  # session key: (layer, head) that the sidebar has yet to follow


@dataclass(frozen=True, slots=True)
class Chosen:
    """The run on show, and the chosen head of it."""

    run: pd.Series  # a row of `named_runs`
    layer: int
    head: int
    best: tuple[int, int] | None  # the best head on validation puzzles

    @property
    def run_id(self) -> str:
        """The run's id in the store."""
        return str(self.run["run_id"])

    @property
    def name(self) -> str:
        """The head's name, such as L17 H4."""
        return head_name(self.layer, self.head)

    @property
    def is_picked(self) -> bool:
        """Whether a person picked the head, rather than its results on validation puzzles."""
        return (self.layer, self.head) != self.best

    @property
    def how(self) -> str:
        """How the head came to be chosen, for a sentence: "L4 H2, {how}, answers ..."."""
        if self.best is None and (self.layer, self.head) == nobodys_choice(self.run):
            return "the first head, for want of validation puzzles to choose on"
        return "picked by hand" if self.is_picked else "chosen on validation puzzles"


def choose(runs: pd.DataFrame) -> Chosen:
    """Draw the pickers in the sidebar and return what they say.

    What the address lacks is filled in before they are drawn; so is what is not there, with a
    sentence.
    """
    ids = runs["run_id"].tolist()
    asked = st.session_state.get("run") or st.query_params.get("run")
    if asked not in ids:
        st.session_state.run = ids[0]
        if asked:
            st.sidebar.warning(
                f"There is no run {escaped(str(asked)[:80])} in this store; this is its newest one."
            )
            take_best_head()
    _name_once("run")
    run = pick_run(runs)
    best = ask(ResultStore.best_head, str(run["run_id"]))
    layers, heads = layers_with_heads(run), tuple(range(int(run["n_heads"])))
    if clicked := st.session_state.pop(CLICKED, None):
        st.session_state.layer, st.session_state.head = clicked
    at_first = best or nobodys_choice(run)
    missing = _what_is_not_there({"Layer": layers, "Head": heads}, at_first, best)
    left, right = st.sidebar.columns(2)
    _name_once("layer", "head")
    layer = _pick(left, "Layer", layers, at_first[0])
    head = _pick(right, "Head", heads, at_first[1])
    if missing and (layer, head) != at_first:
        # In a visitor's first run, the half of the address that is there beats what was set here.
        st.session_state[CLICKED], st.session_state[NOT_THERE] = at_first, missing
        st.rerun()
    if missing := missing or st.session_state.pop(NOT_THERE, ""):
        st.sidebar.warning(missing)
    it = st.session_state.chosen = Chosen(run, layer, head, best)
    if best is None:
        st.sidebar.caption("No validation puzzles, so no head could be chosen on them.")
    elif (layer, head) == best:
        st.sidebar.caption(f"{head_name(*best)} is the best head on validation puzzles.")
    else:
        st.sidebar.button(
            f"Back to {head_name(*best)}, best on validation", on_click=take_best_head
        )
    return it


def _name_once(*keys: str) -> None:
    """Have the address name each of these once.

    A click on a link of a page adds what the link names to what the address names already; what is
    set here takes the place of both.
    """
    for key in keys:
        if len(st.query_params.get_all(key)) > 1 and key in st.session_state:
            st.session_state[key] = st.session_state[key]


def _what_is_not_there(
    there: dict[str, tuple[int, ...]], at_first: tuple[int, int], best: tuple[int, int] | None
) -> str:
    """Fill in layer and head where the address names none; says which of those named is not there.

    Then neither is kept: half of what was asked for is a head that nobody has asked for.
    """
    missing = []
    for (label, numbers), default in zip(there.items(), at_first, strict=True):
        key = label.lower()
        value = st.session_state.get(key)
        asked = st.query_params.get(key) if value is None else str(value)
        if asked is None:
            st.session_state[key] = default
        elif not asked.isdecimal() or int(asked) not in numbers:
            missing.append(
                f"{label} {escaped(asked[:20])} is not there; {key}s run {_reach(numbers)}"
            )
    if not missing:
        return ""
    st.session_state.layer, st.session_state.head = at_first
    why = "the first head" if best is None else "the best head on validation puzzles"
    return f"{'. '.join(missing)}. This is {head_name(*at_first)}, {why}."


def _reach(there: tuple[int, ...]) -> str:
    """Which numbers there are, for a sentence."""
    if has_gaps(there):
        return f"over {', '.join(map(str, there))}; no other has softmax heads"
    return f"from {there[0]} to {there[-1]}"


def _pick(column: Place, label: str, there: tuple[int, ...], default: int) -> int:
    """An input for layer or head, counted from 0."""
    key = label.lower()
    if has_gaps(there):
        at = there.index(default)
        return int(column.selectbox(label, there, at, key=key, bind="query-params"))
    first, last = there[0], there[-1]
    return int(column.number_input(label, first, last, default, key=key, bind="query-params"))


def has_gaps(numbers: tuple[int, ...]) -> bool:
    """Whether some number between the first and the last is missing."""
    return len(numbers) <= numbers[-1] - numbers[0]


def show_link() -> None:
    """An address that names everything on show.

    Streamlit leaves out of its own what was there from the start.
    """
    it = chosen()
    named = {"run": it.run_id, "layer": it.layer, "head": it.head} | linked()
    with st.sidebar.expander("Link to this view"):
        st.code(f"{st.context.url or ''}?{urlencode(named)}", language=None, wrap_lines=True)


def chosen() -> Chosen:
    """What the sidebar has chosen, for pages; a head that was clicked is ahead of the sidebar."""
    it: Chosen = st.session_state.chosen
    clicked = st.session_state.get(CLICKED)
    return replace(it, layer=clicked[0], head=clicked[1]) if clicked else it
