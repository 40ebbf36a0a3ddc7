"""The grid and the chosen head side by side: a part of a page that a click draws anew by itself.

What a click changes stands here, so that it is seen before the rest of the page has followed. The
fragment is given names and numbers only: Streamlit keeps what it is given for as long as the
visitor stays.
"""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pages.main.chosen import CLICKED, Chosen, chosen
from pages.main.stored import ask, ask_known
from pages.server.failures import in_words
from pages.widgets.clicks import opening_head, opening_ranked
from pages.widgets.curves import exam_of
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for, shown
from pages.widgets.head import show_profile
from pages.widgets.rules import MEASURE_NAMES
from pages.widgets.verdict import groups_sentence
from qkcore.charts.grids import head_grid
from qkcore.charts.theme import CELL
from qkcore.results.beside import RawScoresAbsentError
from qkcore.results.findings import BOUNDS, layers_without_heads, measures
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import gaps
from qkcore.wording import accuracy_text, gap_text

HAND_PICKED = (
    "A head picked because it looks good here looks better than it is: its fair rival is the luck "
    "line."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the grid shows."""

    measure: str  # a column of `measures`
    title: str  # what people call it
    by: str  # what is said is said by this one: "accuracy" or "balanced_accuracy"
    steps: int | None
    distractors: int | None
    is_stretched: bool  # colours reach as far as the heads do

    @property
    def puzzles(self) -> tuple[int | None, int | None]:
        """Steps and distractors of the puzzles."""
        return self.steps, self.distractors


@st.fragment
def show_grid_and_head(asked: Asked) -> None:
    """The grid, beside it the chosen head and the ranking; below it, how to read it."""
    with in_words():
        it = chosen()
        heads = ask(measures, it.run_id, *asked.puzzles, asked.by)
        left, right = st.columns([3, 2], gap="medium")
        with right:  # first, for it is what a click waits for
            _show_head(it, asked, heads)
        with left:
            _show_grid(it, asked, heads)
        with right:
            _show_ranking(it, asked, heads)
    if CLICKED in st.session_state:
        st.rerun()  # the whole page follows


def _show_grid(it: Chosen, asked: Asked, heads: pd.DataFrame) -> None:
    key, absent = f"grid {it.run_id}", layers_without_heads(it.run)
    chart = drawn(
        head_grid,
        heads,
        ask_known(ResultStore.chance, it.run_id, "test", *asked.puzzles),
        (it.layer, it.head),
        asked.measure,
        asked.title,
        int(it.run["n_kv_heads"]),
        absent,
        is_stretched=asked.is_stretched,
    )
    show_chart(
        chart,
        width="stretch",
        key=key,
        on_select=opening_head(key),
        selection_mode=[CELL],
        alt=f"{asked.title} of {len(heads):,} heads by layer and head on test puzzles; the ranking "
        "beside it has the numbers",
    )
    _show_how_to_read(it, asked, heads, len(absent))
    code = python_for(measures, it.run_id, *asked.puzzles, asked.by)
    offer("head-grid", heads, code, chart.make)


def _show_how_to_read(it: Chosen, asked: Asked, heads: pd.DataFrame, n_absent: int) -> None:
    scale = (
        "the scale reaches as far as these heads do, so colours of two runs do not compare"
        if asked.is_stretched
        else "the scale is the same for every run"
    )
    is_shared = it.run["n_kv_heads"] < it.run["n_heads"]
    missing = (
        f"{n_absent} of the model's {it.run['n_layers']} layers have no softmax heads. "
        if n_absent
        else ""
    )
    st.caption(
        "Click a cell, or a row of the ranking, to open that head beside the grid, or set layer "
        "and head in the sidebar. Grey is chance (for a gain: no gain), blue above it, orange "
        f"below; {scale}. Struck-through cells are not above the luck line; heads that always say "
        "the same are marked with =. "
        f"{'Lines divide heads that share keys. ' if is_shared else ''}Heads far below chance are "
        f"shown as they are, never turned round. {missing}Test puzzles, n = "
        f"{int(heads['n'].iloc[0]):,}."
    )
    if heads[asked.measure].isna().all():
        st.info(
            f"{asked.title} is not defined here: not every answer occurs among these puzzles. "
            "Choose another measure."
        )
    if asked.measure == "auc":
        st.caption(
            "AUC asks only how a head orders puzzles, so a head that always says the same can "
            "still have a good one."
        )


def _show_head(it: Chosen, asked: Asked, heads: pd.DataFrame) -> None:
    """The head in words: how right, against whom, and what it is like."""
    own = heads[(heads["layer"] == it.layer) & (heads["head"] == it.head)].iloc[0]
    st.header(it.name, anchor=False)
    said = (
        f"{it.how.capitalize()}: {MEASURE_NAMES[asked.by]} "
        f"**{accuracy_text(*own[[asked.by, *BOUNDS[asked.by], 'n']])}**"
    )
    has_scores = True
    try:
        marks = exam_of(it, steps=asked.steps, distractors=asked.distractors)
        st.markdown(f"{said}, {_gaps_sentence(marks, asked.by)}")
    except RawScoresAbsentError:  # why, the page says further down
        has_scores = False
        st.markdown(f"{said}. Its gap to the model on these puzzles needs raw scores.")
    if it.is_picked:
        st.caption(HAND_PICKED)
    if has_scores:
        show_profile(it, asked.steps, asked.distractors)


def _gaps_sentence(marks: pd.DataFrame, by: str) -> str:
    fair, raw = (
        gaps(marks, [], "head", than, by).iloc[0] for than in ("calibrated_model", "model")
    )
    columns = ["gap", "low", "high", "p"]
    return (
        f"against the calibrated model **{gap_text(*fair[columns])}**, against the model as it is "
        f"{gap_text(*raw[columns])}. {groups_sentence(int(raw['n']), int(raw['n_groups']))}"
    )


def _show_ranking(it: Chosen, asked: Asked, heads: pd.DataFrame) -> None:
    """Every head, the best by the measure first; a click on a row opens it."""
    ranked = heads.sort_values(asked.measure, ascending=False)
    key = f"ranking {it.run_id} {asked.measure} {asked.puzzles}"
    st.dataframe(
        **shown(
            ranked[["layer", "head", *dict.fromkeys([asked.measure, asked.by]), "n"]],
            **{asked.measure: asked.title},
        ),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(heads), 420),
        key=key,
        on_select=opening_ranked(key, list(zip(ranked["layer"], ranked["head"], strict=True))),
        selection_mode="single-cell",
        alt=f"Heads ranked by {asked.title}; a click on a row opens its head",
    )
