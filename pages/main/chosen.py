"""What every page shares: the run and the head, chosen in the sidebar and kept in the link."""

from dataclasses import dataclass
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from pages.main.controls import Place, linked
from pages.main.runs import nobodys_choice, pick_run, take_best_head
from pages.main.stored import ask
from qkcore.results.findings import layers_with_heads
from qkcore.results.store import ResultStore
from qkcore.wording import escaped, head_name


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
    run = pick_run(runs)
    best = ask(ResultStore.best_head, str(run["run_id"]))
    layers, heads = layers_with_heads(run), tuple(range(int(run["n_heads"])))
    left, right = st.sidebar.columns(2)
    layer_at_first, head_at_first = best or nobodys_choice(run)
    layer = _pick(left, "Layer", layers, layer_at_first)
    head = _pick(right, "Head", heads, head_at_first)
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


def _pick(column: Place, label: str, there: tuple[int, ...], default: int) -> int:
    """An input for layer or head, counted from 0.

    What is not there falls back with a sentence.
    """
    key = label.lower()
    value = st.session_state.get(key)
    asked = st.query_params.get(key) if value is None else str(value)
    if asked is None or not asked.isdecimal() or int(asked) not in there:
        if asked is not None:
            reach = f"from {there[0]} to {there[-1]}"
            if has_gaps(there):
                reach = f"over {', '.join(map(str, there))}; no other has softmax heads"
            st.sidebar.warning(f"{label} {escaped(asked)} is not there; {key}s run {reach}.")
        st.session_state[key] = default
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
    """What the sidebar has chosen, for pages."""
    it: Chosen = st.session_state.chosen
    return it
