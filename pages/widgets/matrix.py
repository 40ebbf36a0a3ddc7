"""The results matrix on screen: models down, puzzle sets across, a click opens a run.

On a narrow screen the same runs stand in a list, set by set.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from pages.main.controls import pick, type_text
from pages.main.menu import is_phone
from pages.main.stored import ask
from pages.server.settings import ROOT
from pages.server.stylesheet import NARROW_ONLY, WIDE_ONLY, Stylesheet
from pages.widgets.clicks import OPENED, opening_run
from pages.widgets.exports import offer, python_for
from qkcore.results.matrix import LISTED, ORDERS, Matrix, matrix_of
from qkcore.results.store import ResultStore
from qkcore.results.summaries import NO_VERDICT, NOT_YET, summaries
from qkcore.statistics.verdicts import MARKS
from qkcore.wording import NO_BREAK

ROW, HEADER = 66, 36  # pixels; cells wrap in rows of more than 64
MOST_ROWS = 8  # on screen at once; more scroll
FEW = 6  # models or sets that are seen at a glance: no search
NO_RUN = ""
WHO = ("head", "calibrated", "rival")  # in a cell, in this order


def show_matrix() -> None:
    """Everything in the store at a glance, with search, order and a legend."""
    if st.session_state.pop(OPENED, False):
        # None would clear the address, which Streamlit refuses for what controls are bound to.
        st.switch_page(ROOT / "pages/results/head_grid.py", query_params={})
    table = ask(summaries)
    whole = ask(_matrix, ORDERS[0], "")
    find, order = "", ORDERS[0]
    if max(len(whole.models), len(whole.sets)) > FEW:
        left, right = st.columns(2)
        find = type_text(left, "Find a model or a puzzle set", "find")
        order = pick(right, "Order of models", "order", ORDERS)
    matrix = ask(_matrix, order, find)
    if not matrix.models:
        st.info("No model and no puzzle set is called so.")
        return
    words = {row["run_id"]: cell_text(row) for row in table.to_dict("records")}
    # The stylesheet hides one of the two; without it the browser's name must do.
    if Stylesheet.is_there or not is_phone():
        with st.container(key=WIDE_ONLY):
            _show_cells(matrix, words)
    if Stylesheet.is_there or is_phone():
        with st.container(key=NARROW_ONLY):
            _show_list(matrix.listed(), words)
    st.caption(
        "Of each run, in %: the chosen head · the calibrated model · the best of commonest answer, "
        "surface rule and luck line; then the verdict. A click opens the run."
    )
    offer("results", table.drop(columns="created_at"), python_for(summaries))


def _matrix(store: ResultStore, order: str, find: str) -> Matrix:
    return matrix_of(summaries(store), order, find)


def _show_cells(matrix: Matrix, words: Mapping[str, str]) -> None:
    """Models down, sets across."""
    cells = pd.DataFrame(
        [[NO_RUN if one is None else words[one] for one in row] for row in matrix.run_ids],
        index=pd.Index(matrix.models, name="Model"),
        columns=list(matrix.sets),
    )
    columns = {"_index": st.column_config.TextColumn("Model", width=190, pinned=True)}
    columns |= {name: st.column_config.TextColumn(width=176) for name in matrix.sets}
    alt = "Results matrix: a row a model, a column a puzzle set; the table below has the numbers"
    _show_table(cells, "matrix", matrix, columns, alt, hide_index=False)


def _show_list(listed: Matrix, words: Mapping[str, str]) -> None:
    """A row a run, for a screen on which the cells of two sets have no room."""
    # As in a cell, the only plain space is where the line breaks
    named = [one.replace(" ", NO_BREAK).replace("\n", " ") for one in listed.models]
    results = [words[run_id] for run_id, _ in listed.run_ids if run_id is not None]
    rows = pd.DataFrame(dict(zip(LISTED, (named, results), strict=True)))
    columns = {name: st.column_config.TextColumn(width=168) for name in LISTED}
    alt = "Results of every run, a row a run; the table below has the numbers"
    _show_table(rows, "matrix list", listed, columns, alt, hide_index=True)


def _show_table(
    rows: pd.DataFrame,
    key: str,
    matrix: Matrix,
    columns: Mapping[str, Any],
    alt: str,
    hide_index: bool,
) -> None:
    """A table in which a click on a run opens it."""
    st.dataframe(
        rows,
        key=key,
        width="stretch",
        height=HEADER + 2 + ROW * min(len(rows), MOST_ROWS),
        row_height=ROW,
        hide_index=hide_index,
        column_config=columns,
        on_select=opening_run(key, matrix),
        selection_mode="single-cell",
        alt=alt,
    )


def cell_text(row: Mapping[Hashable, Any]) -> str:
    r"""One run's results in two lines: the table breaks a line at its only plain space.

    >>> row = dict(head_accuracy=0.88, calibrated_accuracy=0.702, rival_accuracy=1.0)
    >>> cell_text(row | {"verdict": "surface rule"})
    '88.0\xa0·\xa070.2\xa0·\xa0100.0 ○\xa0surface\xa0rule'
    """
    verdict = str(row["verdict"])
    if verdict in (NO_VERDICT, NOT_YET):
        return verdict
    shares = " · ".join(f"{100 * row[f'{who}_accuracy']:.1f}" for who in WHO)
    return " ".join(part.replace(" ", NO_BREAK) for part in (shares, f"{MARKS[verdict]} {verdict}"))
