"""The chosen head beside the model by steps or distractors: drawn on more than one page."""

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import ask, ask_known
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.rules import MEASURE_NAMES
from qkcore.charts.curves import RULE, difficulty_curves
from qkcore.results.answers import DEFAULT_VOTE, exam
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import accuracy_by


def exam_of(
    it: Chosen, vote: str = DEFAULT_VOTE, steps: int | None = None, distractors: int | None = None
) -> pd.DataFrame:
    """`answers.exam` of the chosen head, on test puzzles of these steps and distractors."""
    marks = ask(exam, it.run_id, it.layer, it.head, vote)
    for name, value in (("steps", steps), ("distractors", distractors)):
        if value is not None:
            marks = marks[marks[name] == value]
    return marks


def show_curves(
    it: Chosen,
    marks: pd.DataFrame,
    by: str,
    vote: str | None = None,
    distractors: int | None = None,
) -> None:
    """Chart, reading line and downloads of the test puzzles marked.

    They all have these distractors (None: all).
    """
    marks = marks.dropna(subset=[by])
    if marks.empty:
        st.caption(f"The puzzles of this run do not say their {by}, so there is no curve.")
        return
    who = ("head", "model", *(["vote"] if vote else []))
    measure = ask(ResultStore.measure, it.run_id)
    curves = lines = accuracy_by(marks, [by], who, measure)
    rule = ask(ResultStore.best_rule, it.run_id, measure)
    if rule is not None:
        of_rule = accuracy_by(marks, [by], ["rule"], measure).assign(who=RULE)
        lines = pd.concat([curves, of_rule], ignore_index=True)
    chance = ask_known(ResultStore.chance, it.run_id, "test", None, distractors)
    named = {"head": it.name} | ({"vote": vote} if vote else {})
    chart = drawn(
        difficulty_curves,
        lines.replace({"who": named}),
        ask(ResultStore.luck_lines, it.run_id, "test", by, distractors, measure),
        chance,
        it.name,
        by,
        vote,
        MEASURE_NAMES[measure].capitalize(),
        rule,
    )
    show_chart(
        chart,
        width="stretch",
        key=f"curves {by} {it.run_id} {it.name} {distractors} {vote}",
        alt=f"Accuracy of {it.name} and of the model on test puzzles by {by}; the table below has "
        "the numbers",
    )
    voters = f" Diamonds: {vote} heads, the best on validation puzzles." if vote else ""
    dashed = (
        " Dashed: the surface rule that does best on validation puzzles, "
        f'"{rule}", which reads no logic.'
    )
    st.caption(
        f"Circles: {it.name}. Squares: the model.{voters} Bands are 95 % intervals."
        f"{'' if rule is None else dashed} Dotted: the luck line, what the best of all heads gets "
        f"by guessing (95th percentile). Test puzzles, n = {len(marks):,}."
    )
    question = (exam, it.run_id, it.layer, it.head, vote or DEFAULT_VOTE)
    if distractors is None:
        code = python_for(*question, then=(accuracy_by, [by], who, measure))
    else:
        code = python_for(*question) + _only(distractors, by, who, measure)
    offer(f"accuracy-by-{by}", curves, code, chart.make)


def _only(distractors: int, by: str, who: tuple[str, ...], measure: str) -> str:
    """More Python: the answer's puzzles of these distractors, then the curve."""
    return (
        f'\nanswer = answer[answer["distractors"] == {distractors}]\n'
        "from qkcore import accuracy_by\n"
        f"print(accuracy_by(answer, {[by]!r}, {who!r}, {measure!r}))"
    )
