"""One stored puzzle: its text, the right answer, and who says what."""

from typing import Any

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import ask
from pages.server.settings import ROOT, settings
from qkcore.asking.links import LinkError, Shared, encode, typed_puzzle
from qkcore.asking.options import roles_named
from qkcore.asking.templates import DEFAULT
from qkcore.results.answers import exam, texts
from qkcore.wording import END_OF_IT, RIGHT_TO_LEFT, escaped, is_right_to_left, short_name


def puzzle_titles(it: Chosen) -> dict[str, Any]:
    """`column_config` for tables of puzzles: what people read above the columns."""
    return {
        "puzzle_id": "Puzzle",
        "statement": st.column_config.TextColumn("Statement", width=220),
        "answer_text": "Answer",
        "steps": "Steps",
        "distractors": "Distractors",
        "right": "Right",
        "margin": st.column_config.NumberColumn(f"Margin of {it.name}", format="%.2f"),
    }


def columns_of(puzzles: pd.DataFrame) -> list[str]:
    """The columns of a table of puzzles that say something, the margin where it is in sight."""
    order = ["puzzle_id", "statement", "margin", "answer_text", "right", "steps", "distractors"]
    return [name for name in order if name in puzzles and puzzles[name].notna().any()]


def show_text(text: str) -> None:
    """A puzzle's text as it is; one that is written from right to left is shown so."""
    if is_right_to_left(text):
        st.text(f"{RIGHT_TO_LEFT}{text}{END_OF_IT}", text_alignment="right")
    else:
        st.code(text, language=None, wrap_lines=True)


def show_puzzle(it: Chosen, puzzle_id: str, vote: str) -> None:
    """Text, answers of model, head and vote, and the way to Try a puzzle."""
    puzzle = ask(texts, it.run_id, (puzzle_id,)).iloc[0]
    marks = ask(exam, it.run_id, it.layer, it.head, vote)
    own = marks[marks["puzzle_id"] == puzzle_id].iloc[0]
    st.header(puzzle_id, anchor=False)
    if pd.isna(puzzle["statement"]):
        st.caption("This puzzle set was published without its texts.")
    else:
        st.markdown("Context")
        show_text(puzzle["context"])
        st.markdown("Statement")
        show_text(puzzle["statement"])
    st.markdown(f"Right answer: **{escaped(puzzle['answer_text'])}**")
    for who, name in (
        ("model", "The model"),
        ("head", it.name),
        ("vote", vote[0].upper() + vote[1:]),
    ):
        choice = int(own[who])
        said = "cannot decide" if choice < 0 else f"says {escaped(puzzle['candidates'][choice])}"
        st.markdown(f"- {name} {said}: **{'right' if own[f'is_{who}_right'] else 'wrong'}**")
    if not pd.isna(puzzle["statement"]):
        _offer_to_try(it, puzzle, int(own["answer"]))


def _offer_to_try(it: Chosen, puzzle: pd.Series, answer: int) -> None:
    """A link to the live page with this puzzle, complete."""
    run, allowed = it.run, settings()
    model = allowed.offered_as(run["model"]) or allowed.offered[0]
    shared = Shared(
        typed_puzzle(puzzle["context"], puzzle["statement"], tuple(puzzle["candidates"]), answer),
        model,
        rope=run["rope"],
        # Its panels show candidates' queries, so a puzzle with options is asked as any other there.
        template=run["template"] if roles_named(run["template"]) == "answer" else DEFAULT,
        layer=it.layer,
        head=it.head,
    )
    try:
        text = encode(shared)
    except LinkError as error:
        st.caption(f"It cannot be opened in Try a puzzle: {error}.")
        return
    query = {"puzzle": text, "run": it.run_id, "layer": str(it.layer), "head": str(it.head)}
    st.page_link(
        ROOT / "pages/live/try_a_puzzle.py", label="Open in Try a puzzle", query_params=query
    )
    if allowed.offered_as(run["model"]) is None:
        st.caption(
            f"There it is scored with {escaped(short_name(model))}: {escaped(run['model_name'])} "
            "is not offered here."
        )
