"""How right is every head, and how does the one I click do as puzzles get harder?"""

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick, pick_difficulty
from pages.main.stored import ask, ask_known
from pages.widgets.clicks import taking_head
from pages.widgets.curves import exam_of, show_curves
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for, shown
from pages.widgets.head import show_disagreements, show_margins
from pages.widgets.rules import rule_sentence
from qkcore.charts.grids import head_grid
from qkcore.charts.theme import CELL
from qkcore.results.findings import head_gap, layers_without_heads, measure_names, measures
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text, gap_text, percent

it = chosen()
st.title("Head grid")
names = ask(measure_names, it.run_id)
left, middle, right = st.columns([2, 1, 1])
title = pick(left, "Measure", "measure", list(names.values()))
measure = next(name for name, known in names.items() if known == title)
steps, distractors = (
    pick_difficulty(where, it.run_id, name)
    for where, name in ((middle, "steps"), (right, "distractors"))
)


def show_grid(heads: pd.DataFrame) -> None:
    """What head, model, rules and luck get, the grid, and the ranking beside it."""
    model = ask(ResultStore.model_accuracy, it.run_id, "test", steps, distractors).iloc[0]
    luck = ask(ResultStore.luck, it.run_id, "test", steps, distractors).iloc[0]
    chance = ask_known(ResultStore.chance, it.run_id, "test", steps, distractors)
    n_above, n_sure = int(heads["is_above_luck"].sum()), int(heads["is_above_chance"].sum())
    st.markdown(
        f"The model itself: **{accuracy_text(*model[['accuracy', 'low', 'high', 'n']])}**. Chance "
        f"is {percent(chance)}. {rule_sentence(it.run_id, steps, distractors)} The luck line is "
        f"{percent(luck['q95'])}: guessing, the best of {len(heads):,} heads rises above it in at "
        f"most 1 of 20 cases. **{n_above:,}** {'head is' if n_above == 1 else 'heads are'} above "
        f"it; **{n_sure:,}** {'is' if n_sure == 1 else 'are'} above chance with false discoveries "
        "held to 5 %."
    )
    key, absent = f"grid {it.run_id}", layers_without_heads(it.run)
    chart = drawn(
        head_grid,
        heads,
        chance,
        (it.layer, it.head),
        measure,
        title,
        int(it.run["n_kv_heads"]),
        absent,
    )
    left, right = st.columns([3, 2])
    show_chart(
        chart,
        left,
        width="stretch",
        key=key,
        on_select=taking_head(key),
        selection_mode=[CELL],
        alt=f"{title} of {len(heads):,} heads by layer and head on test puzzles; the ranking "
        "beside it has the numbers",
    )
    ranked = heads.sort_values(measure, ascending=False)
    right.dataframe(
        **shown(
            ranked[["layer", "head", *dict.fromkeys([measure, "accuracy"]), "n"]],
            **{measure: title},
        ),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(heads), 420),
        alt=f"Heads ranked by {title}",
    )
    missing = (
        f"{len(absent)} of the model's {it.run['n_layers']} layers have no softmax heads. "
        if absent
        else ""
    )
    is_shared = it.run["n_kv_heads"] < it.run["n_heads"]
    st.caption(
        "Click a cell to open that head below, or set layer and head in the sidebar. Grey is "
        "chance (for a gain: no gain), blue above it, orange below; the scale is the same for "
        "every run. Struck-through cells are not above the luck line. "
        f"{'Lines divide heads that share keys. ' if is_shared else ''}Heads far below chance are "
        f"shown as they are, never turned round. {missing}Test puzzles, n = "
        f"{int(heads['n'].iloc[0]):,}."
    )
    if heads[measure].isna().all():
        st.info(
            f"{title} is not defined here: not every answer occurs among these puzzles. Choose "
            "another measure."
        )
    if measure == "auc":
        st.caption(
            "AUC asks only how a head orders puzzles, so a head that always says the same can "
            "still have a good one."
        )
    offer("head-grid", heads, python_for(measures, it.run_id, steps, distractors), chart.make)


def show_head(heads: pd.DataFrame) -> None:
    """The chosen head: in words, as puzzles get harder, its margins, where it beats the model."""
    own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)].iloc[0]
    gap = ask_known(head_gap, it.run_id, it.layer, it.head, steps, distractors)
    st.subheader(it.name, anchor=False)
    st.markdown(
        f"{it.how.capitalize()}: **{accuracy_text(*own[['accuracy', 'low', 'high', 'n']])}**, "
        f"against the model {gap_text(*gap[['gap', 'low', 'high', 'p']])}."
    )
    if it.is_picked:
        st.caption(
            "A head picked because it looks good here looks better than it is: its fair rival is "
            "the luck line."
        )
    show_curves(it, exam_of(it, distractors=distractors), "steps", distractors=distractors)
    marks = exam_of(it, steps=steps, distractors=distractors)
    show_margins(it, marks)
    show_disagreements(it, marks)


heads = ask(measures, it.run_id, steps, distractors)
if heads.empty:
    is_filtered = steps is not None or distractors is not None
    st.info(
        "No test puzzle has these steps and distractors; choose other ones, or all."
        if is_filtered
        else 'This run has no test puzzles: give some puzzles of the file the split "test" and '
        "score it again."
    )
else:
    show_grid(heads)
    show_head(heads)
