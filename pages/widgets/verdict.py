"""The verdict on the chosen run: the first sentence of the pages that show its results."""

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import ask, ask_known
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from qkcore.charts.left_over import what_is_left
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs
from qkcore.results.verdicts import left_over, parent_run, twin_run, verdict_of
from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.wording import escaped, head_name, percent


def show_verdict(it: Chosen) -> None:
    """What is left of the gap, in one sentence; nothing where no head could be chosen."""
    found = ask(verdict_of, it.run_id)
    if found is None:
        return
    what, _, why = found.sentence.partition(": ")
    st.markdown(f"**{what}:** {why}")


def show_what_is_left(it: Chosen) -> None:
    """The chart of the verdict's steps, of the head chosen on validation puzzles."""
    steps = ask(left_over, it.run_id)
    if steps.empty or it.best is None:
        return
    best = head_name(*it.best)
    st.header(f"What is left of the gap of {best}", anchor=False)
    chart = drawn(what_is_left, steps)
    show_chart(
        chart,
        width="stretch",
        key=f"what is left {it.run_id}",
        alt="How far the chosen head is ahead of its best rival, after each rival in turn; the "
        "table below has the numbers",
    )
    st.caption(
        f"Of {best}, the head chosen on validation puzzles. From the top: its gap to the model, as "
        "in the paper; then its lead over the best of ever more rivals: the model with one offset "
        "a candidate, the commonest answer, luck, "
        f"the best surface rule. {_twin_sentence(it)} Bars are 95 % intervals that know groups; "
        "all rivals are chosen on validation puzzles and reported on test puzzles."
    )
    offer("what-is-left", steps, python_for(left_over, it.run_id), chart.make)


def _twin_sentence(it: Chosen) -> str:
    """Where the same head was asked what no surface rule can answer."""
    sets = ask(named_runs).set_index("run_id")["set_name"]
    if twin := ask(twin_run, it.run_id):
        return (
            f"Last, the same head on the balanced twin of the set, {escaped(sets[twin])}, beside "
            "the better of guessing and the model there."
        )
    if parent := ask(parent_run, it.run_id):
        return (
            f"This set is itself the balanced twin of {escaped(sets[parent])}, on which no surface "
            "rule works."
        )
    if not pd.isna(it.run["twin_of"]):
        return "This set is a balanced twin, on which no surface rule works."
    if needs_no_twin(it.run_id):
        return "No surface rule is above chance on this set, so it needs no balanced twin."
    return "There is no run on a balanced twin of this set (`qkscope balance` makes one)."


def needs_no_twin(run_id: str) -> bool:
    """Whether no surface rule is above chance on a run's test puzzles."""
    rules = ask(ResultStore.surface_accuracy, run_id, "test")
    chance = ask_known(ResultStore.chance, run_id, "test")
    return len(rules) > 1 and bool((rules["low"] <= chance).all())


def chosen_sentence(it: Chosen) -> str:
    """How sure the choice of the head is, and who else might have been chosen."""
    facts = ask(ResultStore.head_facts, it.run_id).sort_values("chosen_share", ascending=False)
    own = facts[(facts["layer"] == it.layer) & (facts["head"] == it.head)]["chosen_share"]
    if own.empty or it.best is None:
        return ""
    others = facts[(facts["layer"] != it.layer) | (facts["head"] != it.head)]
    named = [
        f"L{layer} H{head} in {100 * share:.0f}"
        for layer, head, share in others[["layer", "head", "chosen_share"]]
        .head(3)
        .itertuples(index=False)
        if share >= 0.05
    ]
    rivals = f", {', '.join(named)}" if named else ""
    return (
        f"Where groups of validation puzzles are drawn anew, {it.name} is chosen in "
        f"{100 * own.iloc[0]:.0f} of 100 draws{rivals}."
    )


def groups_sentence(n: int, n_groups: int) -> str:
    """What n stands for where puzzles share contexts."""
    if n_groups < 20:
        return (
            f"The {n:,} test puzzles come from {n_groups:,} contexts: too few for intervals to be "
            "trusted (20 are needed)."
        )
    if n_groups == n:
        return ""
    return f"The {n:,} test puzzles come from {n_groups:,} contexts; intervals know that."


def constant_sentence(it: Chosen, n_constant: int, n_heads: int) -> str:
    """How many heads always say the same, and whether the model does."""
    candidates = ask(ResultStore.candidates, it.run_id)
    says = it.run["model_constant"]
    model = ""
    if not pd.isna(says):
        named = f'"{candidates[int(says)]}"' if candidates else "the same"
        model = f" The model itself says {named} to nearly all puzzles."
    if not n_constant:
        return model.strip()
    return (
        f"{n_constant:,} of {n_heads:,} heads ({percent(n_constant / n_heads)}) say the same to at "
        f"least 98 % of the validation puzzles; they are marked with = and have no vote.{model}"
    )


def few_contexts(losses: pd.DataFrame) -> str:
    """Which steps say little by themselves, for the end of a caption."""
    few = losses[losses["steps"].notna() & (losses["n_groups"] < FEW_GROUPS)]
    if few.empty:
        return ""
    steps = ", ".join(f"{one:.0f}" for one in few["steps"])
    return (
        f" Of {steps} steps there are fewer than {FEW_GROUPS} contexts, which intervals need: by "
        "themselves they say too little."
    )
