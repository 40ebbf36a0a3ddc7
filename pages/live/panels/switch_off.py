"""What if the head in view were not there? The model's answer without it, and without others."""

import pandas as pd
import streamlit as st

from pages.live.switching import without
from pages.live.viewed import View
from pages.live.work import N_MEAN, Without
from pages.main.controls import linked
from pages.widgets.drawing import drawn_once, show_chart
from pages.widgets.exports import offer_for_paper
from qkcore.charts.effects import switched_off_strip
from qkcore.results.one_puzzle import n_as_moving, without_rows
from qkcore.results.scores import RIGHT, WRONG
from qkcore.wording import escaped, with_minus

OFF = "off"  # in the address
SIGNS = {RIGHT: "✓ right", WRONG: "✗ wrong", "": "?"}


def show_switch_off(view: View) -> None:
    """A switch; then who answers what, in a sentence, a strip and a table."""
    st.header(f"Does the model need {view.name} here?", anchor=False)
    if not st.toggle("Switch this head off", key=OFF, bind="query-params"):
        st.caption(
            "The answer can be read in many heads; whether the model uses one shows when it is "
            "gone."
        )
        return
    linked()[OFF] = "true"
    found = without(view.shared)
    if found is None:
        return
    rows = without_rows(view.puzzle, found.heads, found.logits)
    st.markdown(f"{_sentence(view, rows)} {_stands_out(view, rows)}")
    towards = escaped(str(rows["towards"].iloc[0]))
    chart = drawn_once(switched_off_strip, rows, f"Lead of {rows['towards'].iloc[0]} (logits)")
    show_chart(
        chart,
        width="stretch",
        key="live off strip",
        alt=f"The model's lead of {towards} as it is, with {view.name} off, and with each of some "
        "other heads of its layer off; the table below has the numbers",
    )
    st.caption(_how(view, found))
    with st.expander("Table and paper figure of this chart"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Switched off": rows["name"],
                    "Answer": rows["answer"],
                    "That is": rows["verdict"].map(SIGNS),
                    f"Lead of {rows['towards'].iloc[0]}": rows["lead"],
                    "Moved by": rows["moved"],
                }
            ),
            hide_index=True,
            width="stretch",
        )
        offer_for_paper("a-head-off", chart.make, view.about)


def _sentence(view: View, rows: pd.DataFrame) -> str:
    """The answer with and without the head."""
    model, head = rows.iloc[0], rows.iloc[1]
    still = " still" if model["answer"] == head["answer"] else ""
    return (
        f"As it is, the model says **{escaped(model['answer'])}**, by a lead of "
        f"{_logits(model['lead'])} for {escaped(model['towards'])}. Without {view.name} it says "
        f"**{escaped(head['answer'])}**{still}, by {_logits(head['lead'])}."
    )


def _stands_out(view: View, rows: pd.DataFrame) -> str:
    """Whether other heads of the layer move the answer as much."""
    n_as_much, n = n_as_moving(rows)
    layer = view.place[0]
    if not n:
        return f"Layer {layer} has no other head to compare with."
    others = f"the other {n} heads" if n > 1 else "the other head"
    if view.result.scores.qk.shape[1] - 1 > n:
        others = f"{n} random heads"
    if not n_as_much:
        return f"**It stands out**: none of {others} of layer {layer} moves that as much."
    return (
        f"**It does not stand out**: of {others} of layer {layer}, {n_as_much} "
        f"move{'s' * (n_as_much == 1)} that as much."
    )


def _how(view: View, found: Without) -> str:
    return (
        "Square: the model as it is; diamond: without this head; ticks: without each of the "
        "others, one at a time. Right of zero the model prefers "
        f"{escaped(view.puzzle.candidates[view.puzzle.answer or 0])}. A head is switched off by "
        f"putting its mean over the tokens of {N_MEAN} generated puzzles in {found.style} words "
        "in its output's place, for a typed puzzle has no validation puzzles. One puzzle "
        "shows little; Head vs. model has a whole set, where heads of the run were switched off."
    )


def _logits(lead: float) -> str:
    return with_minus(f"{lead:+.3g}")
