"""What is the number on every page, how did it come about, and what does it not show?"""

import pandas as pd
import streamlit as st

from pages.main.chosen import chosen
from pages.main.stored import ask
from pages.server.settings import ROOT
from pages.widgets.exports import offer, python_for
from qkcore.results.findings import products
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text, escaped, head_name

it = chosen()
st.title("Method")
st.markdown(
    "A puzzle is a context, a statement and candidate answers. The prompt ends in a cue such as "
    "`Answer:`, and each candidate is appended in turn. For every attention head, the **QK-score** "
    "of a candidate is the dot product of the head's **query at the candidate's token** with its "
    "**key at the last token before the cue**, the statement's end. The head answers with the "
    "candidate of the larger score; a tie is wrong."
)
st.markdown(r"$S_{l,h,a} = q_a^{(l,h)} \cdot k_s^{(l,\,\mathrm{kv}(h))}$")
st.markdown(r"$\mathrm{answer}_{l,h} = \arg\max_a S_{l,h,a}$")
st.markdown(
    "No softmax, no scaling. By default queries and keys are read before rotary position "
    "embedding, as in the paper; a run says which. The model's own answer is the candidate of the "
    "largest next-token logit after the cue."
)


def show_example(example: pd.Series) -> None:
    """The arithmetic of one head on one test puzzle."""
    name = head_name(example["layer"], example["head"])
    st.subheader("Worked example", anchor=False)
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

st.subheader("How heads are chosen", anchor=False)
st.markdown(
    "Every puzzle is validation or test, and puzzles that share a context are on the same side. "
    "Heads, votes and the scales of votes are chosen on validation puzzles and reported on test "
    "puzzles. So the accuracy of a chosen head is no maximum: it can be lower than that of its "
    "neighbours. A head that you pick because it looks good here is a maximum; its fair rival is "
    "the luck line. Intervals are Wilson's at 95 %; gaps are paired by puzzle, with the exact "
    "McNemar test."
)
st.subheader("The luck line", anchor=False)
st.markdown(
    "The best of many guessing heads looks good. Right answers are shuffled among puzzles of the "
    "same group, steps and distractors 1,000 times; each time every head is marked anew and the "
    "best mark kept. The line is the 95th percentile of those best marks: heads that share habits "
    "keep them, so it fits this model."
)
st.subheader("Surface rules", anchor=False)
st.markdown(
    'Rules that read no logic, such as "false if the statement contains not", solve several public '
    "sets completely. A head that scores 95 % where a rule scores 100 % has shown nothing. The "
    "rule beside every accuracy is the one that does best on validation puzzles, turned round if "
    "that helps it."
)
st.subheader("What this does not show", anchor=False)
st.markdown(
    "- That the answer can be read in a head does not mean that the model uses that head.\n"
    "- An accuracy above the luck line is not yet logic: compare the surface rules, and how it "
    "falls with more steps.\n"
    "- QK-scores compare within a head only; a larger score in another head means nothing.\n"
    "- Statements about one context are not quite independent, so intervals are a little narrow."
)
st.subheader("Sources and how to cite", anchor=False)
st.markdown(
    "*Quantifying Logical Consistency in Transformers via Query-Key Alignment*, Tulchinskii et "
    "al., arXiv 2502.17017, EMNLP 2025. *Listening to the Wise Few: Select-and-Copy Attention "
    "Heads for Multiple-Choice QA*, arXiv 2410.02343. Cite the paper for the method, and for "
    "numbers from this page the run's id, which stands for model, puzzles and settings:"
)
st.code(
    f"QKScope {it.run['qkcore_version']}, run {it.run_id}, model revision "
    f"{it.run['model_revision']}",
    language=None,
    wrap_lines=True,
)
