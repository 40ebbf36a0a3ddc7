"""Panels of one head: what it is like, its margins, and the puzzles only it gets right."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import ask
from pages.server.settings import ROOT
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.puzzle import columns_of, puzzle_titles
from pages.widgets.rules import MEASURE_NAMES
from pages.widgets.verdict import chosen_sentence
from qkcore.charts.curves import margin_curves
from qkcore.charts.left_over import stability_curve
from qkcore.results.answers import exam, texts
from qkcore.results.profile import ANSWER, RIGHT, SAME, SAYS, head_profile
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import verdicts
from qkcore.wording import accuracy_text, escaped, head_name, percent, texts_of

N_SHOWN = 20  # puzzles


def show_profile(it: Chosen, steps: int | None, distractors: int | None) -> None:
    """Accuracy on each answer, what it leans to, whom it agrees with, whose keys it shares."""
    asked = (it.run_id, it.layer, it.head, steps, distractors)
    profile = ask(head_profile, *asked)
    lines = []
    if (profile["what"] == RIGHT).any():
        right = _quoted(profile, RIGHT, accuracy_text, "share", "low", "high", "n")
        said, due = (_quoted(profile, what, percent, "share") for what in (SAYS, ANSWER))
        lines += [
            f"**Right** where the answer is {'; '.join(right)}.",
            f"**Says** {', '.join(said)} of the time; the answer is {', '.join(due)}.",
        ]
    same = profile[profile["what"] == SAME]
    shares = texts_of(same, accuracy_text, "share", "low", "high", "n")
    agreed = [f"{escaped(who)} {text}" for who, text in zip(same["of"], shares, strict=True)]
    lines.append(f"**Says the same as** {'; '.join(agreed)}.")
    st.markdown("\n".join(f"- {line}" for line in [*lines, *_of_the_choice(it)]))
    query = {"run": it.run_id, "layer": str(it.layer), "head": str(it.head)}
    st.page_link(
        ROOT / "pages/live/try_a_puzzle.py", label=f"Try a puzzle on {it.name}", query_params=query
    )
    offer("head-profile", profile, python_for(head_profile, *asked))


def _quoted(
    profile: pd.DataFrame, what: str, wording: Callable[..., str], *columns: str
) -> list[str]:
    """Each candidate in quotes, with what the profile says of it."""
    rows = profile[profile["what"] == what]
    said = texts_of(rows, wording, *columns)
    return [f'"{escaped(one)}" {text}' for one, text in zip(rows["of"], said, strict=True)]


def _of_the_choice(it: Chosen) -> list[str]:
    """How often validation puzzles choose the head, and with which heads it shares keys."""
    facts = ask(ResultStore.head_facts, it.run_id)
    own = facts[(facts["layer"] == it.layer) & (facts["head"] == it.head)]
    lines = []
    if len(own) and not pd.isna(own["chosen_share"].iloc[0]):
        lines.append(
            f"**Chosen** in {100 * own['chosen_share'].iloc[0]:.0f} of 100 draws of validation "
            "groups."
        )
    n_sharing = int(it.run["n_heads"]) // int(it.run["n_kv_heads"])
    number = it.head // n_sharing
    others = [
        head_name(it.layer, head)
        for head in range(number * n_sharing, (number + 1) * n_sharing)
        if head != it.head
    ]
    shared = f"shared with {', '.join(others)}" if others else "its own"
    return [*lines, f"**Keys** of kv head {number}, {shared}."]


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
    won = won.merge(ask(texts, it.run_id, tuple(won["puzzle_id"])), on="puzzle_id")
    st.dataframe(
        won[columns_of(won)],
        hide_index=True,
        width="stretch",
        column_config=puzzle_titles(it),
        alt=f"Puzzles that {it.name} gets right and the model wrong",
    )
    st.caption(
        f"The {len(won)} of them with the largest margins. The Puzzles page has all of them, to "
        "read and filter."
    )
