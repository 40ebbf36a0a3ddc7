"""What the head in view matches: its candidates' queries against every token of the prompt."""

import numpy as np
import pandas as pd
import streamlit as st

from pages.live.viewed import View
from pages.widgets.drawing import drawn_once, show_chart
from qkcore.charts.one_puzzle import MAX_TOKENS, premise_bars, token_strip
from qkcore.wording import escaped

SINK = (
    "Queries of nearly all heads are far apart from the first token's key, or close to it, "
    "whatever the puzzle is (it serves as a resting place for attention). In the scale it would "
    "leave all others pale."
)


def show_why(view: View) -> None:
    """Tinted prompt on the left, sums of premises on the right, table twins."""
    st.header(f"What the query of {view.name} matches", anchor=False)
    values, shown, has_sink = _picked(view)
    frame, premises = _tokens(view, values, has_sink), _premises(view, values)
    st.markdown(
        "The ringed token is where the key is read: its value, "
        f"**{values[view.result.alignment.key_at]:.3g}**, is what the head answers by "
        f"({escaped(shown)}). The others show what else the query resembles."
    )
    left, right = st.columns([3, 2])
    show_chart(
        drawn_once(token_strip, frame, "Query times key of each token"),
        left,
        width="content",
        key="live strip",
        alt=f"The prompt, each token tinted by the product of its key with the query of {shown}; "
        "the table below has the numbers",
    )
    if len(frame) > MAX_TOKENS:
        left.caption(
            f"The first {MAX_TOKENS:,} of {len(frame):,} tokens are drawn; the table has all."
        )
    if len(premises):
        show_chart(
            drawn_once(premise_bars, premises, "Sum over its tokens"),
            right,
            width="stretch",
            key="live premises",
            alt="Sum of the products over each premise's tokens, those of the proof marked; the "
            "table below has them",
        )
        right.caption("Diamonds: premises of the proof.")
    with st.expander("Tables of these charts"):
        st.dataframe(premises, hide_index=True, width="stretch")
        st.dataframe(frame, hide_index=True, width="stretch")


def _picked(view: View) -> tuple[np.ndarray, str, bool]:
    """The products to show, in words whose they are, and whether the scale has the first token."""
    candidates, alignment = view.puzzle.candidates, view.result.alignment
    first = view.puzzle.answer or 0
    scores = view.result.scores.of(*view.place).tolist()
    others = [one for one in range(len(candidates)) if one != first]
    second = max(others, key=scores.__getitem__)
    names = [f"{candidates[first]} minus {candidates[second]}", *candidates]
    left, right = st.columns(2, vertical_alignment="bottom")
    # The names are in the key: the browser keeps a box whose key stays, and with it the words of
    # the last puzzle.
    number = left.selectbox(
        "Whose query", range(len(names)), format_func=names.__getitem__, key=f"live query {names}"
    )
    has_sink = right.toggle("First token in the scale", key="live sink", help=SINK)
    pair = (first, second) if number == 0 else (number - 1,)
    return alignment.of(*view.place, *pair), names[number], has_sink


def _tokens(view: View, values: np.ndarray, has_sink: bool) -> pd.DataFrame:
    alignment = view.result.alignment
    numbers = np.arange(len(values))
    return pd.DataFrame(
        {
            "token": numbers,
            "text": alignment.texts,
            "premise": pd.array(alignment.premises, dtype="Int64"),
            "value": values,
            "is_key": numbers == alignment.key_at,
            "in_scale": has_sink | (numbers > 0),
        }
    )


def _premises(view: View, values: np.ndarray) -> pd.DataFrame:
    alignment, proof = view.result.alignment, view.truth.proof
    roles = [
        "in the proof" if one in proof else "not in it" if proof else ""
        for one in alignment.sentences
    ]
    return pd.DataFrame(
        {
            "premise": range(1, len(alignment.sentences) + 1),
            "sentence": alignment.sentences,
            "value": alignment.by_premise(values),
            "role": roles,
        }
    )
