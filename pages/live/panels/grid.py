"""Every head's answer to this puzzle; a click on a cell opens that head."""

import streamlit as st

from pages.live.viewed import View
from pages.widgets.clicks import taking_head
from pages.widgets.drawing import drawn_once, show_chart
from pages.widgets.exports import offer_for_paper
from qkcore.charts.one_puzzle import puzzle_grid
from qkcore.charts.theme import CELL
from qkcore.results.one_puzzle import grid_frame
from qkcore.wording import escaped


def show_grid(view: View) -> None:
    """Chart, how to read it, table twin."""
    puzzle = view.puzzle
    voters = view.by.voters if view.by else ()
    frame = grid_frame(view.result.scores, view.by.typical if view.by else None, voters)
    st.header("Every head on this puzzle", anchor=False)
    towards = escaped(puzzle.candidates[puzzle.answer or 0])
    n_plus = int((frame["mark"] == "+").sum())
    what = "right" if puzzle.answer is not None else "for the first candidate"
    st.markdown(
        f"**{n_plus:,}** of {len(frame):,} heads are {what} ({towards}). Click a cell to open that "
        "head below."
    )
    key, absent = f"live grid {view.keys} {frame.shape[0]}", view.result.absent
    legend = "Margin, in usual sizes of each head"
    chart = drawn_once(puzzle_grid, frame, view.place, legend, absent)
    show_chart(
        chart,
        width="stretch",
        key=key,
        on_select=taking_head(key, view.keys),
        selection_mode=[CELL],
        alt=f"Margins of {len(frame):,} heads on this puzzle by layer and head, {n_plus:,} of them "
        f"{what}; the table below has the numbers",
    )
    good = " Dashed: the heads that vote, best on validation puzzles." if voters else ""
    usual = "the usual size of all heads on this puzzle"
    if view.by:
        usual = "its usual size on the run's puzzles"
    st.caption(
        f"Blue and +: the head's margin is for {towards}. Orange and −: against it. Paler is less "
        f"certain: each margin is divided by {usual}. Solid: the head in view.{good}"
    )
    with st.expander("Table and paper figure of this grid"):
        table = frame.sort_values("scaled", ascending=False)
        table = table[
            ["name", "layer", "head", "answer", "verdict", "margin", "scaled", "is_known_good"]
        ]
        st.dataframe(table, hide_index=True, width="stretch")
        offer_for_paper("heads-on-a-puzzle", chart.make, view.about)
