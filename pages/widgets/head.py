"""Panels of one head: its margins, and the puzzles that it gets right and the model wrong."""

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import ask
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.puzzle import puzzle_titles
from pages.widgets.rules import MEASURE_NAMES
from pages.widgets.verdict import chosen_sentence
from qkcore.charts.curves import margin_curves
from qkcore.charts.left_over import stability_curve
from qkcore.results.answers import exam, texts
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import verdicts

N_SHOWN = 20  # puzzles


def show_stability(it: Chosen) -> None:
    """How sure the choice of the head is, and how many puzzles it takes."""
    table = ask(ResultStore.stability, it.run_id)
    if table.empty:
        return
    measure = ask(ResultStore.measure, it.run_id)
    st.markdown(chosen_sentence(it))
    chart = drawn(stability_curve, table, f"Test {MEASURE_NAMES[measure]}")
    show_chart(
        chart,
        width="stretch",
        key=f"stability {it.run_id}",
        alt="Test accuracy of the chosen head by the number of validation puzzles that chose it; "
        "the table below has the numbers",
    )
    st.caption(
        "What the chosen head gets on test puzzles, whichever it is, by how many validation "
        "puzzles chose it: median and 5th to 95th percentile of 200 draws of groups."
    )
    offer("stability", table, python_for(ResultStore.stability, it.run_id), chart.make)


def show_margins(it: Chosen, marks: pd.DataFrame) -> None:
    """How sure the head is, by answer."""
    chart = drawn(margin_curves, marks, ask(ResultStore.candidates, it.run_id))
    show_chart(
        chart,
        width="stretch",
        key=f"margins {it.run_id} {it.name}",
        alt=f"How the margins of {it.name} spread over test puzzles, by right answer; downloads "
        "below hold the numbers",
    )
    st.caption(
        f"How far {it.name} puts the right candidate ahead, a line for each right answer. Right of "
        "zero it is right. Two lines far apart are a head that leans to one answer whatever the "
        "puzzle."
    )
    table = marks[["puzzle_id", "steps", "distractors", "answer", "margin"]]
    offer("margins", table, python_for(exam, it.run_id, it.layer, it.head), chart.make)


def show_disagreements(it: Chosen, marks: pd.DataFrame) -> None:
    """Puzzles the head gets right and the model wrong, the head's surest first."""
    won = marks[verdicts(marks) == "only head"].nlargest(N_SHOWN, "margin")
    n_won = int((verdicts(marks) == "only head").sum())
    st.markdown(
        f"**{n_won:,}** of these {len(marks):,} test puzzles {it.name} gets right and the model "
        "wrong."
    )
    if won.empty:
        return
    known = ask(texts, it.run_id, tuple(won["puzzle_id"]))
    st.dataframe(
        won.merge(known, on="puzzle_id")[
            ["puzzle_id", "statement", "answer_text", "steps", "distractors", "margin"]
        ],
        hide_index=True,
        width="stretch",
        column_config=puzzle_titles(it),
        alt=f"Puzzles that {it.name} gets right and the model wrong",
    )
    st.caption(
        f"The {len(won)} of them with the largest margins. The Puzzles page has all of them, to "
        "read and filter."
    )
