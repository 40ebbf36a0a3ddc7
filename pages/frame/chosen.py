"""What every page shares: the run and the head that are chosen in the frame, and live in the link."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pages.frame.reading import ask
from qkcore.wording import head_name


@dataclass(frozen=True, slots=True)
class Chosen:
    """The run on show, and the chosen head of it."""

    run: pd.Series  # a row of table runs
    layer: int
    head: int
    best: tuple[int, int] | None  # the best head on validation puzzles

    @property
    def run_id(self) -> str:
        """The run's id in the store."""
        return self.run["run_id"]

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
        return "picked by hand" if self.is_picked else "chosen on validation puzzles"


def choose(runs: pd.DataFrame) -> Chosen:
    """Draw the pickers in the sidebar and return what they say."""
    ids = runs["run_id"].tolist()
    run_id = st.sidebar.selectbox("Run", ids, key="run", bind="query-params", on_change=_forget_head)
    run = runs[runs["run_id"] == (run_id if run_id in ids else ids[0])].iloc[0]
    best = ask("best_head", run["run_id"])
    _forget_head_out_of_reach(run)
    st.sidebar.caption(f"{run['n_layers']} layers with {run['n_heads']} heads, {run['n_puzzles']:,} puzzles")
    left, right = st.sidebar.columns(2)
    layer = left.number_input(
        "Layer", 0, int(run["n_layers"]) - 1, best[0] if best else 0, key="layer", bind="query-params"
    )
    head = right.number_input(
        "Head", 0, int(run["n_heads"]) - 1, best[1] if best else 0, key="head", bind="query-params"
    )
    st.session_state.chosen = Chosen(run, int(layer), int(head), best)
    if best is None:
        st.sidebar.caption("No validation puzzles, so no head could be chosen on them.")
    elif (layer, head) == best:
        st.sidebar.caption(f"{head_name(*best)} is the best head on validation puzzles.")
    else:
        st.sidebar.button(f"Back to {head_name(*best)}, best on validation", on_click=_set_head, args=best)
    return st.session_state.chosen


def chosen() -> Chosen:
    """What the frame has chosen, for pages."""
    return st.session_state.chosen


def _set_head(layer: int, head: int) -> None:
    st.session_state.layer, st.session_state.head = layer, head


def _forget_head() -> None:
    """Another run has another best head."""
    for key in ("layer", "head"):
        st.session_state.pop(key, None)


def _forget_head_out_of_reach(run: pd.Series) -> None:
    for key, n in (("layer", run["n_layers"]), ("head", run["n_heads"])):
        if key in st.session_state and not 0 <= st.session_state[key] < n:
            del st.session_state[key]
