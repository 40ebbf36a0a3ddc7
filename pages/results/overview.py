"""What was found, in the whole store and in the chosen run?

Which head is best, and is it more right than the model itself?
"""

import math

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick
from pages.main.stored import ask, ask_known
from pages.widgets.answering import show_how_a_head_answers
from pages.widgets.curves import exam_of
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.matrix import show_matrix
from pages.widgets.report import offer_report
from pages.widgets.rules import MEASURE_NAMES, majority_sentence, rule_sentence
from pages.widgets.verdict import (
    chosen_sentence,
    groups_sentence,
    show_verdict,
    show_what_is_left,
)
from qkcore.charts.curves import gap_chart
from qkcore.results.answers import exam
from qkcore.results.findings import BOUNDS, choices_reported
from qkcore.results.store import ResultStore
from qkcore.results.summaries import story, summaries
from qkcore.results.verdicts import areas, three_gaps
from qkcore.statistics.exams import gaps
from qkcore.wording import accuracy_text, escaped, gap_text, percent, texts_of

it = chosen()
st.title("Which heads get a logic puzzle right?")
# Without a drawing the words have the whole width.
words, picture = st.container(), None
if ask(ResultStore.worked_example, it.run_id) is not None:
    words, picture = st.columns([11, 9], gap="medium")
with words:
    st.markdown(
        "Every attention head of a language model sits an exam here: on each logic puzzle, it "
        "answers with the candidate whose query matches the key at the statement's end best (its "
        "QK-score). The question is which heads get the puzzles right, and what is left of that "
        "once everything that is not logic is taken away."
    )
    found, why = map(escaped, story(ask(summaries)))
    st.markdown(f"**{found}** {why}")
if picture:
    with picture:
        show_how_a_head_answers(it.run_id)


def show_headline() -> None:
    """The chosen head against the model, calibrated or not, the surface rules and luck."""
    table = ask(three_gaps, it.run_id, it.layer, it.head)
    measure = ask(ResultStore.measure, it.run_id)
    heads = ask(ResultStore.head_accuracy, it.run_id, "test")
    own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)].iloc[0]
    fair, raw = table.iloc[0], table.iloc[1]
    bounds = BOUNDS[measure]
    figures = (own[measure], own[bounds[0]], own[bounds[1]], own["n"])
    st.markdown(
        f"**{it.name}**, {it.how}, has {MEASURE_NAMES[measure]} "
        f"**{accuracy_text(*figures)}** on test puzzles; the model, calibrated on the same "
        f"validation puzzles, **{percent(fair['than_accuracy'])}**: "
        f"**{gap_text(*fair[['gap', 'low', 'high', 'p']])}**. The model as it is gets "
        f"{percent(raw['than_accuracy'])}: {gap_text(*raw[['gap', 'low', 'high', 'p']])}."
    )
    chance = ask_known(ResultStore.chance, it.run_id, "test")
    luck = ask(ResultStore.luck, it.run_id, "test", measure=measure).iloc[0]
    st.markdown(
        f"Chance is {percent(chance)}. Luck would give the best of {len(heads):,} heads "
        f"{percent(luck['q50'])}; the luck line is {percent(luck['q95'])}: guessing, the best head "
        f"rises above it in at most 1 of 20 cases. {majority_sentence(it.run_id)} "
        f"{rule_sentence(it.run_id)}"
    )
    st.markdown(f"{chosen_sentence(it)} {groups_sentence(int(raw['n']), int(raw['n_groups']))}")
    balanced = (
        " One answer is right for more than 55 in 100 validation puzzles, so heads are chosen and "
        "reported by balanced accuracy: the mean over answers of the share that is right."
    )
    st.caption(
        "Calibrated: one offset a candidate, chosen on validation puzzles, is added to the logits. "
        "Brackets after an accuracy: 95 % interval and number of test puzzles; after a gap: 95 % "
        "interval and p, both of one method."
        f"{balanced if measure == 'balanced_accuracy' else ''}"
    )


def show_three_gaps() -> None:
    """Raw to raw, fair, and both calibrated, with the areas that no offset changes."""
    table = ask(three_gaps, it.run_id, it.layer, it.head)
    of_head, of_model = ask(areas, it.run_id, it.layer, it.head)
    shown = pd.DataFrame(
        {
            "Comparison": table["comparison"],
            "Head": [percent(share) for share in table["who_accuracy"]],
            "Model": [percent(share) for share in table["than_accuracy"]],
            "Gap": texts_of(table, gap_text, "gap", "low", "high", "p"),
        }
    )
    st.dataframe(
        shown, hide_index=True, width="stretch", alt="The head against the model in three ways"
    )
    if not math.isnan(of_head + of_model):
        st.caption(
            f"AUC, which no offset changes: {it.name} {of_head:.2f}, the model {of_model:.2f} "
            "(chance 0.50)."
        )
    offer("three-gaps", table, python_for(three_gaps, it.run_id, it.layer, it.head))


