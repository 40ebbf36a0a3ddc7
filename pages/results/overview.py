"""Which head of the chosen run is best, and is it more right than the model itself?"""

import streamlit as st

from pages.frame.chosen import chosen
from pages.frame.curves import show_curves
from pages.frame.reading import ask
from pages.frame.rules import rule_sentence
from qkcore.wording import accuracy_text, escaped, gap_text, percent

it = chosen()
st.title("Which heads get a logic puzzle right?")
st.markdown(
    "Every attention head of a language model sits an exam here: on each logic puzzle, it answers with the candidate "
    "whose query matches the key at the statement's end best (its QK-score). The question is which heads get the "
    "puzzles right, and whether they are more right than the model's own output."
)

st.subheader(f"{escaped(it.run['model'])} on {escaped(it.run['puzzle_set'])}", anchor=False)
heads = ask("head_accuracy", it.run_id, "test")
model = ask("model_accuracy", it.run_id, "test")
own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)]
if own.empty:
    st.info(
        "This run has no test puzzles, so there is nothing to report: give some puzzles of the file the split "
        '"test" and score it again.'
    )
else:
    quoted = ["accuracy", "low", "high", "n"]
    gap = ask("gap", it.run_id, it.layer, it.head, "test")
    luck = ask("luck", it.run_id, "test").iloc[0]
    st.markdown(
        f"**{it.name}**, {it.how}, answers **{accuracy_text(*own[quoted].iloc[0])}** of the test puzzles right; "
        f"the model itself **{accuracy_text(*model[quoted].iloc[0])}**: "
        f"{gap_text(gap.gap, gap.low, gap.high, gap.p)}."
    )
    st.markdown(
        f"{rule_sentence(it.run_id)} The luck line is {percent(luck['q95'])}: guessing, the best of {len(heads):,} "
        "heads rises above it in at most 1 of 20 cases."
    )
    show_curves(it)

st.subheader("All runs", anchor=False)
columns = {
    "run_id": "Run",
    "model": "Model",
    "puzzle_set": "Puzzle set",
    "n_puzzles": "Puzzles",
    "n_layers": "Layers",
    "n_heads": "Heads",
    "rope": "Rotary",
    "dtype": "Type",
    "created_at": "Scored (UTC)",
}
runs = ask("runs")[list(columns)].rename(columns=columns)
st.dataframe(runs, hide_index=True, width="stretch")
st.caption(
    'Rotary "pre": queries and keys before rotary position embedding, as in the paper; "post": after it. '
    "Brackets after an accuracy: 95 % interval (Wilson) and number of puzzles; it takes puzzles as independent, which "
    "statements about one context are not quite."
)
