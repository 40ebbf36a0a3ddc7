"""What the panels below the puzzle share: result, head in view, and the run to measure by."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.live.typed import HEAD, LAYER, run_of
from pages.live.work import Result
from pages.main.chosen import Chosen, has_gaps
from pages.main.stored import ask
from qkcore.asking.links import Shared
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import Truth
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.results.yardsticks import Yardsticks, head_leads, yardsticks
from qkcore.wording import escaped, head_name, short_name


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A scored puzzle on show."""

    shared: Shared  # with the head in view
    truth: Truth
    result: Result
    how: str  # how the head came to be chosen, in words
    by: Yardsticks | None  # None: there are no stored puzzles to measure by
    own_leads: np.ndarray  # (test puzzle) sorted leads of the head
    keys: tuple[str, str]  # of the two pickers that say which head is in view

    @property
    def puzzle(self) -> Puzzle:
        """The puzzle that was scored."""
        return self.shared.puzzle

    @property
    def place(self) -> tuple[int, int]:
        """(layer, head) in view."""
        return self.shared.layer, self.shared.head

    @property
    def about(self) -> str:
        """What stands below the title of a figure: the model, and on what."""
        return f"{short_name(self.result.model)} on one puzzle"

    @property
    def name(self) -> str:
        """The head's name."""
        return head_name(*self.place)


def view_of(shared: Shared, truth: Truth, result: Result) -> View:
    """Measure by the run in the sidebar if it is of this model and reading.

    Else say why not, and draw pickers.
    """
    run = run_of(shared.model)
    why = _why_not(shared, result, run)
    if why is None:
        it: Chosen = st.session_state.chosen
        return View(
            replace(shared, layer=it.layer, head=it.head),
            truth,
            result,
            it.how,
            ask(yardsticks, it.run_id),
            ask(head_leads, it.run_id, it.layer, it.head),
            ("layer", "head"),
        )
    st.info(
        f"{why} So no head is chosen on validation puzzles, nobody votes, and nothing is compared "
        "with test puzzles."
    )
    layers, heads = result.scores.layers, tuple(range(result.scores.qk.shape[1]))
    left, right = st.columns(2)
    layer, head = _pick(left, "Layer", LAYER, layers), _pick(right, "Head", HEAD, heads)
    shown = replace(shared, layer=layer, head=head)
    return View(shown, truth, result, "picked by hand", None, np.zeros(0), (LAYER, HEAD))


def _pick(where: DeltaGenerator, label: str, key: str, there: tuple[int, ...]) -> int:
    if st.session_state.get(key) not in there:
        st.session_state[key] = there[0]
    if has_gaps(there):
        return int(where.selectbox(f"{label} in view", there, key=key))
    return int(where.number_input(f"{label} in view", there[0], there[-1], key=key))


def _why_not(shared: Shared, result: Result, run: pd.Series | None) -> str | None:
    """Why the run in the sidebar is no measure for this result; None: it is one."""
    if st.session_state.get("chosen") is None:
        return _what_is_missing()
    if run is None:
        return f"The run in the sidebar is not of the model {escaped(short_name(result.model))}."
    if run["model_revision"] != result.revision:
        return (
            f"The run in the sidebar is of another revision of {escaped(short_name(result.model))}."
        )
    if _bits(run["dtype"]) != _bits(result.dtype):
        return (
            f"The run in the sidebar held the model's weights otherwise: {escaped(run['dtype'])}, "
            f"here {escaped(result.dtype)}."
        )
    if (run["rope"], run["template"]) != (shared.rope, shared.template):
        return "The run in the sidebar reads queries and keys otherwise, or asks in other words."
    return None


def _bits(dtype: str) -> str:
    """What a run's dtype says of weights in few bits; "" where they are whole."""
    return dtype.partition(", ")[2]


def _what_is_missing() -> str:
    try:
        ask(ResultStore.runs)
    except StoreError as error:
        return str(error)
    return "The result store holds no runs."
