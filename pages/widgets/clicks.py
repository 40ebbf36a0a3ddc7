"""What a click on a chart or a table does.

Not on the pages that show them: Streamlit keeps such a function for as long as the visitor stays,
once for each key of a chart or table, and with a page's own function it would keep all that the
page has read.
"""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from qkcore.charts.grids import POINT

LISTED = "listed puzzles"  # session key: the ids in the table on show, row by row


def taking_head(key: str) -> Callable[[], None]:
    """For a head grid's `on_select`: copies the cell into the frame's pickers, which is where the
    link keeps it.
    """
    return partial(_take_head, key)


def _take_head(key: str) -> None:
    cells = st.session_state[key].selection[POINT]
    if cells:
        st.session_state.layer, st.session_state.head = cells[0]["layer"], cells[0]["head"]


def taking_puzzle(key: str, puzzle_ids: Sequence[str]) -> Callable[[], None]:
    """For the `on_select` of a table of these puzzles: opens the one of the row that was clicked."""
    st.session_state[LISTED] = list(puzzle_ids)
    return partial(_take_puzzle, key)


def _take_puzzle(key: str) -> None:
    rows = st.session_state[key].selection["rows"]
    if rows:
        st.session_state.puzzle_id = st.session_state[LISTED][rows[0]]
