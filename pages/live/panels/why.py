"""Why the head in view answers so: its candidates' queries against every token of the prompt."""

import pandas as pd
import streamlit as st

from pages.live.panels.viewed import View
from qkcore.live_charts import MAX_TOKENS, premise_bars, token_strip
from qkcore.what_if import truth
from qkcore.wording import escaped

SINK = (
    "Queries of nearly all heads are far apart from the first token's key, or close to it, whatever the puzzle is (it "
    "serves as a resting place for attention). In the scale it would leave all others pale."
)


def show_why(view: View) -> None:
    """Tinted prompt on the left, sums of premises on the right, table twin."""
    alignment, candidates = view.result.alignment, view.asked.candidates
    first = view.asked.answer or 0
    scores = view.result.scored.qk[view.layer, view.head]
    second = max((one for one in range(len(candidates)) if one != first), key=lambda one: scores[one])
    st.subheader(f"Why {view.name} answers so", anchor=False)
    left, right = st.columns(2, vertical_alignment="bottom")
    shown = [f"{candidates[first]} minus {candidates[second]}", *candidates]
    number = left.selectbox(
        "Whose query", range(len(shown)), format_func=shown.__getitem__, key=f"live query {len(shown)}"
    )
    has_sink = right.toggle("First token in the scale", key="live sink", help=SINK)
    values = (
        alignment.of(view.layer, view.head, first, second)
        if number == 0
        else alignment.of(view.layer, view.head, number - 1)
    )
    frame = pd.DataFrame(
        {"token": range(len(values)), "text": alignment.texts, "premise": alignment.premises, "value": values}
    )
    frame["premise"] = frame["premise"].astype("Int64")
    frame["is_key"] = frame["token"] == alignment.key_at
    frame["in_scale"] = has_sink | (frame["token"] > 0)
    at_key = float(values[alignment.key_at])
    what = "margin" if number == 0 and view.asked.answer is not None else "score" if number else "difference"
    st.markdown(
        f"The ringed token is where the key is read: its value, **{at_key:.3g}**, is the head's {what} "
        f"({escaped(shown[number])}). The others show what else the query resembles."
    )
    left, right = st.columns([3, 2])
    left.altair_chart(
        token_strip(frame, "Query times key of each token"),
        width="content",
        key="live strip",
        alt=f"The prompt, each token tinted by the product of its key with the query of {shown[number]}; the table "
        "below has the numbers",
    )
    if len(frame) > MAX_TOKENS:
        left.caption(f"The first {MAX_TOKENS:,} of {len(frame):,} tokens are drawn; the table has all.")
    premises = _premises(view, values)
    if len(premises):
        right.altair_chart(
            premise_bars(premises, "Sum over its tokens"),
            width="stretch",
            key="live premises",
            alt="Sum of the products over each premise's tokens, those of the proof marked; the table below has them",
        )
        right.caption("Diamonds: premises of the proof.")
    with st.expander("Tables of these charts"):
        st.dataframe(premises, hide_index=True, width="stretch")
        st.dataframe(frame, hide_index=True, width="stretch")


def _premises(view: View, values) -> pd.DataFrame:
    alignment, puzzle = view.result.alignment, view.asked.puzzle
    solution = truth(puzzle.context, puzzle.statement, puzzle.candidates).solution
    proof = solution.proof if solution else ()
    roles = ["in the proof" if one in proof else "not in it" if proof else "" for one in alignment.sentences]
    return pd.DataFrame(
        {
            "premise": range(1, len(alignment.sentences) + 1),
            "sentence": alignment.sentences,
            "value": alignment.by_premise(values),
            "role": roles,
        }
    )
