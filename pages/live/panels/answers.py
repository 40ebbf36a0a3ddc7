"""Who gets the puzzle right: the truth, the model, the head in view and the vote.

Each with how certain that is.
"""

from typing import Any

import pandas as pd
import streamlit as st

from pages.live.typed import say_answer
from pages.live.viewed import View
from qkcore.results.one_puzzle import answer_rows
from qkcore.results.scores import RIGHT, WRONG
from qkcore.results.yardsticks import chosen_for_others
from qkcore.wording import NO_BREAK, escaped, percent, visible

SIGNS = {RIGHT: f"✓{NO_BREAK}right", WRONG: f"✗{NO_BREAK}wrong", "": "?"}


def show_answers(view: View) -> None:
    """Headline, table, and the proof."""
    rows = answer_rows(view.result.scores, *view.place, view.by, view.own_leads)
    st.header("Who gets it right", anchor=False)
    said = [
        _sentence(*row) for row in zip(rows["who"], rows["answer"], rows["verdict"], strict=True)
    ]
    is_asked = _is_asked(view)
    told = [*said, _truth_sentence(view)] if is_asked else [_truth_sentence(view), *said]
    st.markdown(" ".join(told))
    if is_asked:
        with st.container(horizontal=True):
            for candidate in view.puzzle.candidates:
                st.button(
                    escaped(candidate),
                    on_click=say_answer,
                    args=(candidate,),
                    key=f"say {candidate}",
                )
    st.dataframe(_table(view, rows), hide_index=True, width="stretch", column_config=_columns())
    st.caption(
        f"{view.name}: {view.how}. Test puzzles are those of the run in the sidebar; an answer is "
        "more certain when the best candidate is further ahead of the second."
        if view.by
        else f"{view.name}: {view.how}."
    )
    _say_whose_candidates(view)
    _show_proof(view)


def _say_whose_candidates(view: View) -> None:
    """A head, and a vote, chosen for other candidates than these."""
    others = view.by and chosen_for_others(view.by, view.puzzle.candidates)
    if others:
        st.caption(
            f"The run's heads, {view.name} and those that vote, were chosen on puzzles whose "
            f"candidates are {escaped(', '.join(others))}, not for the candidates of this puzzle."
        )


def _is_asked(view: View) -> bool:
    """Whether the visitor is asked which answer is right: nobody can tell, and one may be."""
    found = view.truth
    if view.puzzle.answer is not None or found.answer is not None:
        return False
    return found.solution is None or found.solution.verdict is not None


def _truth_sentence(view: View) -> str:
    puzzle, found = view.puzzle, view.truth
    if puzzle.answer is None:
        if found.solution is None:
            return "The right answer could not be worked out from this text. Which answer is right?"
        if found.answer is not None:
            return f"{_what_follows(view)}, and it was left open which answer is right."
        if found.solution.verdict is not None:
            return f"{_what_follows(view)}, and no candidate says so. Which answer is right?"
        return "Nobody has said which answer is right, and neither follows from the context."
    in_steps = ""
    if found.solution is not None and found.answer == puzzle.answer:
        in_steps = f" ({_steps(found.solution.steps)})"
    return f"The right answer is **{escaped(puzzle.candidates[puzzle.answer])}**{in_steps}."


def _what_follows(view: View) -> str:
    is_so = view.truth.solution is not None and view.truth.solution.verdict
    return f"The {'statement' if is_so else 'opposite of the statement'} follows from the context"


def _steps(n: int | None) -> str:
    return "nothing follows" if n is None else f"{n} step{'s' * (n != 1)}"


def _sentence(who: str, answer: str, verdict: str) -> str:
    judged = f": **{verdict}**" if verdict else ""
    return f"{who[:1].upper()}{who[1:]} says **{escaped(answer)}**{judged}."


def _table(view: View, rows: pd.DataFrame) -> pd.DataFrame:
    shares = zip(view.puzzle.candidates, view.result.scores.probabilities, strict=True)
    probabilities = ", ".join(
        f"{visible(candidate)} {percent(share)}" for candidate, share in shares
    )
    return pd.DataFrame(
        {
            "Who": rows["who"],
            "Answer": rows["answer"].map(visible),
            "That is": rows["verdict"].map(SIGNS),
            "More certain than": [
                "" if pd.isna(one) else f"{percent(one)} of test puzzles"
                for one in rows["share_below"]
            ],
            "Lead": rows["lead"],
            "In words": [probabilities if who == "the model" else "" for who in rows["who"]],
        }
    )


def _columns() -> dict[str, Any]:
    return {
        "More certain than": st.column_config.TextColumn(
            help="Share of the run's test puzzles that were answered with a smaller lead."
        ),
        "Lead": st.column_config.NumberColumn(
            format="%.3g",
            help="The best candidate's score minus the second best's, in units of who says it: "
            "logits of the model, QK-scores of a head, usual sizes in the vote.",
        ),
        "In words": st.column_config.TextColumn(
            "Probabilities",
            help="The model's next-token probabilities, shared out among the candidates only.",
        ),
    }


def _show_proof(view: View) -> None:
    """What the answer follows from, or why that is not known."""
    puzzle, found = view.puzzle, view.truth
    if found.solution is None:
        st.caption(f"The answer was not worked out: {escaped(found.reason)}")
        return
    if found.solution.verdict is None:
        st.caption("Neither the statement nor its opposite follows from the context.")
        return
    what = "The statement" if found.solution.verdict else "The opposite of the statement"
    verdict = f"{what} follows"
    if puzzle.answer is not None and found.answer not in (None, puzzle.answer):
        st.warning(f"{verdict} from the context, but another answer was given as the right one.")
    with st.expander(f"Proof: {verdict.lower()}, {_steps(found.solution.steps)}"):
        st.code("\n".join(found.solution.proof), language=None, wrap_lines=True)
