"""Which head of the chosen run is best, and is it more right than the model itself?"""

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick
from pages.main.stored import ask, ask_known
from pages.widgets.curves import exam_of
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.rules import rule_sentence
from qkcore.charts.curves import gap_chart
from qkcore.results.answers import exam
from qkcore.results.findings import choices_reported
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import gaps
from qkcore.wording import accuracy_text, escaped, gap_text, percent, texts_of

it = chosen()
st.title("Which heads get a logic puzzle right?")
st.markdown(
    "Every attention head of a language model sits an exam here: on each logic puzzle, it answers "
    "with the candidate whose query matches the key at the statement's end best (its QK-score). "
    "The question is which heads get the puzzles right, and whether they are more right than the "
    "model's own output. The Method page shows the arithmetic."
)


def show_headline() -> None:
    """The chosen head against the model, the surface rules and luck, on all test puzzles."""
    heads = ask(ResultStore.head_accuracy, it.run_id, "test")
    own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)].iloc[0]
    model = ask(ResultStore.model_accuracy, it.run_id, "test").iloc[0]
    gap = ask_known(ResultStore.gap, it.run_id, it.layer, it.head, "test")
    chance = ask_known(ResultStore.chance, it.run_id, "test")
    luck = ask(ResultStore.luck, it.run_id, "test").iloc[0]
    quoted = ["accuracy", "low", "high", "n"]
    st.markdown(
        f"**{it.name}**, {it.how}, answers **{accuracy_text(*own[quoted])}** of the test puzzles "
        f"right; the model itself **{accuracy_text(*model[quoted])}**: "
        f"{gap_text(gap.gap, gap.low, gap.high, gap.p)}."
    )
    st.markdown(
        f"Chance is {percent(chance)}. Luck would give the best of {len(heads):,} heads "
        f"{percent(luck['q50'])}; the luck line is {percent(luck['q95'])}: guessing, the best head "
        f"rises above it in at most 1 of 20 cases. {rule_sentence(it.run_id)}"
    )
    st.caption(
        "Brackets after an accuracy: 95 % interval and number of test puzzles. p: exact McNemar "
        "test."
    )


def show_gap_by_steps() -> None:
    """Where the gap opens or closes."""
    marks = exam_of(it).dropna(subset=["steps"])
    if marks.empty:
        return
    by_steps = gaps(marks, ["steps"])
    chart = drawn(gap_chart, by_steps, "steps", "Gap in points")
    show_chart(
        chart,
        width="stretch",
        key=f"gap {it.run_id} {it.name}",
        alt=f"Gap between {it.name} and the model at each number of steps; the table below has the "
        "numbers",
    )
    st.caption(
        f"Above zero, {it.name} answers more test puzzles right than the model; below, fewer. Bars "
        f"are 95 % intervals of the paired difference. Test puzzles, n = {len(marks):,}."
    )
    offer(
        "gap-by-steps",
        by_steps,
        python_for(exam, it.run_id, it.layer, it.head, then=(gaps, ["steps"])),
        chart.make,
    )


def show_ways_to_choose() -> None:
    """What other ways to choose heads on validation puzzles would have given."""
    st.subheader("Ways to choose", anchor=False)
    few = "1 and 2 steps, report on more"
    regime = pick(st, "Choose on validation puzzles of", "choose", ["all steps", few])
    chosen_on, reported_on = ((1, 2), tuple(range(3, 100))) if regime == few else (None, None)
    ways = ask(choices_reported, it.run_id, chosen_on, reported_on)
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
        "Each row was chosen on validation puzzles and is reported on the same test puzzles. A "
        "vote's heads are the best by accuracy; weights are margins in units of each head's spread "
        "on validation puzzles (root mean square about zero). A tied vote is wrong, which costs "
        "votes of ten."
    )
    offer(
        "ways-to-choose",
        ways.assign(heads=ways["heads"].str.join(", ")),
        python_for(choices_reported, it.run_id, chosen_on, reported_on),
    )


def show_runs() -> None:
    """Everything in the store."""
    st.subheader("All runs", anchor=False)
    columns = {
        "run_id": "Run",
        "model": "Model",
        "puzzle_set": "Puzzle set",
        "n_puzzles": "Puzzles",
        "n_layers": "Layers",
        "n_heads": "Heads",
        "rope": "Reading",
        "dtype": "Type",
        "created_at": "Scored (UTC)",
    }
    runs = ask(ResultStore.runs)[list(columns)].rename(columns=columns)
    st.dataframe(runs, hide_index=True, width="stretch", alt="All runs in the store")
    st.caption(
        'Reading "pre": queries and keys before rotary position embedding, after QK-norm where a '
        'model has it; "post": after rotary; "raw": as their projections give them. Intervals take '
        "puzzles as independent, which statements about one context are not quite."
    )


st.subheader(f"{escaped(it.run['model'])} on {escaped(it.run['puzzle_set'])}", anchor=False)
if ask(ResultStore.difficulties, it.run_id, "test").empty:
    st.info(
        "This run has no test puzzles, so there is nothing to report: give some puzzles of the "
        'file the split "test" and score it again.'
    )
else:
    show_headline()
    show_gap_by_steps()
    show_ways_to_choose()
show_runs()
