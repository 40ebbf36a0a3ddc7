"""At which layer can the answer be read, where does a head say it, and is it lost on the way?"""

import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick, pick_difficulty
from pages.main.stored import ask, ask_known, store_told
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.rules import MEASURE_NAMES, majority_sentence, rule_sentence
from pages.widgets.verdict import few_contexts, groups_sentence, needs_no_twin
from qkcore.charts.layers import layer_chart, loss_chart
from qkcore.results.findings import layers_without_heads
from qkcore.results.layers import layer_curves, lost_on_the_way, passage_of
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs
from qkcore.results.verdicts import parent_run, twin_run
from qkcore.statistics.passage import (
    Passage,
    beyond_rule_sentence,
    growth_sentence,
    outcome,
    whereabouts,
)
from qkcore.wording import escaped

it = chosen()
st.title("Layers")
AUC = "AUC"


def twin_with_layers() -> str | None:
    """The run on this set's balanced twin, where it has a lens too."""
    twin = ask(twin_run, it.run_id)
    return twin if twin and ask(ResultStore.has_layers, twin) else None


def show_outcome(passage: Passage) -> None:
    """What the layers add up to, here and on the twin."""
    what, _, why = outcome(passage)[1].partition(": ")
    rule = ask(ResultStore.best_rule, it.run_id, ask(ResultStore.measure, it.run_id))
    beyond = "" if rule is None else beyond_rule_sentence(passage)
    st.markdown(f"**{what}:** {why} {beyond} {whereabouts(passage)}")
    if passage.loss is not None and passage.is_middle_readable:
        st.markdown(growth_sentence(passage.growth))
    st.markdown(f"{majority_sentence(it.run_id)} {rule_sentence(it.run_id)} {twin_sentence()}")
    st.caption(
        "Above guessing: ahead of chance, of the commonest answer and, for the probe, of its "
        "control, at 5 % over all layers and readings together. "
        f"{groups_sentence(passage.n, passage.n_groups)}"
    )


def twin_sentence() -> str:
    """What can be read where no word gives the answer away."""
    sets = ask(named_runs).set_index("run_id")["set_name"]
    if twin := twin_with_layers():
        of_twin = ask(passage_of, twin)
        if of_twin is not None:
            there = whereabouts(of_twin, with_head=False)
            return f"On the balanced twin {there[0].lower()}{there[1:]}"
    if ask(twin_run, it.run_id):
        return "The run on this set's balanced twin has no lens; score it with `--lens` too."
    if parent := ask(parent_run, it.run_id):
        return f"This set is itself the balanced twin of {escaped(sets[parent])}."
    if needs_no_twin(it.run_id):
        return "No surface rule is above chance on this set, so it needs no balanced twin."
    return (
        "What is read may be no more than a word: only a balanced twin of this set (`qkscope "
        "balance` makes one) can tell."
    )


def show_curves(run_id: str, name: str, value: str, steps: int | None) -> None:
    """The curves of a run by layer, with downloads; heads are chosen on the run on show."""
    asked = (run_id, steps) if run_id == it.run_id else (run_id, steps, it.run_id)
    curves = ask(layer_curves, *asked)
    if curves.empty:
        st.caption("No test puzzle takes that many steps.")
        return
    measure = ask(ResultStore.measure, run_id)
    luck = ask(ResultStore.luck, run_id, "test", steps, None, measure).iloc[0]
    chart = drawn(
        layer_chart,
        curves,
        ask_known(ResultStore.chance, run_id, "test", steps),
        # Heads that were chosen on another set have no luck there
        float(luck["q95"]) if run_id == it.run_id else None,
        value,
        AUC if value == "auc" else MEASURE_NAMES[measure].capitalize(),
    )
    show_chart(
        chart,
        width="stretch",
        key=f"layers {run_id} {value} {steps}",
        alt=f"{AUC if value == 'auc' else 'Accuracy'} of the best head, the lens and the probe at "
        "each layer on test puzzles; the table below has the numbers",
    )
    offer(name, curves, python_for(layer_curves, *asked), chart.make)


