"""What is the number on every page, how did it come about, and what does it not show?"""

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.stored import ask
from pages.server.settings import ROOT
from pages.widgets.answering import show_how_a_head_answers
from pages.widgets.exports import offer, python_for
from qkcore.results.findings import products
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text, escaped, head_name

# The prose: an introduction, then sections by title, in the order in which they are shown.
INTRODUCTION, *SECTIONS = (
    Path(__file__).with_name("method.md").read_text(encoding="utf-8").split("\n## ")
)

it = chosen()
st.title("Method")
st.markdown(INTRODUCTION)
with st.container(width=460):
    show_how_a_head_answers(it.run_id)


def show_example(example: pd.Series) -> None:
    """The arithmetic of one head on one test puzzle."""
    name = head_name(example["layer"], example["head"])
    st.header("Worked example", anchor=False)
    st.markdown(
        f"{name} of `{it.run_id}`, chosen on validation puzzles, on the shortest of its test "
        f"puzzles (`{example['puzzle_id']}`). The prompt, as tokens divided by `|`:"
    )
    tokens, key_at = list(example["tokens"]), int(example["key_at"])
    st.code("|".join(tokens), language=None, wrap_lines=True)
    st.markdown(
        f"The key is read at token {key_at} of {len(tokens)} (from 0), `{tokens[key_at]!r}`; the "
        "queries at "
        + ", ".join(f"`{token!r}`" for token in example["candidate_tokens"])
        + ", each as the token after the prompt."
    )
    table = products(example)
    candidates = list(example["candidates"])
    scores = [table[f"product ({candidate})"].sum() for candidate in candidates]
    answer = candidates[example["answer"]]
    best = max(range(len(scores)), key=scores.__getitem__)
    listed = ", ".join(
        f"{score:.3f} for {escaped(one)}" for one, score in zip(candidates, scores, strict=True)
    )
    st.markdown(
        f"Summed over {len(table)} dimensions, key times query gives **{listed}**. So {name} "
        f"answers **{escaped(candidates[best])}**; the right answer is {escaped(answer)}: "
        f"**{'right' if best == example['answer'] else 'wrong'}**."
    )
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=220,
        alt="Key, queries and products by dimension",
    )
    show_cell(example, name)
    offer(
        "worked-example", table, python_for(ResultStore.worked_example, it.run_id, then=(products,))
    )


def show_cell(example: pd.Series, name: str) -> None:
    """Where that answer counts."""
    known = {
        column: int(example[column])
        for column in ("steps", "distractors")
        if not pd.isna(example[column])
    }
    heads = ask(
        ResultStore.head_accuracy, it.run_id, "test", known.get("steps"), known.get("distractors")
    )
    own = heads[(heads["layer"] == example["layer"]) & (heads["head"] == example["head"])].iloc[0]
    listed = " and ".join(f"{column}: {value}" for column, value in known.items())
    st.markdown(
        f"It counts once in the cell of {name} on the Head grid. Of the test puzzles of the same "
        f"difficulty ({listed or 'not stated'}), {name} answers "
        f"{accuracy_text(*own[['accuracy', 'low', 'high', 'n']])} right."
    )
    query = {"run": it.run_id, "layer": example["layer"], "head": example["head"]} | known
    st.page_link(
        ROOT / "pages/results/head_grid.py",
        label="Open that cell",
        query_params={key: str(value) for key, value in query.items()},
    )


example = ask(ResultStore.worked_example, it.run_id)
if example is None:
    st.info(
        "This run holds no worked example: it was published without texts, or has no puzzles to "
        "choose or to report on."
    )
else:
    show_example(example)
for section in SECTIONS:
    title, prose = section.split("\n", maxsplit=1)
    st.header(title, anchor=False)
    st.markdown(prose)
st.code(
    f"QKScope {it.run['qkcore_version']}, run {it.run_id}, model revision "
    f"{it.run['model_revision']}",
    language=None,
    wrap_lines=True,
)
