"""Does the model use the heads in which its answer can be read? Heads switched off, on one page."""

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.main.chosen import Chosen
from pages.main.controls import pick
from pages.main.stored import ask, store_told
from pages.server.settings import told
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from qkcore.charts.effects import effect_chart
from qkcore.results.effect_words import WHOSE, how_to_read, of_measure
from qkcore.results.effects import ablated, ablation_effects, control_changes, usage_of
from qkcore.statistics.effects import MEASURES


def show_usage(it: Chosen) -> None:
    """Verdict, chart of the effect against the controls' spread, table twin; or how to get them."""
    st.header("Does the model use it?", anchor=False)
    there = ask(ablated, it.run_id)
    if there.empty:
        _show_how(it)
        return
    heads_of, kind = _picked(there)
    found = ask(usage_of, it.run_id, kind, heads_of)
    table = ask(ablation_effects, it.run_id, kind, heads_of)
    if found is None or table.empty:
        st.info("No test puzzle of this run was asked with all of these heads switched off.")
        return
    what, _, why = found.sentence.partition(": ")
    st.markdown(f"**{what}:** {why[:1].upper()}{why[1:]}")
    _show_chart(it, table, kind, heads_of)


def _picked(there: pd.DataFrame) -> tuple[str, str]:
    """Whose heads, and how they were switched off; no picker where there is one way only."""
    whose = [one for one in WHOSE if one in set(there["heads_of"])]
    heads_of = whose[0]
    if len(whose) > 1:
        heads_of = pick(st, "Heads switched off", "heads_off", whose)
    kinds = there.loc[there["heads_of"] == heads_of, "kind"].drop_duplicates().tolist()
    return heads_of, kinds[0] if len(kinds) == 1 else pick(st, "How", "off_by", kinds)


def _show_chart(it: Chosen, table: pd.DataFrame, kind: str, heads_of: str) -> None:
    """The effect on one measure, by how many heads are off."""
    names = {MEASURES[name]: name for name in table["measure"].unique()}
    shown = pick(st, "Effect on", "effect", list(names))
    measure = names[shown]
    controls = ask(control_changes, it.run_id, measure, kind, heads_of)
    own, controls, title = of_measure(table, controls, measure)
    chart = drawn(effect_chart, own, controls, title)
    show_chart(
        chart,
        width="stretch",
        key=f"usage {it.run_id} {kind} {heads_of} {measure}",
        alt=f"Change of the model's {shown} with heads switched off, beside as many random heads "
        "of the same layers; the table below has the numbers",
    )
    is_among = any(it.name in heads.split(", ") for heads in own["heads"])
    left_out = "" if is_among else f" {it.name}, {it.how}, is not among them."
    st.caption(f"{how_to_read(own, kind, heads_of)}{left_out}")
    code = python_for(ablation_effects, it.run_id, kind, heads_of)
    offer("effects-of-heads", table, code, chart.make)


def _named(it: Chosen) -> str:
    """The run's model as a command names it."""
    model = Path(it.run["model"])
    return told(model) if model.is_absolute() else str(it.run["model"])


def _show_how(it: Chosen) -> None:
    """Nothing was switched off yet: the command that does it."""
    st.info(
        "An answer that can be read in a head need not come from it. Nobody has switched heads of "
        "this run off yet; this command does, and puts the effects into the store:"
    )
    st.code(
        f"qkscope ablate --model {_named(it)} --puzzles {it.run['puzzle_set']}.jsonl "
        f"--store {store_told()} --heads chosen",
        language="shell",
        wrap_lines=True,
    )
