"""Which puzzles does the head get right, and the model wrong? Read them one by one."""

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import ALL, pick, pick_difficulty, type_text
from pages.main.stored import ask
from pages.widgets.clicks import taking_puzzle
from pages.widgets.curves import exam_of
from pages.widgets.exports import offer, python_for
from pages.widgets.puzzle import columns_of, puzzle_titles, show_puzzle
from qkcore.results.answers import DEFAULT_VOTE, VOTES, exam, find_texts, texts
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import VERDICTS, verdicts

it = chosen()
st.title("Puzzles")
RIGHT = {
    "both": f"both {it.name} and the model",
    "only head": f"only {it.name}",
    "only model": "only the model",
    "neither": "neither",
}
N_LISTED = 500


def pick_puzzles() -> tuple[pd.DataFrame, str]:
    """The test puzzles that all filters let through, with who is right; and the vote picked."""
    first, second, third = st.columns(3)
    verdict = pick(first, "Right", "right", [ALL, *VERDICTS])
    names = ask(ResultStore.candidates, it.run_id) or ()
    answer = pick(second, "Answer", "answer", [ALL, *names]) if names else ALL
    vote = pick(third, "Vote", "vote", list(VOTES), DEFAULT_VOTE)
    first, second, third = st.columns(3)
    steps = pick_difficulty(first, it.run_id, "steps")
    distractors = pick_difficulty(second, it.run_id, "distractors")
    wanted = type_text(third, "Text in statement or context", "find")
    marks = exam_of(it, vote, steps, distractors)
    marks = marks.assign(right=verdicts(marks))
    if verdict != ALL:
        marks = marks[marks["right"] == verdict]
    if answer != ALL:
        marks = marks[marks["answer"] == names.index(answer)]
    if wanted:
        marks = marks[marks["puzzle_id"].isin(ask(find_texts, it.run_id, wanted))]
    return marks, vote


def pick_puzzle(passing: list[str], listed: list[str]) -> str:
    """The puzzle to read, one that passes the filters.

    One that no longer passes makes room for the first that does; only what no test puzzle is
    called is worth a sentence (`pick` says it).
    """
    asked = st.session_state.get("puzzle_id") or st.query_params.get("puzzle_id")
    if asked in passing:
        listed = list(dict.fromkeys([*listed, asked]))
    elif asked in set(exam_of(it)["puzzle_id"]):
        st.session_state.puzzle_id = listed[0]
    return pick(st, "Puzzle", "puzzle_id", listed)


if ask(ResultStore.difficulties, it.run_id, "test").empty:
    st.info(
        'This run has no test puzzles: give some puzzles of the file the split "test" and score it '
        "again."
    )
else:
    marks, vote = pick_puzzles()
    listed = marks.head(N_LISTED)
    shown = listed.merge(ask(texts, it.run_id, tuple(listed["puzzle_id"])), on="puzzle_id")
    shown = shown.assign(right=listed["right"].map(RIGHT).to_numpy())
    table_key = f"puzzles {it.run_id} {it.name}"
    st.markdown(
        f"**{len(marks):,}** test puzzles."
        + (f" The first {N_LISTED} are listed." if len(marks) > N_LISTED else "")
    )
    if marks.empty:
        st.info("No test puzzle passes all of these filters; loosen one.")
    else:
        st.dataframe(
            shown[columns_of(shown)],
            hide_index=True,
            width="stretch",
            height=260,
            key=table_key,
            on_select=taking_puzzle(table_key, shown["puzzle_id"].tolist()),
            selection_mode="single-row",
            column_config=puzzle_titles(it),
            alt="Test puzzles that pass the filters",
        )
        opened = pick_puzzle(marks["puzzle_id"].tolist(), shown["puzzle_id"].tolist())
        show_puzzle(it, opened, vote)
        offer("puzzles", marks, python_for(exam, it.run_id, it.layer, it.head, vote))
