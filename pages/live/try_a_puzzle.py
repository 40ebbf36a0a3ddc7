"""Which heads get my puzzle right, and why?"""

import streamlit as st

from pages.live.panels.answers import show_answers
from pages.live.panels.changes import show_what_if
from pages.live.panels.fields import (
    dimmed_if_before,
    show_examples,
    show_input,
    show_unknown_words,
)
from pages.live.panels.grid import show_grid
from pages.live.panels.share import show_share
from pages.live.panels.switch_off import show_switch_off
from pages.live.panels.why import show_why
from pages.live.scoring import score
from pages.live.typed import asked_now, open_link
from pages.live.viewed import view_of

st.title("Try a puzzle")
st.markdown("Type a puzzle, or take an example, and see which heads get it right, and why.")
open_link()
show_examples()
show_input()
asked = asked_now()
if asked is not None:
    shared = asked.resolved()
    show_unknown_words(shared)
    with dimmed_if_before(asked):
        result = score(shared)
        if result is not None:
            view = view_of(shared, asked.truth, result)
            show_answers(view)
            show_grid(view)
            show_why(view)
            show_switch_off(view)
            show_what_if(view)
            show_share(view)
