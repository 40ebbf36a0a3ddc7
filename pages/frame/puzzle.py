"""One stored puzzle: its text, the right answer, and who says what."""

import pandas as pd
import streamlit as st

from pages.frame.chosen import Chosen
from pages.frame.reading import ask
from qkcore.answers import exam, texts
from qkcore.wording import escaped


def show_puzzle(it: Chosen, puzzle_id: str, vote: str) -> None:
    """Text, answers of model, head and vote, and the way to Try a puzzle."""
    puzzle = ask(texts, it.run_id, (puzzle_id,)).iloc[0]
    marks = ask(exam, it.run_id, it.layer, it.head, vote)
    own = marks[marks["puzzle_id"] == puzzle_id].iloc[0]
    st.subheader(puzzle_id, anchor=False)
    if pd.isna(puzzle["statement"]):
        st.caption("This puzzle set was published without its texts.")
    else:
        st.markdown("Context")
        st.code(puzzle["context"], language=None, wrap_lines=True)
        st.markdown("Statement")
        st.code(puzzle["statement"], language=None, wrap_lines=True)
    st.markdown(f"Right answer: **{escaped(puzzle['answer_text'])}**")
    for who, name in (("model", "The model"), ("head", it.name), ("vote", vote[0].upper() + vote[1:])):
        choice = int(own[who])
        said = "cannot decide" if choice < 0 else f"says {escaped(puzzle['candidates'][choice])}"
        st.markdown(f"- {name} {said}: **{'right' if own[f'is_{who}_right'] else 'wrong'}**")
