"""What the head in view matches: its candidates' queries against every token of the prompt."""

import zlib
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.live.leaving_out import leaving_out_clicked, leaving_out_picked, left_out, put_back
from pages.live.viewed import View
from pages.widgets.drawing import drawn_once, show_chart
from pages.widgets.exports import offer_for_paper
from qkcore.charts.one_puzzle import premise_bars
from qkcore.charts.theme import CELL
from qkcore.charts.tokens import MAX_TOKENS, token_strip
from qkcore.wording import escaped, with_minus

SINK = (
    "Queries of nearly all heads are far apart from the first token's key, or close to it, "
    "whatever the puzzle is (it serves as a resting place for attention). In the scale it would "
    "leave all others pale."
)


def show_why(view: View) -> None:
    """Tinted prompt, a premise to leave out, sums of premises, table twins."""
    st.header(f"What the query of {view.name} matches", anchor=False)
    values, shown, has_sink = _picked(view)
    frame, premises = _tokens(view, values, has_sink), _premises(view, values)
    at_key = with_minus(f"{values[view.result.alignment.key_at]:.3g}")
    st.markdown(
        "The ringed token is where the key is read: its value, "
        f"**{at_key}**, is what the head answers by "
        f"({escaped(shown)}). The others show what else the query resembles."
    )
    _show_strip(view, frame, shown)
    _offer_to_leave_out(view)
    chart = drawn_once(premise_bars, premises, "Sum over its tokens") if len(premises) else None
    if chart:
        show_chart(
            chart,
            width="stretch",
            key="live premises",
            alt="Sum of the products over each premise's tokens, those of the proof marked; the "
            "table below has them",
        )
        st.caption("Diamonds: premises of the proof.")
    with st.expander("Tables of these charts, and a paper figure"):
        st.dataframe(premises, hide_index=True, width="stretch")
        st.dataframe(frame, hide_index=True, width="stretch")
        if chart:
            offer_for_paper("premises", chart.make, f"{view.about}, {view.name}, {shown}")


def _key_of(view: View, what: str) -> str:
    """A key of this puzzle's: with another puzzle, nothing is picked yet."""
    return f"live {what} {zlib.crc32(view.puzzle.context.encode())}"


def _show_strip(view: View, frame: pd.DataFrame, shown: str) -> None:
    """The prompt; a click leaves out a premise."""
    key = _key_of(view, "strip")
    clicks: dict[str, Any] = {}
    if len(view.result.alignment.sentences) > 1:
        clicks = {"on_select": leaving_out_clicked(key), "selection_mode": [CELL]}
    show_chart(
        drawn_once(token_strip, frame, "Query times key of each token"),
        width="stretch",
        key=key,
        alt=f"The prompt, each token tinted by the product of its key with the query of {shown}; "
        "the table below has the numbers",
        **clicks,
    )
    if len(frame) > MAX_TOKENS:
        st.caption(
            f"The first {MAX_TOKENS:,} of {len(frame):,} tokens are drawn; the table has all."
        )


def _offer_to_leave_out(view: View) -> None:
    """The same as a click, for the keyboard; and the way back."""
    sentences = view.result.alignment.sentences
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    if len(sentences) > 1:
        key = _key_of(view, "leave out")
        left.selectbox(
            "Leave out a premise and score again",
            range(len(sentences)),
            index=None,
            format_func=lambda one: f"{one + 1}. {sentences[one]}",
            placeholder="Choose a premise, or click it above",
            key=key,
            on_change=leaving_out_picked(key),
        )
    if out := left_out():
        right.button("Put it back", on_click=put_back, key="live put back", width="stretch")
        st.caption(f"Left out: {escaped(' '.join(one.premise for one in out))}")


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
