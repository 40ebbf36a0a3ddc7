"""Is a head that is good on one puzzle set good on another?"""

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.stored import ask, ask_known
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from qkcore.asking.readings import READINGS
from qkcore.charts.grids import transfer_matrix
from qkcore.results.findings import (
    N_TOP,
    comparable_runs,
    heads_good_everywhere,
    layers_with_heads,
    overlaps,
    transfers,
)
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs
from qkcore.wording import accuracy_text, escaped, head_name, percent, texts_of

it = chosen()
reading = READINGS.get(it.run["rope"], escaped(it.run["rope"]))
st.title("Transfer")
st.markdown(
    f"Heads of {escaped(it.run['model_name'])} ({reading}), chosen on one puzzle set's validation "
    "puzzles and tested on another's test puzzles."
)
runs = ask(comparable_runs, it.run_id)
run_ids = tuple(runs["run_id"])
named = ask(named_runs)
SETS = dict(zip(named["puzzle_set"], named["set_name"], strict=True))


def with_names(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """A table whose columns of puzzle sets have the sets' short names."""
    return table.assign(**{column: table[column].map(SETS) for column in columns})


def show_matrix() -> None:
    """Chosen on the row, tested on the column."""
    table = ask(transfers, run_ids)
    chances = [ask_known(ResultStore.chance, run_id, "test") for run_id in run_ids]
    of_sets = zip(chances, runs["puzzle_set"], strict=True)
    listed = ", ".join(f"{percent(chance)} on {escaped(SETS[name])}" for chance, name in of_sets)
    chart = drawn(transfer_matrix, with_names(table, "chosen_on", "tested_on"), max(chances))
    show_chart(
        chart,
        width="stretch",
        key=f"transfer {run_ids}",
        alt="Test accuracy of the head chosen on each set (row) on each set (column); the table "
        "below has the numbers",
    )
    st.caption(
        "Test accuracy in percent. Row: the set whose validation puzzles chose the head; column: "
        "the set whose test puzzles it answers; ringed: the set's own best head. Grey is "
        f"{percent(max(chances))}. Chance: {listed}. Hover for head, interval and n."
    )
    offer("transfer", table, python_for(transfers, run_ids), chart.make)


def show_overlap() -> None:
    """How many of the best heads are the same."""
    st.header(f"The {N_TOP} best heads of each set", anchor=False)
    shared = ask(overlaps, run_ids)
    n_all = len(layers_with_heads(it.run)) * int(it.run["n_heads"])
    n_top = min(N_TOP, n_all)
    told = with_names(shared, "puzzle_set", "other")
    square = told.pivot(index="puzzle_set", columns="other", values="n_shared")
    st.dataframe(
        square.rename_axis(index="Puzzle set"),
        width="stretch",
        alt=f"How many of their {N_TOP} best heads two puzzle sets share",
    )
    st.caption(
        f"How many of the {n_top} heads that are best on validation puzzles two sets share. Of "
        f"{n_all:,} heads, two random sets of {n_top} would share {n_top**2 / n_all:.1f}."
    )
    offer("overlap", shared, python_for(overlaps, run_ids))


def show_good_everywhere() -> None:
    """Heads for any set, if there are any."""
    st.header("Heads that are good on every set", anchor=False)
    table = ask(heads_good_everywhere, run_ids)
    good = table[table["is_good"]] if len(table) else table
    n_good = len(good[["layer", "head"]].drop_duplicates())
    if n_good:
        st.markdown(
            f"**{n_good}** of these {'head is' if n_good == 1 else 'heads are'} above the best "
            f"trivial rival on each of the {len(run_ids)} sets."
        )
    else:
        st.markdown("**No head is above the best trivial rival on every set.** These come nearest:")
    if table.empty:
        st.caption("All heads say the same to nearly all puzzles of some set.")
        return
    table["text"] = [
        f"{text}{'' if is_above else ' not above'}"
        for text, is_above in zip(
            texts_of(table, accuracy_text, "accuracy", "low", "high", "n"),
            table["is_above"],
            strict=True,
        )
    ]
    table["name"] = texts_of(table, head_name, "layer", "head")
    order = list(dict.fromkeys(table["name"]))
    told = with_names(table, "puzzle_set")
    by_set = told.pivot(index="name", columns="puzzle_set", values="text").loc[order]
    st.dataframe(
        by_set.rename_axis(index="Head"),
        width="stretch",
        alt="Heads with the best worst-case lead over trivial rivals, and their test accuracy on "
        "each set",
    )
    of_set = told.drop_duplicates("puzzle_set")
    rivals = zip(of_set["puzzle_set"], of_set["rival"], of_set["rival_accuracy"], strict=True)
    listed = ", ".join(
        f"{rival} {percent(share)} on {escaped(puzzle_set)}" for puzzle_set, rival, share in rivals
    )
    st.caption(
        "Chosen by the worst of their validation leads over the best trivial rival of each set "
        f"({listed}), best first; the cells are test accuracies with 95 % interval and n, balanced "
        'where a set\'s answers are. "Not above": the interval does not lie above the rival. '
        "Heads that always say the same are left out."
    )
    offer(
        "good-everywhere",
        table.drop(columns=["text", "name"]),
        python_for(heads_good_everywhere, run_ids),
    )


if len(runs) < 2:
    st.info(
        "Transfer needs two runs of this model with the same settings on different puzzle sets, "
        "each with validation and test puzzles. Score it on another set with `python -m qkcore "
        "precompute` into the same store."
    )
else:
    show_matrix()
    show_overlap()
    show_good_everywhere()
