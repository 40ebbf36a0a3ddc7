"""The chosen head beside the model by steps or distractors: drawn on more than one page."""

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import ask
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from qkcore.charts.curves import RULE, difficulty_curves
from qkcore.results.answers import DEFAULT_VOTE, exam
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import accuracy_by
from qkcore.statistics.metrics import with_accuracy


def exam_of(
    it: Chosen, vote: str = DEFAULT_VOTE, steps: int | None = None, distractors: int | None = None
):
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
):
    """Chart, reading line and downloads of the test puzzles marked, which all have these
    distractors (None: all).
    """
    marks = marks.dropna(subset=[by])
    if marks.empty:
        st.caption(f"The puzzles of this run do not say their {by}, so there is no curve.")
        return
    who = ("head", "model", *(["vote"] if vote else []))
    curves = accuracy_by(marks, [by], who)
    rule = _rule_curve(it, by, distractors)
    chance = ask(ResultStore.chance, it.run_id, "test", None, distractors)
    named = {"head": it.name, "vote": vote}
    chart = drawn(
        difficulty_curves,
        pd.concat([curves, rule], ignore_index=True).replace({"who": named}),
        ask(ResultStore.luck_lines, it.run_id, "test", by, distractors),
        chance,
        it.name,
        by,
        vote,
    )
    show_chart(
        chart,
        width="stretch",
        key=f"curves {by} {it.run_id} {it.name} {distractors} {vote}",
        alt=f"Accuracy of {it.name} and of the model on test puzzles by {by}; the table below has "
        "the numbers",
    )
    voters = f" Diamonds: {vote} heads, the best on validation puzzles." if vote else ""
    st.caption(
        f"Circles: {it.name}. Squares: the model.{voters} Bands are 95 % intervals. Dashed: the "
        "surface rule that does best on validation puzzles, "
        f'"{ask(ResultStore.best_rule, it.run_id)}", which reads no logic. Dotted: the luck line, '
        "what the best of all heads gets by guessing (95th percentile). Test puzzles, n = "
        f"{len(marks):,}."
    )
    question = (exam, it.run_id, it.layer, it.head, vote or DEFAULT_VOTE)
    if distractors is None:
        offer(
            f"accuracy-by-{by}",
            curves,
            python_for(*question, then=(accuracy_by, [by], who)),
            chart.make,
        )
    else:
        offer(
            f"accuracy-by-{by}",
            curves,
            python_for(*question) + _only(distractors, by, who),
            chart.make,
        )


def _only(distractors: int, by: str, who: tuple) -> str:
    """More Python: the answer's puzzles of these distractors, then the curve."""
    return (
        f'\nanswer = answer[answer["distractors"] == {distractors}]\n'
        f"from qkcore import accuracy_by\nprint(accuracy_by(answer, {[by]!r}, {who!r}))"
    )


def _rule_curve(it: Chosen, by: str, distractors: int | None) -> pd.DataFrame:
    cells = ask(ResultStore.rule_cells, it.run_id, "test", ask(ResultStore.best_rule, it.run_id))
    if distractors is not None:
        cells = cells[cells["distractors"] == distractors]
    counts = cells.groupby(by, as_index=False)[["n", "n_right"]].sum()
    return with_accuracy(counts).assign(who=RULE)
