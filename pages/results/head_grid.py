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
from pages.widgets.head import show_disagreements, show_margins, show_stability
from pages.widgets.rules import MEASURE_NAMES, majority_sentence, rule_sentence
from pages.widgets.verdict import constant_sentence, groups_sentence, show_verdict
from qkcore.charts.grids import head_grid
from qkcore.charts.theme import CELL
from qkcore.results.findings import BOUNDS, layers_without_heads, measure_names, measures
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import gaps
from qkcore.wording import accuracy_text, gap_text, percent

it = chosen()
st.title("Head grid")
names = ask(measure_names, it.run_id)
left, middle, right = st.columns([2, 1, 1])
of_run = ask(ResultStore.measure, it.run_id)
title = pick(left, "Measure", "measure", list(names.values()), names[of_run])
measure = next(name for name, known in names.items() if known == title)
steps, distractors = (
    pick_difficulty(where, it.run_id, name)
    for where, name in ((middle, "steps"), (right, "distractors"))
)

# What is said is said by one measure: the one on show, or the run's own beside one of another kind.
by = measure if measure in MEASURE_NAMES else of_run
low, high = BOUNDS[by]


def show_rivals(heads: pd.DataFrame) -> None:
    """What the model, the rules and luck get on these puzzles."""
    asked = (it.run_id, "test", steps, distractors)
    model, calibrated = (
        ask(ResultStore.model_accuracy, *asked, by, is_calibrated).iloc[0]
        for is_calibrated in (False, True)
    )
    luck = ask(ResultStore.luck, *asked, by).iloc[0]
    chance = ask_known(ResultStore.chance, *asked)
    n_above, n_sure = int(heads["is_above_luck"].sum()), int(heads["is_above_chance"].sum())
    st.markdown(
        f"By {MEASURE_NAMES[by]}, the model itself gets "
        f"**{accuracy_text(*model[['accuracy', 'low', 'high', 'n']])}**, calibrated "
        f"**{percent(calibrated['accuracy'])}**. Chance is {percent(chance)}. "
        f"{majority_sentence(it.run_id, steps, distractors, by)} "
        f"{rule_sentence(it.run_id, steps, distractors, by)} The luck line is "
        f"{percent(luck['q95'])}: guessing, the best of {len(heads):,} heads rises above it in at "
        f"most 1 of 20 cases. **{n_above:,}** {'head is' if n_above == 1 else 'heads are'} above "
        f"it; **{n_sure:,}** {'is' if n_sure == 1 else 'are'} above chance with false discoveries "
        "held to 5 %."
    )
    st.markdown(constant_sentence(it, int(heads["constant"].notna().sum()), len(heads)))


def show_grid(heads: pd.DataFrame) -> None:
    """The grid, and the ranking beside it."""
    chance = ask_known(ResultStore.chance, it.run_id, "test", steps, distractors)
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
            ranked[["layer", "head", *dict.fromkeys([measure, by]), "n"]],
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
        "every run. Struck-through cells are not above the luck line; heads that always say the "
        "same are marked with =. "
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
    offer("head-grid", heads, python_for(measures, it.run_id, steps, distractors, by), chart.make)


def show_head(heads: pd.DataFrame) -> None:
    """The chosen head: in words, as puzzles get harder, its margins, where it beats the model."""
    own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)].iloc[0]
    marks = exam_of(it, steps=steps, distractors=distractors)
    fair, raw = (
        gaps(marks, [], "head", than, by).iloc[0] for than in ("calibrated_model", "model")
    )
    columns = ["gap", "low", "high", "p"]
    st.subheader(it.name, anchor=False)
    st.markdown(
        f"{it.how.capitalize()}: {MEASURE_NAMES[by]} "
        f"**{accuracy_text(*own[[by, low, high, 'n']])}**, against the calibrated model "
        f"**{gap_text(*fair[columns])}**, against the model as it is {gap_text(*raw[columns])}. "
        f"{groups_sentence(int(raw['n']), int(raw['n_groups']))}"
    )
    if it.is_picked:
        st.caption(
            "A head picked because it looks good here looks better than it is: its fair rival is "
            "the luck line."
        )
    show_curves(it, exam_of(it, distractors=distractors), "steps", distractors=distractors)
    show_stability(it)
    show_margins(it, marks)
    show_disagreements(it, marks)


heads = ask(measures, it.run_id, steps, distractors, by)
if heads.empty:
    is_filtered = steps is not None or distractors is not None
    st.info(
        "No test puzzle has these steps and distractors; choose other ones, or all."
        if is_filtered
        else 'This run has no test puzzles: give some puzzles of the file the split "test" and '
        "score it again."
    )
else:
    show_verdict(it)
    n_by_answer = ask(ResultStore.accuracy_by_answer, it.run_id, "test", steps, distractors)[1]
    if by == "balanced_accuracy" and (n_by_answer > 0).sum() == 1:
        st.info(
            "All of these puzzles have the same right answer, so balanced accuracy only says who "
            "gives it."
        )
    show_rivals(heads)
    show_grid(heads)
    show_head(heads)
