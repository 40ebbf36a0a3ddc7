"""How a head answers, in ten seconds: a drawing that moves, of the run's stored worked example."""

import streamlit as st

from pages.main.stored import ask
from qkcore.charts.answering import answering, drawing
from qkcore.results.store import ResultStore


def show_how_a_head_answers(run_id: str) -> None:
    """The drawing; nothing where the run holds no example."""
    example = ask(ResultStore.worked_example, run_id)
    if example is None:
        return
    it = answering(example)
    is_dark = st.context.theme.type == "dark"
    st.image(drawing(it, is_dark), width="stretch", alt=it.sentence)
