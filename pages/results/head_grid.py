"""How right is every head, and how does the one I click do as puzzles get harder?"""

import streamlit as st

from pages.frame.chosen import chosen
from pages.frame.curves import show_curves
from pages.frame.reading import ask
from pages.frame.rules import rule_sentence
from qkcore.charts import POINT, head_grid
from qkcore.wording import accuracy_text, gap_text, percent

it = chosen()
st.title("Head grid")
st.markdown("How many test puzzles each head answers right. Click a cell to open that head below.")

ALL = "all"
difficulties = ask("difficulties", it.run_id, "test")
left, right = st.columns(2)


def pick(column, label: str, name: str) -> int | None:
    """A filter over the values that the run's test puzzles have; None is all of them."""
    values = [int(value) for value in sorted(difficulties[name].dropna().unique())]
    value = column.selectbox(label, [ALL, *map(str, values)], key=name, bind="query-params")
    return int(value) if value in map(str, values) else None


steps = pick(left, "Steps", "steps")
distractors = pick(right, "Distractors", "distractors")
heads = ask("head_accuracy", it.run_id, "test", steps, distractors)
if heads.empty:
    is_filtered = steps is not None or distractors is not None
    st.info(
        "No test puzzle has these steps and distractors; choose other ones, or all."
        if is_filtered
        else 'This run has no test puzzles: give some puzzles of the file the split "test" and score it again.'
    )
    st.stop()


def take_click() -> None:
    """Copy the clicked cell into the frame's pickers, which is where the link keeps it."""
    cells = st.session_state[grid_key].selection[POINT]
    if cells:
        st.session_state.layer, st.session_state.head = cells[0]["layer"], cells[0]["head"]


model = ask("model_accuracy", it.run_id, "test", steps, distractors).iloc[0]
luck = ask("luck", it.run_id, "test", steps, distractors).iloc[0]
chance = ask("chance", it.run_id, "test", steps, distractors)
quoted = ["accuracy", "low", "high", "n"]
n_above = int((heads["accuracy"] > luck["q95"]).sum())
st.markdown(
    f"The model itself: **{accuracy_text(*model[quoted])}**. Chance is {percent(chance)}. "
    f"{rule_sentence(it.run_id, steps, distractors)} The luck line is "
    f"{percent(luck['q95'])} (guessing, the best of {len(heads):,} heads rises above it in at most 1 of 20 cases); "
    f"**{n_above:,}** {'head is' if n_above == 1 else 'heads are'} above it."
)
grid_key = f"grid {it.run_id}"
st.altair_chart(
    head_grid(heads, chance, (it.layer, it.head)),
    width="stretch",
    key=grid_key,
    on_select=take_click,
    selection_mode=[POINT],
    alt=f"Accuracy of {len(heads):,} heads by layer and head; the table below has the numbers",
)
st.caption("Grey is chance, blue is above it, orange below. The scale is the same for every run.")
with st.expander("Table of this grid"):
    shares = {name: st.column_config.NumberColumn(format="percent") for name in ("accuracy", "low", "high")}
    ranked = heads.sort_values("accuracy", ascending=False)[["layer", "head", "accuracy", "low", "high", "n"]]
    st.dataframe(ranked, hide_index=True, width="stretch", column_config=shares)

own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)].iloc[0]
gap = ask("gap", it.run_id, it.layer, it.head, "test", steps, distractors)
st.subheader(it.name, anchor=False)
st.markdown(
    f"{it.how.capitalize()}: **{accuracy_text(*own[quoted])}**, against the model "
    f"{gap_text(gap.gap, gap.low, gap.high, gap.p)}."
)
if it.is_picked:
    st.caption("A head picked because it looks good here looks better than it is: its fair rival is the luck line.")
show_curves(it, distractors)
