"""The chosen head beside the model, by steps: drawn on more than one page."""

import streamlit as st

from pages.frame.chosen import Chosen
from pages.frame.reading import ask
from qkcore.charts import RULE, difficulty_curves


def show_curves(it: Chosen, distractors: int | None = None) -> None:
    """Chart, reading line and table twin on test puzzles with these distractors (None: all)."""
    by_steps = ask("accuracy_by_steps", it.run_id, "test", it.layer, it.head, distractors)
    by_steps = by_steps.dropna(subset=["steps"]).replace({"who": {"head": it.name, "rule": RULE}})
    if by_steps.empty:
        st.caption("The puzzles of this run do not say how many steps they take, so there is no curve by steps.")
        return
    luck = ask("luck_by_steps", it.run_id, "test", distractors)
    chance = ask("chance", it.run_id, "test", None, distractors)
    st.altair_chart(
        difficulty_curves(by_steps, luck, chance, it.name),
        width="stretch",
        key=f"curves {it.run_id} {it.name} {distractors}",
        alt=f"Accuracy of {it.name} and of the model on test puzzles at each number of steps; the table below has "
        "the numbers",
    )
    st.caption(
        f"Circles: {it.name}. Squares: the model. Bars are 95 % intervals. Dashed: the surface rule that does best on "
        f'validation puzzles, "{ask("best_rule", it.run_id)}", which reads no logic. Dotted: the luck line, what the '
        "best of all heads gets by guessing (95th percentile)."
    )
    with st.expander("Table of this chart"):
        table = by_steps[["who", "steps", "accuracy", "low", "high", "n"]]
        shares = {name: st.column_config.NumberColumn(format="percent") for name in ("accuracy", "low", "high")}
        st.dataframe(table, hide_index=True, width="stretch", column_config=shares)
