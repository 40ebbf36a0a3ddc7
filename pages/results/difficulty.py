"""How do head, model, vote and rules do as puzzles take more steps, or hold more distractors?"""

import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick
from pages.main.stored import ask
from pages.widgets.curves import exam_of, show_curves
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.rules import MEASURE_NAMES
from qkcore.charts.grids import gap_grid
from qkcore.results.answers import DEFAULT_VOTE, VOTES, exam
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import DIFFICULTY, gaps
from qkcore.wording import gap_text

it = chosen()
st.title("Difficulty")
vote = pick(
    st,
    "Vote",
    "vote",
    list(VOTES),
    DEFAULT_VOTE,
    help="Heads that vote are the best on validation puzzles.",
)
marks = exam_of(it, vote)


def show_gap_grid() -> None:
    """The gap at each difficulty, for the head or the vote."""
    st.header("Gap to the model by steps and distractors", anchor=False)
    known = marks.dropna(subset=list(DIFFICULTY))
    if known.empty:
        st.caption(
            "The puzzles of this run do not say both steps and distractors, so there is no grid."
        )
        return
    who = pick(st, "Gap of", "gap_of", ["chosen head", "vote"])
    voice, name = ("vote", vote) if who == "vote" else ("head", it.name)
    measure = ask(ResultStore.measure, it.run_id)
    cells = gaps(known, DIFFICULTY, voice, "model", measure)
    whole = gaps(marks, [], voice, "model", measure).iloc[0]
    chart = drawn(gap_grid, cells, f"Gap of {name}, points")
    show_chart(
        chart,
        width="stretch",
        key=f"gap grid {it.run_id} {it.name} {vote} {who}",
        alt=f"Gap between {name} and the model at each number of steps and distractors; the table "
        "has the numbers",
    )
    st.caption(
        f"Points of {MEASURE_NAMES[measure]} that {name} is ahead of the model (blue) or behind "
        f"(orange); intervals and p are "
        f"in the tooltips and the table. The smallest cell holds {cells['n'].min():,} test "
        f"puzzles, so single cells are noisy; all {len(marks):,} together: "
        f"{gap_text(*whole[['gap', 'low', 'high', 'p']])}."
    )
    offer(
        "gap-grid",
        cells,
        python_for(
            exam,
            it.run_id,
            it.layer,
            it.head,
            vote,
            then=(gaps, list(DIFFICULTY), voice, "model", measure),
        ),
        chart.make,
    )


if marks.empty:
    st.info(
        'This run has no test puzzles: give some puzzles of the file the split "test" and score it '
        "again."
    )
else:
    st.header("By steps", anchor=False)
    show_curves(it, marks, "steps", vote)
    st.header("By distractors", anchor=False)
    show_curves(it, marks, "distractors", vote)
    show_gap_grid()
