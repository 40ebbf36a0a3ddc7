"""What if the puzzle were a little different?

Each change is scored, with before and after side by side.
"""

import pandas as pd
import streamlit as st

from pages.live.scoring import what_if
from pages.live.viewed import View
from pages.widgets.drawing import drawn_once, show_chart
from pages.widgets.exports import offer_for_paper
from qkcore.charts.one_puzzle import own_curve_chart
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.variants import KINDS, truth
from qkcore.results.one_puzzle import effects, own_curve
from qkcore.wording import escaped

NAMES = {
    "negated": "negate the statement",
    "dropped": "leave out each premise in turn",
    "distractors": "add 1 to 5 distractors",
    "shuffled": "shuffle the premises",
    "renamed": "swap the names",
}
TRIED, JOB = "live tried", "live job what if"


def show_what_if(view: View) -> None:
    """Pick changes, press the button, see who flips."""
    st.header("What if", anchor=False)
    kinds = st.multiselect(
        "Changes", KINDS, default=KINDS, format_func=NAMES.__getitem__, key="live kinds"
    )
    puzzle = (view.puzzle, view.shared.model)
    if st.button("Try these changes", key="live try", disabled=not kinds):
        st.session_state[TRIED] = (puzzle, tuple(kinds))
        st.session_state.pop(JOB, None)
    of, tried = st.session_state.get(TRIED, (None, ()))
    if of != puzzle:
        st.caption("Each change is scored as a puzzle of its own; its truth is worked out anew.")
        return
    found = what_if(view.shared, tried)
    if found is None:
        return
    after, notes = found
    table = effects(view.result.scores, after, *view.place, view.by)
    puzzles = [view.puzzle, *(scores.puzzle for _, scores in after)]
    table["in_words"] = [_truth_of(puzzle) for puzzle in puzzles]
    _show_summary(view, table)
    _show_table(view, table[table["kind"] != "distractors"])
    _show_curve(view, table)
    for note in notes:
        st.caption(escaped(note))


def _truth_of(puzzle: Puzzle) -> str:
    """The right answer, or why there is none: what cannot be read is called that."""
    if puzzle.answer is not None:
        return puzzle.candidates[puzzle.answer]
    found = truth(puzzle.context, puzzle.statement, puzzle.candidates)
    if found.solution is None:
        return "could not be worked out"
    if found.answer is not None:
        return "left open"
    return "neither follows" if found.solution.verdict is None else "no candidate says it"


def _names(view: View, table: pd.DataFrame) -> dict[str, str]:
    names = {"model": "model", "head": view.name, "vote": "vote"}
    return {who: name for who, name in names.items() if who in table}


def _show_summary(view: View, table: pd.DataFrame) -> None:
    after = table.iloc[1:]
    said = [
        f"{name} changes its answer **{int(after[f'{who}_flips'].sum())}** times"
        for who, name in _names(view, table).items()
    ]
    st.markdown(f"In {len(after):,} changes, {', '.join(said)}. {_on_the_proof(view, after)}")


def _on_the_proof(view: View, after: pd.DataFrame) -> str:
    """Whether the head's answer hangs on the premises that the right answer hangs on."""
    dropped, sentences = after[after["kind"] == "dropped"], view.result.alignment.sentences
    is_needed = [sentences[one] in view.truth.proof for one in dropped["premise"]]
    needed = dropped[is_needed]
    if needed.empty:
        return ""
    n_flips, n = int(needed["head_flips"].sum()), len(needed)
    if not n_flips:
        premises = "the premise" if n == 1 else f"any of the {n} premises"
        return (
            f"**{view.name} does not depend on the proof:** without {premises} that it needs, the "
            "head says the same."
        )
    return (
        f"Without a premise that the proof needs, {view.name} says something else in "
        f"**{n_flips} of {n}** cases."
    )


def _show_table(view: View, table: pd.DataFrame) -> None:
    """A row a change; who flips is said in words."""
    shown: dict[str, pd.Series | list[str]] = {
        "Change": table["change"],
        "Truth": table["in_words"],
    }
    if table["kind"].eq("dropped").any():
        sentences, proof = view.result.alignment.sentences, view.truth.proof
        shown["In the proof"] = [
            "" if pd.isna(one) else "yes" if sentences[one] in proof else "no" if proof else ""
            for one in table["premise"]
        ]
    for who, name in _names(view, table).items():
        flips = table[f"{who}_flips"].map({True: ", flips", False: ""})
        verdict = table[f"{who}_verdict"].map({"right": "✓ ", "wrong": "✗ "}).fillna("")
        shown[name] = verdict + table[who] + flips
    st.dataframe(pd.DataFrame(shown), hide_index=True, width="stretch")
    st.caption(
        "✓ right, ✗ wrong, neither where nobody knows the right answer; flips: another answer than "
        "for the puzzle as it is."
    )


def _show_curve(view: View, table: pd.DataFrame) -> None:
    curve = own_curve(table)
    if curve["n_added"].nunique() < 2:
        return
    names = _names(view, table)
    chart = drawn_once(own_curve_chart, curve, names)
    show_chart(
        chart,
        width="stretch",
        key="live curve",
        alt="Share of draws that model, head and vote answer right as distractors are added; the "
        "table below has the numbers",
    )
    st.caption(
        f"This puzzle's own difficulty curve, coarse: {int(curve['n'].max())} draws for each "
        "number of distractors."
    )
    with st.expander("Table and paper figure of this chart"):
        st.dataframe(curve.assign(who=curve["who"].map(names)), hide_index=True, width="stretch")
        rows = table[table["kind"] == "distractors"]
        _show_table(view, rows)
        offer_for_paper("distractors-added", chart.make, view.about)