def show_gap_by_steps() -> None:
    """Where the gap opens or closes."""
    marks = exam_of(it).dropna(subset=["steps"])
    if marks.empty:
        return
    measure = ask(ResultStore.measure, it.run_id)
    by_steps = gaps(marks, ["steps"], "head", "model", measure)
    chart = drawn(gap_chart, by_steps, "steps", f"Gap of {MEASURE_NAMES[measure]}, points")
    show_chart(
        chart,
        width="stretch",
        key=f"gap {it.run_id} {it.name}",
        alt=f"Gap between {it.name} and the model at each number of steps; the table below has the "
        "numbers",
    )
    st.caption(
        f"Above zero, {it.name} is more right than the model as it is; below, less. Bars are 95 % "
        f"intervals of the paired difference. Test puzzles, n = {len(marks):,}."
    )
    offer(
        "gap-by-steps",
        by_steps,
        python_for(
            exam, it.run_id, it.layer, it.head, then=(gaps, ["steps"], "head", "model", measure)
        ),
        chart.make,
    )


def show_ways_to_choose() -> None:
    """What other ways to choose heads on validation puzzles would have given."""
    st.header("Ways to choose", anchor=False)
    few = "1 and 2 steps, report on more"
    regime = pick(st, "Choose on validation puzzles of", "choose", ["all steps", few])
    chosen_on, reported_on = ((1, 2), tuple(range(3, 100))) if regime == few else (None, None)
    ways = ask(choices_reported, it.run_id, chosen_on, reported_on)
    measure = ask(ResultStore.measure, it.run_id)
    if ways.empty:
        st.caption("This run has no puzzles to choose on, or none to report on, in that way.")
        return
    table = pd.DataFrame(
        {
            "Chosen on validation": ways["rule"],
            "Test accuracy": texts_of(ways, accuracy_text, "accuracy", "low", "high", "n"),
            "Gap to the model": texts_of(ways, gap_text, "gap", "gap_low", "gap_high", "p"),
            "Heads, best first": ways["heads"].str.join(", "),
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        alt="Ways to choose heads on validation puzzles, with test accuracy and gap to the model",
    )
    st.caption(
        "Each row was chosen on validation puzzles and is reported on the same test puzzles, by "
        f"{MEASURE_NAMES[measure]}. A vote's heads are the best by it; weights are margins in "
        "units of each head's spread on validation puzzles (root mean square about zero). A tied "
        "vote is wrong, which costs votes of ten."
    )
    offer(
        "ways-to-choose",
        ways.assign(heads=ways["heads"].str.join(", ")),
        python_for(choices_reported, it.run_id, chosen_on, reported_on),
    )


def show_runs() -> None:
    """Everything in the store, with its settings."""
    st.header("All runs", anchor=False)
    table = ask(summaries)
    runs = pd.DataFrame(
        {
            "Model": table["model_name"],
            "Puzzle set": table["set_name"],
            "Head": table["head_name"],
            "Accuracy": [_percent(share) for share in table["head_accuracy"]],
            "Verdict": table["verdict"],
            "Puzzles": table["n_puzzles"],
            "Reading": table["rope"],
            "Type": table["dtype"],
            "Scored (UTC)": table["created_at"],
            "Run": table["run_id"],
        }
    )
    st.dataframe(runs, hide_index=True, width="stretch", alt="All runs in the store")
    st.caption(
        'Reading "pre": queries and keys before rotary position embedding, after QK-norm where a '
        'model has it; "post": after rotary; "raw": as their projections give them.'
    )


def _percent(share: float) -> str:
    return "" if pd.isna(share) else percent(share)


show_matrix()
st.header(f"{escaped(it.run['model_name'])} on {escaped(it.run['set_name'])}", anchor=False)
if ask(ResultStore.difficulties, it.run_id, "test").empty:
    st.info(
        "This run has no test puzzles, so there is nothing to report: give some puzzles of the "
        'file the split "test" and score it again.'
    )
else:
    show_verdict(it)
    show_what_is_left(it)
    show_headline()
    if it.is_picked:
        st.caption(
            "A head picked because it looks good here looks better than it is: its fair rival is "
            "the luck line."
        )
    show_three_gaps()
    show_gap_by_steps()
    show_ways_to_choose()
    offer_report(it)
show_runs()
