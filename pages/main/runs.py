"""Which run is on show: a model and a puzzle set, picked by short names.

Links carry the run's id (`?run=`). Where a model has several runs on a set, that is with other
settings, the newest is shown, and the others are one click away with everything about it.
"""

import pandas as pd
import streamlit as st

from pages.main.stored import ask
from qkcore.asking.options import roles_named
from qkcore.asking.readings import READINGS
from qkcore.results.findings import layers_with_heads
from qkcore.results.matrix import ordered_sets, row_labels
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs
from qkcore.wording import escaped, full_name, layers_text

PICKED = {"model_name": "picked_model", "set_name": "picked_set"}  # session keys of the pickers


def pick_run(runs: pd.DataFrame) -> pd.Series:
    """Draw the two pickers and, one click away, the run itself.

    Args:
        runs: from `named_runs`.

    Returns:
        The run's row.
    """
    pickers = st.sidebar.container()
    with st.sidebar.expander("Reading, type and id"):
        # Drawn last and asked first: it is what the link sets.
        run_id = st.selectbox(
            "Any run, by id",
            runs["run_id"].tolist(),
            key="run",
            bind="query-params",
            on_change=take_best_head,
        )
        own = _row(runs, run_id)
        st.caption(_about(own))
    for column, key in PICKED.items():
        st.session_state[key] = own[column]
    of_model = runs[runs["model_name"] == own["model_name"]]
    models = list(dict.fromkeys(runs["model_name"]))
    pickers.selectbox("Model", models, key="picked_model", on_change=take_newest)
    pickers.selectbox("Puzzle set", ordered_sets(of_model), key="picked_set", on_change=take_newest)
    same = of_model[of_model["set_name"] == own["set_name"]]
    if len(same) > 1:
        st.session_state.picked_run = run_id
        named = dict(zip(same["run_id"], run_labels(same), strict=True))
        pickers.radio(
            "Run", list(named), key="picked_run", format_func=named.get, on_change=_take_picked
        )
    return own


def run_labels(same: pd.DataFrame) -> list[str]:
    """What tells runs of one model on one set apart: settings that differ, and when scored."""
    labels = [
        label.removeprefix(name).removeprefix(", ")
        for label, name in zip(row_labels(same), same["model_name"], strict=True)
    ]
    times = [f"{time:%Y-%m-%d %H:%M}" for time in same["created_at"]]
    return [
        label if label and labels.count(label) == 1 else f"{label} {time}".strip()
        for label, time in zip(labels, times, strict=True)
    ]


def _take_picked() -> None:
    show_run(st.session_state.picked_run)


def take_newest() -> None:
    """Another model or set was picked: its newest run, with the settings of the one before."""
    runs = ask(named_runs)
    before = _row(runs, st.session_state.run)
    model, puzzle_set = (st.session_state[key] for key in PICKED.values())
    of_model = runs[runs["model_name"] == model]
    same_set = of_model[of_model["set_name"] == puzzle_set]
    among = of_model if same_set.empty else same_set
    n_alike = (among[["rope", "dtype", "template"]] == before[["rope", "dtype", "template"]]).sum(
        axis=1
    )
    show_run(str(among.loc[n_alike.idxmax(), "run_id"]))


def show_run(run_id: str) -> None:
    """From here on this run is on show, with the head chosen in it. For what a click calls."""
    st.session_state.run = run_id
    take_best_head()


def take_best_head() -> None:
    """Another run has another best head."""
    run_id = st.session_state.run
    run = _row(ask(ResultStore.runs), run_id)
    best = ask(ResultStore.best_head, run_id)
    st.session_state.layer, st.session_state.head = best or nobodys_choice(run)


def nobodys_choice(run: pd.Series) -> tuple[int, int]:
    """The head shown where none could be chosen."""
    return layers_with_heads(run)[0], 0


def _row(runs: pd.DataFrame, run_id: str) -> pd.Series:
    return runs[runs["run_id"] == run_id].iloc[0]


def _about(run: pd.Series) -> str:
    layers = layers_text(int(run["n_layers"]), len(layers_with_heads(run)))
    reading = READINGS.get(run["rope"], run["rope"])
    told = [
        f"{escaped(full_name(run['model']))} on {escaped(run['puzzle_set'])}",
        f"queries and keys: {escaped(reading)}",
        f"roles: {roles_named(run['template'])}",
        f"type: {escaped(run['dtype'])}",
        f"{layers} {run['n_heads']} heads",
        f"{run['n_puzzles']:,} puzzles",
        f"scored on {run['created_at']:%Y-%m-%d}",
        f"id {escaped(run['run_id'])}",
    ]
    return "; ".join(told) + "."
