"""Two runs on the same puzzles: which heads differ, and who is more right?"""

import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick, pick_difficulty
from pages.main.stored import ask, ask_known
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from qkcore.charts.curves import difference_curves
from qkcore.charts.grids import head_grid
from qkcore.results.agreement import agreement
from qkcore.results.answers import exam
from qkcore.results.findings import compared, compared_runs, measures, rivals, same_answers
from qkcore.results.store import ResultStore
from qkcore.wording import gap_text, head_name, percent, with_minus

it = chosen()
st.title("Compare two runs")
others = ask(rivals, it.run_id)


def show_grids(other: str) -> None:
    """Both grids, on one scale."""
    steps, distractors = (
        pick_difficulty(where, it.run_id, name)
        for where, name in zip(st.columns(2), ("steps", "distractors"), strict=True)
    )
    n_kv_heads = ask(ResultStore.runs).set_index("run_id")["n_kv_heads"]
    for where, run_id, head in zip(st.columns(2), (it.run_id, other), heads, strict=True):
        table = ask(measures, run_id, steps, distractors)
        with where:
            st.markdown(f"**`{run_id}`**")
            if table.empty:
                st.caption("No test puzzle has these steps and distractors.")
                continue
            chart = drawn(
                head_grid,
                table,
                ask_known(ResultStore.chance, run_id, "test", steps, distractors),
                head,
                n_kv_heads=int(n_kv_heads[run_id]),
            )
            show_chart(
                chart,
                width="stretch",
                key=f"grid {run_id}",
                alt=f"Accuracy of every head of run {run_id} on test puzzles; the table below has "
                "the numbers",
            )
            offer(
                f"head-grid-{run_id}",
                table,
                python_for(measures, run_id, steps, distractors),
                chart.make,
            )
    st.caption(
        "Both grids have one scale; ringed is the head compared. Struck-through cells are not "
        "above the luck line; heads that always say the same are marked with =."
    )


def show_agreement(other: str) -> None:
    """How many heads keep their place from one run to the other."""
    found = ask(agreement, it.run_id, other)
    if found is None:
        st.markdown(
            f"The heads of `{it.run_id}` and `{other}` are not the same ones, so they cannot be "
            "compared one by one."
        )
        return
    ranks = "no rank correlation, for in one of the runs all are equal"
    if found.rank is not None:
        ranks = f"a rank correlation of **{with_minus(f'{found.rank:.2f}')}**"
    all_puzzles = "" if found.n == found.n_one else f" of {found.n_one:,}, those that both have"
    st.markdown(
        f"From one run to the other, the accuracies of the {found.n_heads:,} heads have {ranks}, "
        f"and the heads give the same answer **{percent(found.equal)}** of the time "
        f"(n = {found.n:,} test puzzles{all_puzzles})."
    )
    first, second = found.chosen
    if first is None or second is None or found.chosen_equal is None:
        return
    here, there = head_name(*first), head_name(*second)
    same = f"choose **{here}** in both runs"
    if not found.is_same_head:
        same = f"choose **{here}** here and **{there}** there"
    st.markdown(
        f"Validation puzzles {same}; {here} gives the same answer in both "
        f"**{percent(found.chosen_equal)}** of the time."
    )


def show_difference(other: str) -> None:
    """Heads and models of both runs, paired by puzzle: in all, and by steps."""
    first, second = (
        ask(exam, run_id, *head) for run_id, head in zip((it.run_id, other), heads, strict=True)
    )
    measure = ask(ResultStore.measure, it.run_id)
    names = {
        "head": f"{head_name(*heads[0])} here − {head_name(*heads[1])} there",
        "model": "model here − model there",
    }
    same = same_answers(first, second)
    for row in compared(first, second, (), measure).to_dict("records"):
        if row["who"] in same:
            st.markdown(
                f"{names[row['who']]}: **the same answer to all {row['n']:,} test puzzles**, so "
                "there is no difference to measure."
            )
            continue
        difference = gap_text(row["gap"], row["low"], row["high"], row["p"])
        st.markdown(f"{names[row['who']]}: **{difference}**, n = {row['n']:,} test puzzles.")
    if len(same) == len(names):
        return
    by_steps = compared(first.dropna(subset=["steps"]), second, ["steps"], measure)
    if by_steps.empty:
        st.caption(
            "The puzzles of these runs do not say how many steps they take, so there are no curves."
        )
        return
    chart = drawn(difference_curves, by_steps, names)
    show_chart(
        chart,
        width="stretch",
        key=f"compare {it.run_id} {other} {heads}",
        alt="Difference in accuracy between the two runs by steps, for heads and models; the table "
        "has the numbers",
    )
    st.caption(
        "Above zero, this run is more right than the other. Bars are 95 % intervals of the paired "
        "difference."
    )
    code = python_for(compared_runs, it.run_id, heads[0], other, heads[1], ["steps"])
    offer("compare", by_steps, code, chart.make)


if not others:
    st.info(
        "No other run in this store is on the same puzzles. Score the same puzzle file with "
        "another model, or with `--rope post` or `--rope raw`, into the same store to compare."
    )
elif ask(ResultStore.difficulties, it.run_id, "test").empty:
    st.info(
        'This run has no test puzzles: give some puzzles of the file the split "test" and score it '
        "again."
    )
else:
    other = pick(st, "Compare with", "other", others)
    st.markdown(
        f"{it.name} of `{it.run_id}` ({it.how}) with the best head of `{other}` on validation "
        "puzzles."
    )
    heads = ((it.layer, it.head), ask(ResultStore.best_head, other) or (0, 0))
    show_difference(other)
    show_agreement(other)
    show_grids(other)
