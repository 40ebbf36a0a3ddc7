"""What a click on a chart or a table does.

Not on the pages that show them: Streamlit keeps such a function for as long as the visitor stays,
once for each key of a chart or table, and with a page's own function it would keep all that the
page has read.
"""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from pages.main.chosen import CLICKED
from pages.main.runs import show_run
from qkcore.charts.theme import CELL
from qkcore.results.matrix import Matrix

LISTED = "listed puzzles"  # session key: the ids in the table on show, row by row
RANKED = "ranked heads"  # session key: (layer, head) in the ranking on show, row by row
RUNS = "runs in"  # begins a session key that ends in a table's: the matrix that it shows
OPENED = "a run was opened"  # session key: whether a click asks for another page


def taking_head(key: str, pickers: tuple[str, str] = ("layer", "head")) -> Callable[[], None]:
    """For a grid's `on_select`: copies the cell into the two pickers of the head in view.

    Args:
        key: of the grid.
        pickers: keys of the pickers; by default the sidebar's, which are where the link keeps it.
    """
    return partial(_take_head, key, pickers)


def _take_head(key: str, pickers: tuple[str, str]) -> None:
    cells = st.session_state[key].selection[CELL]
    if cells:
        for name, picker in zip(("layer", "head"), pickers, strict=True):
            st.session_state[picker] = int(cells[0][name])


def opening_head(key: str) -> Callable[[], None]:
    """For the `on_select` of a grid in a fragment: the sidebar follows when the page is drawn."""
    return partial(_open_head, key)


def _open_head(key: str) -> None:
    cells = st.session_state[key].selection[CELL]
    if cells:
        st.session_state[CLICKED] = int(cells[0]["layer"]), int(cells[0]["head"])


def opening_ranked(key: str, heads: Sequence[tuple[int, int]]) -> Callable[[], None]:
    """For the `on_select` of a table of these heads: opens the one of the cell that was clicked."""
    st.session_state[RANKED] = list(heads)
    return partial(_open_ranked, key)


def _open_ranked(key: str) -> None:
    cells = st.session_state[key].selection["cells"]
    if cells:
        st.session_state[CLICKED] = st.session_state[RANKED][cells[0][0]]


def taking_puzzle(key: str, puzzle_ids: Sequence[str]) -> Callable[[], None]:
    """For the `on_select` of a table of these puzzles: opens the one whose row was clicked."""
    st.session_state[LISTED] = list(puzzle_ids)
    return partial(_take_puzzle, key)


def _take_puzzle(key: str) -> None:
    rows = st.session_state[key].selection["rows"]
    if rows:
        st.session_state.puzzle_id = st.session_state[LISTED][rows[0]]


def opening_run(key: str, matrix: Matrix) -> Callable[[], None]:
    """For the `on_select` of this matrix: shows the run whose cell was clicked, on its own page."""
    st.session_state[f"{RUNS} {key}"] = matrix
    return partial(_open_run, key)


def _open_run(key: str) -> None:
    cells = st.session_state[key].selection["cells"]
    if not cells:
        return
    row, column = cells[0]
    matrix: Matrix = st.session_state[f"{RUNS} {key}"]
    run_id = matrix.run_ids[row][matrix.sets.index(column)] if column in matrix.sets else None
    if run_id is not None:
        show_run(run_id)
        st.session_state[OPENED] = True
