"""What the panels below the puzzle share: its result, the head in view, and the run that it is
measured by.
"""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from pages.live.scoring import Result
from pages.live.typed import HEAD, LAYER, run_of
from pages.main.chosen import Chosen
from pages.main.reading import ask
from qkcore.asking.links import Shared
from qkcore.results.store import StoreError
from qkcore.results.yardsticks import Yardsticks, head_leads, yardsticks
from qkcore.wording import escaped, head_name


@dataclass(frozen=True, slots=True)
class View:
    """A scored puzzle on show."""

    asked: Shared
    result: Result
    layer: int
    head: int
    how: str  # how the head came to be chosen, in words
    by: Yardsticks | None  # None: there are no stored puzzles to measure by
    own_leads: np.ndarray  # (test puzzle) sorted leads of the head
    keys: tuple[str, str]  # of the two pickers that say which head is in view

    @property
    def name(self) -> str:
        """The head's name."""
        return head_name(self.layer, self.head)


def view_of(asked: Shared, result: Result) -> View:
    """Measure by the run in the sidebar if it is of this model and reading; else say why not, and
    draw pickers.
    """
    run, n_layers, n_heads = run_of(asked.model), *result.scored.qk.shape[:2]
    why = _why_not(asked, result, run)
    if why is None:
        it: Chosen = st.session_state.chosen
        by, own = ask(yardsticks, it.run_id), ask(head_leads, it.run_id, it.layer, it.head)
        return View(
            replace(asked, layer=it.layer, head=it.head),
            result,
            it.layer,
            it.head,
            it.how,
            by,
            own,
            ("layer", "head"),
        )
    st.info(
        f"{why} So no head is chosen on validation puzzles, nobody votes, and nothing is compared "
        "with test puzzles."
    )
    places = []
    for column, label, key, n in zip(
        st.columns(2), ("Layer", "Head"), (LAYER, HEAD), (n_layers, n_heads), strict=True
    ):
        if not 0 <= st.session_state.setdefault(key, 0) < n:
            st.session_state[key] = 0
        places.append(int(column.number_input(f"{label} in view", 0, n - 1, key=key)))
    layer, head = places
    shown = replace(asked, layer=layer, head=head)
    return View(shown, result, layer, head, "picked by hand", None, np.zeros(0), (LAYER, HEAD))


def _why_not(asked: Shared, result: Result, run) -> str | None:
    """Why the run in the sidebar is no measure for this result; None: it is one."""
    if st.session_state.get("chosen") is None:
        return _what_is_missing()
    if run is None:
        return f"The run in the sidebar is not of the model {escaped(result.model)}."
    if run["model_revision"] != result.revision:
        return f"The run in the sidebar is of another revision of {escaped(result.model)}."
    if (run["rope"], run["template"]) != (asked.rope, asked.template):
        return "The run in the sidebar reads queries and keys otherwise, or asks in other words."
    return None


def _what_is_missing() -> str:
    try:
        ask("runs")
    except StoreError as error:
        return str(error)
    return "The result store holds no runs."