def show_layers() -> None:
    """This set's curves, and its twin's beside them."""
    left, right = st.columns(2)
    measure = MEASURE_NAMES[ask(ResultStore.measure, it.run_id)].capitalize()
    value = "auc" if pick(left, "Show", "show", [measure, AUC]) == AUC else "accuracy"
    steps = pick_difficulty(right, it.run_id, "steps")
    twin = twin_with_layers()
    if twin is None:
        show_curves(it.run_id, "layers", value, steps)
    else:
        sets = ask(named_runs).set_index("run_id")["set_name"]
        left, right = st.columns(2)
        with left:
            st.markdown(f"**{escaped(sets[it.run_id])}**")
            show_curves(it.run_id, "layers", value, steps)
        with right:
            st.markdown(f"**{escaped(sets[twin])}**")
            show_curves(twin, "layers-of-the-twin", value, steps)
    st.caption(reading_line(value, "" if twin is None else " of this set"))


def reading_line(value: str, whose: str) -> str:
    """How to read the curves."""
    absent = layers_without_heads(it.run)
    heads = f"Circles: the best head of each layer, chosen on validation puzzles{whose}. "
    missing = f" {len(absent)} layers have no softmax heads." if absent else ""
    lens = "Triangles: the lens, what the model would have answered had it stopped after that layer"
    if value == "auc":
        return (
            f"{heads}{lens}. The line with a square: the model. Thin grey line: chance. AUC asks "
            f"how well puzzles are ordered, whatever the offset.{missing}"
        )
    return (
        f"{heads}{lens}, with one offset a candidate; thin: without. Diamonds: a probe, fitted to "
        "the state at the statement's end on validation puzzles; thin: its control, fitted on "
        "shuffled answers. The line with a square: the model, with one offset a candidate. Dashed: "
        "the surface rule that is best on validation puzzles. Dotted: the luck line. Thin grey "
        f"line: chance. Bands are 95 % intervals.{missing}"
    )


def show_losses() -> None:
    """What is right in the middle and wrong at the output, by steps."""
    losses = ask(lost_on_the_way, it.run_id)
    if losses.empty:
        return
    middle = int(losses["layer"].iloc[0])
    st.header("Lost on the way", anchor=False)
    chart = drawn(loss_chart, losses) if losses["steps"].notna().any() else None
    if chart is None:
        st.caption("The puzzles of this run do not say their steps, so there is no curve.")
    else:
        show_chart(
            chart,
            width="stretch",
            key=f"lost {it.run_id}",
            alt="Share of test puzzles that are right at the middle layer and wrong at the output, "
            "and the reverse, by steps; the table below has the numbers",
        )
    st.caption(
        f"The middle is layer {middle}, the one before the last whose lens is best on validation "
        "puzzles; the output is the model's answer. Both have one offset a candidate. Grey: what "
        "two would lose that are as often right, but independently. Bars are 95 % intervals. "
        f"Test puzzles, n = {losses['n'].iloc[0]:,}.{few_contexts(losses)}"
    )
    offer(
        "lost-on-the-way",
        losses,
        python_for(lost_on_the_way, it.run_id),
        chart.make if chart else None,
    )


found: Passage | None = ask(passage_of, it.run_id)
if ask(ResultStore.difficulties, it.run_id, "test").empty:
    st.info(
        'This run has no test puzzles: give some puzzles of the file the split "test" and score it '
        "again."
    )
elif found is None:
    st.info(
        "This run has no lens and no probes: what its layers say was not looked at. Score it again "
        "with `--lens`, into the same store:\n\n"
        "```\nqkscope precompute --model MODEL --puzzles PUZZLES.jsonl --store "
        f"{store_told()} --lens\n```"
    )
else:
    show_outcome(found)
    show_layers()
    if found.is_middle_readable:
        show_losses()
