"""How right is every head, and how does the one I click do as puzzles get harder?"""

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import linked, pick, pick_difficulty
from pages.main.stored import ask, ask_known
from pages.widgets.curves import exam_of, show_curves
from pages.widgets.head import show_disagreements, show_margins, show_stability
from pages.widgets.rules import MEASURE_NAMES, majority_sentence, rule_sentence
from pages.widgets.side_by_side import Asked, show_grid_and_head
from pages.widgets.verdict import constant_sentence, show_verdict
from qkcore.results.findings import measure_names, measures
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text, percent

it = chosen()
st.title("Head grid")
names = ask(measure_names, it.run_id)
first, second, third, fourth = st.columns([1.6, 1, 1, 1.4], vertical_alignment="bottom")
of_run = ask(ResultStore.measure, it.run_id)
title = pick(first, "Measure", "measure", list(names.values()), names[of_run])
measure = next(name for name, known in names.items() if known == title)
steps, distractors = (
    pick_difficulty(where, it.run_id, name)
    for where, name in ((second, "steps"), (third, "distractors"))
)
is_stretched = fourth.toggle(
    "Stretch colours",
    key="stretch",
    bind="query-params",
    help="Let the colours reach as far as these heads do: small differences show, and two runs no "
    "longer compare.",
)
if is_stretched:
    linked()["stretch"] = "true"

# What is said is said by one measure: the one on show, or the run's own beside one of another kind.
by = measure if measure in MEASURE_NAMES else of_run


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
    show_grid_and_head(Asked(measure, title, by, steps, distractors, is_stretched))
    st.header("As puzzles get harder", anchor=False)
    show_curves(it, exam_of(it, distractors=distractors), "steps", distractors=distractors)
    st.header("How sure, and where it is ahead", anchor=False)
    marks = exam_of(it, steps=steps, distractors=distractors)
    show_stability(it)
    show_margins(it, marks)
    show_disagreements(it, marks)
