"""The page "Try a puzzle" in Streamlit's own test runner, with the bundled model."""

import gc
import importlib.util
import re
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from qkcore.asking.links import Shared, encode, typed_puzzle
from qkcore.results.store import ResultStore
from tests import ROOT, files_of
from tests.pages.opening import LIVE, answered, opened
from tests.pages.test_pages import said
from tests.stores import demo_run

DEMO = ROOT / "data" / "qkscope.duckdb"
RUN = demo_run()
TRUE = Shared(
    typed_puzzle("Max is a wumpus. Every wumpus is cold.", "Max is cold.", answer=0),
    "data/reference",
)
SECTIONS = ["Who gets it right", "Every head on this puzzle", "What if", "Take it away"]


@pytest.fixture
def open_page(monkeypatch):
    """Opens the page on a store, with what the address says.

    By default on the demo store and a run of it.
    """

    def open_page(store=DEMO, shared=None, **query) -> AppTest:
        monkeypatch.setenv("QKSCOPE_STORE", str(store))
        query |= {"puzzle": encode(shared)} if shared else {}
        if store == DEMO:
            query.setdefault("run", RUN)
        return answered(opened(LIVE, query))

    return open_page


def typed(at: AppTest, context=None, statement=None, own=None, answer=None) -> AppTest:
    """Fill in fields and press the button."""
    if own is not None:
        at.selectbox(key="live pair").set_value("my own").run()
        at.text_area(key="live own").set_value(own)
    if context is not None:
        at.text_area(key="live context").set_value(context)
    if statement is not None:
        at.text_input(key="live statement").set_value(statement)
    if answer is not None:
        at.run()
        at.selectbox(key="live answer").set_value(answer)
    return answered(at.button(key="live score").click().run())


def sections(at: AppTest) -> list[str]:
    return [one.value for one in at.header if one.value in SECTIONS]


def answers(at: AppTest):
    return at.dataframe[0].value.set_index("Who")


def grid(at: AppTest):
    return (
        next(one.value for one in at.dataframe if "scaled" in one.value)
        .set_index(["layer", "head"])
        .sort_index()
    )


def test_the_page_opens_with_an_example_that_is_scored(open_page):
    at = open_page()
    assert sections(at) == SECTIONS
    assert not at.error
    assert "The right answer is **false** (2 steps)" in said(at)
    assert answers(at).index.tolist() == ["the model", "L6 H1", "the vote of 5 heads"]
    assert all(len(chart.proto.alt) > 20 for chart in at.get("vega_lite_chart"))
    files = [one.proto.label for one in at.get("download_button")]
    assert files.count("1 column, PDF") == 2  # the grid, and sums of premises


def test_every_example_is_scored(open_page):
    at = open_page()
    for name in at.selectbox(key="live example").options:
        at.selectbox(key="live example").set_value(name).run()
        assert sections(answered(at)) == SECTIONS, name
        assert not at.error, name


def test_a_random_puzzle_has_the_steps_and_words_asked_for(open_page):
    at = open_page()
    at.slider(key="live steps").set_value(1)
    at.selectbox(key="live style").set_value("everyday")
    draw = next(button for button in at.button if button.label == "Draw a puzzle")
    answered(draw.click().run())
    assert "(1 step)" in said(at)
    assert "If someone is" in at.text_area(key="live context").value
    assert not at.warning  # all words are known


def stored(n: int):
    """Puzzles of the demo store with their stored scores.

    (Shared, (layer * head, candidate) scores, logits).
    """
    with ResultStore.open(DEMO) as store:
        rows = store.frame(
            """
            with picked as (
                select p.* from store.puzzles p join store.runs using (puzzle_set)
                where run_id = $run_id and split = 'test'
                order by hash(puzzle_id)
                limit $n
            )
            select context, statement, candidates, answer,
                   list(qk order by layer, head, candidate) as qk, any_value(logit) as logits
            from picked join store.scores using (puzzle_id, place)
            join store.logits using (run_id, place)
            where run_id = $run_id
            group by puzzle_id, context, statement, candidates, answer
            """,
            run_id=RUN,
            n=n,
        )
    for row in rows.itertuples():
        texts = (row.context, row.statement, tuple(row.candidates))
        yield (
            replace(TRUE, puzzle=typed_puzzle(*texts, row.answer)),
            np.reshape(row.qk, (-1, len(row.candidates))),
            np.array(row.logits),
        )


def test_a_stored_puzzle_gets_the_stored_scores(open_page):
    for shared, qk, logits in stored(3):
        at = open_page(shared=shared)
        margins = qk[:, shared.puzzle.answer] - qk[:, 1 - shared.puzzle.answer]
        np.testing.assert_allclose(grid(at)["margin"], margins, atol=1e-4)
        assert answers(at).loc["the model", "Lead"] == pytest.approx(
            abs(logits[0] - logits[1]), abs=1e-4
        )
        assert set(grid(at).index[grid(at)["is_known_good"]]) >= {(6, 1)}


def test_a_link_opens_the_puzzle_and_head_and_gives_itself_again(open_page):
    at = open_page(shared=TRUE, layer="2", head="3")
    assert at.text_area(key="live context").value == TRUE.puzzle.context
    assert "What the query of L2 H3 matches" in [one.value for one in at.header]
    link = next(code.value for code in at.code if "puzzle=" in code.value)
    again = open_page(**dict(part.split("=", 1) for part in link.split("?")[1].split("&")))
    assert grid(again).equals(grid(at))
    assert answers(again).equals(answers(at))
    assert link in [code.value for code in again.code]
    assert link in [code.value for code in at.sidebar.code]


@pytest.mark.parametrize("text", ["x", "AXja", "%00", encode(TRUE)[:-9], "A" * 40_000])
def test_a_broken_link_gives_a_sentence_and_an_example(text, open_page):
    at = open_page(puzzle=text)
    assert "This link cannot be opened" in at.error[0].value
    assert sections(at) == SECTIONS


def test_what_is_typed_is_scored_when_the_button_is_pressed_and_not_before(open_page):
    at = open_page(shared=TRUE)
    before = grid(at)
    at.text_input(key="live statement").set_value("Max is not cold.").run()
    assert "differs from the puzzle below" in said(at)
    assert grid(at).equals(before)
    typed(at)
    assert "The right answer is **false** (1 step)" in said(at)
    assert "differs" not in said(at)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"context": ""}, "The context is empty; type at least one premise."),
        ({"context": " \n\t "}, "The context is empty"),
        ({"statement": "  "}, "The statement is empty; type at least what is to be judged."),
        ({"own": "true"}, "There are 1 candidates; type 2 to 8 of them"),
        ({"own": "\n".join("abcdefghi")}, "There are 9 candidates"),
        ({"own": "true\ntrue"}, "not all different"),
        ({"own": "red\nred hat"}, "its next-token answer cannot tell them apart"),
        ({"context": "Max is a wumpus. " * 5_880}, "tokens too long"),
        ({"context": "a" * 100_001}, "at most 100,000 are scored"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence(fields, sentence, open_page):
    at = typed(open_page(shared=TRUE), **fields)
    errors = " ".join(error.value for error in at.error).replace("\\", "")
    if "tell them apart" in sentence:
        assert "cannot tell them apart" in errors
    else:
        assert sentence in errors
    assert "typed" not in errors
    if "context" in fields and fields["context"].strip():
        # What was typed is kept
        assert at.text_area(key="live context").value.strip() == fields["context"].strip()


def test_a_puzzle_that_is_too_long_says_by_how_many_tokens(open_page):
    at = typed(open_page(shared=TRUE), context="Max is a wumpus. " * 300)
    assert "tokens too long: it has" in at.error[0].value.replace("\\", "")
    assert "reads at most 1,024" in at.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    "text",
    [
        "<b>Max</b> is <script>alert(1)</script> cold.",
        "**Max** [is](http://x) `cold` $x^2$ :red[cold].",
        "Max is \u202ecold\u202c. \u05de\u05e7\u05e1 \u05e7\u05e8.",
        "Max is 🙂👩‍👩‍👧. マックスは寒い。",
        "Max\x00 is\x07 cold.\x1b[31m",
        "{context} {statement} {0}",
    ],
)
def test_signs_of_every_kind_are_scored_and_shown_as_typed(text, open_page):
    at = typed(
        open_page(shared=TRUE),
        context=text,
        statement=text,
        own=f"{text[:9].strip()}\nfalse",
        answer="not known",
    )
    assert sections(at) == SECTIONS
    assert not at.error
    markdown = " ".join(one.value for one in [*at.markdown, *at.caption, *at.warning, *at.info])
    assert text not in markdown
    assert "<script>" not in markdown
    answered(at.button(key="live try").click().run())
    assert not at.exception


def test_unknown_words_are_all_listed_with_near_ones(open_page):
    at = typed(
        open_page(shared=TRUE),
        context="Max is a wompus. Every wompus is a dragon.",
        statement="Max is a dragon.",
    )
    warning = at.warning[0].value
    assert "wompus" in warning
    assert "near: wumpus" in warning.replace("\\", "")
    assert "dragon" in warning
    assert sections(at) == SECTIONS


def test_an_answer_that_contradicts_the_proof_is_pointed_out(open_page):
    at = typed(open_page(shared=TRUE), answer="false")
    assert "another answer was given as the right one" in at.warning[0].value
    assert answers(at)["That is"].str.contains("right|wrong").all()


def test_a_visitor_may_say_which_answer_is_right_where_it_could_not_be_worked_out(open_page):
    at = typed(open_page(shared=TRUE), context="Blue is the new green. Max hums.")
    assert "could not be worked out from this text. Which answer is right?" in said(at)
    assert "does not follow" not in said(at)
    assert set(answers(at)["That is"]) == {"?"}
    at = answered(at.button(key="say false").click().run())
    assert "The right answer is **false**" in said(at)
    assert answers(at)["That is"].str.contains("right|wrong").all()
    assert at.selectbox(key="live answer").value == "false"
    assert not [one for one in at.button if one.key and one.key.startswith("say ")]


def test_where_nothing_follows_nobody_is_right_or_wrong(open_page):
    at = typed(open_page(shared=TRUE), statement="Max is happy.")
    assert "Nobody has said which answer is right" in said(at)
    assert set(answers(at)["That is"]) == {"?"}
    assert set(grid(at)["verdict"]) == {""}


def test_the_head_in_view_is_the_one_of_the_sidebar(open_page):
    at = open_page(shared=TRUE)
    at.number_input(key="layer").set_value(3)
    at.number_input(key="head").set_value(2).run()
    assert "What the query of L3 H2 matches" in [one.value for one in at.header]
    assert "picked by hand" in said(at)
    shown = next(one.value for one in at.markdown if "ringed token" in one.value)
    assert f"**{grid(at).loc[(3, 2), 'margin']:.3g}**" in shown


def test_changes_are_scored_when_asked_for(open_page):
    at = open_page(shared=TRUE)
    assert not any("Change" in one.value for one in at.dataframe)
    answered(at.button(key="live try").click().run())
    table = next(one.value for one in at.dataframe if "Change" in one.value)
    assert table["Change"].tolist()[:4] == [
        "The puzzle as it is",
        "Statement negated: Max is not cold.",
        "Without premise 1: Max is a wumpus.",
        "Without premise 2: Every wumpus is cold.",
    ]
    assert table["Truth"].tolist()[:2] == ["true", "false"]
    assert set(table["Truth"].iloc[2:4]) == {"neither follows"}
    assert table["In the proof"].tolist()[:4] == ["", "", "yes", "yes"]
    assert "changes its answer" in said(at)
    # Both premises are needed, so the last sentence counts how often the head minds.
    (name,) = [one for one in table.columns if re.fullmatch(r"L\d+ H\d+", one)]
    n_flips = table[name].iloc[2:4].str.contains("flips").sum()
    expected = f"says something else in **{n_flips} of 2** cases"
    assert (expected if n_flips else "does not depend on the proof") in said(at)
    at.text_input(key="live statement").set_value("Max is not cold.").run()
    typed(at)
    # Another puzzle has other changes
    assert not any("Change" in one.value for one in at.dataframe)


def test_without_a_store_the_page_says_so_and_still_scores(open_page, tmp_path):
    at = open_page(tmp_path / "none.duckdb", shared=TRUE)
    assert sections(at) == SECTIONS
    assert "There is no result store at" in at.info[0].value
    assert answers(at).index.tolist() == ["the model", "L0 H0"]
    at.number_input(key="live layer").set_value(5).run()
    assert "What the query of L5 H0 matches" in [one.value for one in at.header]


def test_a_run_of_another_model_is_no_measure(open_page, planted_path):
    at = open_page(planted_path, shared=replace(TRUE, layer=7, head=3))
    assert "The run in the sidebar is not of the model reference" in at.info[0].value
    assert "What the query of L7 H3 matches" in [one.value for one in at.header]


def test_a_run_in_few_bits_is_no_measure_for_whole_weights(open_page, tmp_path):
    store = shutil.copy(DEMO, tmp_path / "bits.duckdb")
    with duckdb.connect(str(store)) as writer:
        writer.execute("update runs set dtype = dtype || ', 4-bit nf4 by bitsandbytes'")
    at = open_page(Path(store), shared=TRUE, run=RUN)
    assert "The run in the sidebar held the model's weights otherwise" in at.info[0].value


def test_another_run_of_the_model_brings_its_own_reading(open_page):
    before, after = (
        grid(open_page(shared=TRUE)),
        grid(open_page(shared=TRUE, run=demo_run(rope="post"))),
    )
    # The link names its reading
    assert before["margin"].round(3).tolist() == after["margin"].round(3).tolist()
    at = open_page(run=demo_run(rope="post"))
    python = next(code.value for code in at.code if "load_model" in code.value)
    assert "rope='post'" in python


def test_the_raw_reading_is_picked_by_its_words_and_asked_for(open_page):
    at = open_page(shared=TRUE)
    before = grid(at)
    assert "raw projections" in at.selectbox(key="live reading").options
    at.selectbox(key="live reading").set_value("raw projections").run()
    at = answered(at.button(key="live score").click().run())
    python = next(code.value for code in at.code if "load_model" in code.value)
    assert "rope='raw'" in python
    # The bundled model has no QK-norm.
    assert np.allclose(grid(at)["margin"], before["margin"], atol=1e-3)


@pytest.fixture
def models(monkeypatch):
    """The models that are loaded from now on, as long as anybody holds them."""
    import qkcore.attention.load as loading

    load_model, loaded = loading.load_model, weakref.WeakSet()

    def noted(*arguments, **named):
        lm = load_model(*arguments, **named)
        loaded.add(lm.model)
        return lm

    monkeypatch.setattr(loading, "load_model", noted)
    return loaded


def test_a_model_that_is_typed_is_loaded_and_let_go_when_another_is_asked(
    open_page, tiny_folder, models
):
    at = open_page(shared=TRUE)
    at.selectbox(key="live model").set_value("another model").run()
    at.text_input(key="live other model").set_value(str(tiny_folder))
    typed(at)
    assert len(grid(at)) == 3 * 4
    assert "not of the model" in at.info[0].value
    assert [model.config.model_type for model in models] == ["qwen3"]
    at.selectbox(key="live model").set_value("data/reference").run()
    typed(at, statement="Max is not a wumpus.")
    gc.collect()
    assert [model.config.model_type for model in models] == ["llama"]


@pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs the package bitsandbytes"
)
def test_a_dashboard_may_hold_models_in_few_bits_and_says_so(open_page, tiny_folder, monkeypatch):
    import qkcore.attention.load as loading

    monkeypatch.setenv("QKSCOPE_QUANTIZE", "4bit")
    at = open_page(shared=TRUE)  # the toy stays whole: it reads no English
    assert "load_model('data/reference')" in " ".join(code.value for code in at.code)
    at.selectbox(key="live model").set_value("another model").run()
    at.text_input(key="live other model").set_value(str(tiny_folder))
    assert "does not read plain English" in typed(at).error[0].value
    monkeypatch.setattr(loading, "require_reading", lambda *_: None)
    at = typed(at, statement="Max is not a wumpus.")
    snippets = " ".join(code.value for code in at.code)
    assert "quantize='4bit')" in snippets
    assert " --quantize 4bit " in snippets
    assert "float32, 4-bit nf4 by bitsandbytes" in said(at).replace("\\", "")


@pytest.mark.parametrize("model", ["/nowhere/model", "no such model", "<b>x</b>"])
def test_a_model_that_cannot_be_used_is_refused_in_a_sentence(model, open_page):
    at = open_page(shared=TRUE)
    at.selectbox(key="live model").set_value("another model").run()
    at.text_input(key="live other model").set_value(model)
    typed(at)
    assert len(at.error) == 1
    assert not sections(at)
    at.selectbox(key="live model").set_value("data/reference").run()
    assert sections(typed(at)) == SECTIONS


def test_an_unsupported_model_is_refused_with_the_checks_sentence(open_page, tmp_path):
    from transformers import MambaConfig, MambaForCausalLM

    from tests.tiny import tiny_tokenizer

    MambaForCausalLM(
        MambaConfig(hidden_size=16, num_hidden_layers=1, vocab_size=420)
    ).save_pretrained(tmp_path / "m")
    tiny_tokenizer().save_pretrained(tmp_path / "m")
    at = open_page(shared=TRUE)
    at.selectbox(key="live model").set_value("another model").run()
    at.text_input(key="live other model").set_value(str(tmp_path / "m"))
    assert "mamba" in typed(at).error[0].value


def test_a_link_never_loads_a_model_that_nobody_here_named(open_page, tiny_folder, monkeypatch):
    shared = replace(TRUE, model=str(tiny_folder))
    at = open_page(shared=shared)
    assert "Press the button to load it" in at.error[0].value
    assert not sections(at)
    monkeypatch.setenv("QKSCOPE_HOSTED", "true")
    at = open_page(shared=shared)
    assert "is not offered here" in at.error[0].value
    assert "another model" not in at.selectbox(key="live model").options


def test_a_hosted_demo_has_tighter_limits(open_page, monkeypatch):
    monkeypatch.setenv("QKSCOPE_HOSTED", "true")
    monkeypatch.setenv("QKSCOPE_PER_MINUTE", "1000")  # all tests are one visitor
    at = typed(open_page(shared=TRUE), context="Max is a wumpus. " * 300)
    assert "at most 4,000 are scored" in at.error[0].value.replace("\\", "")
    monkeypatch.setenv("QKSCOPE_MAX_TOKENS", "30")
    at = typed(open_page(shared=TRUE), context="Max is a wumpus. " * 9)
    assert "tokens too long" in at.error[0].value
    monkeypatch.setenv("QKSCOPE_MAX_TOKENS", "500")
    monkeypatch.setenv("QKSCOPE_MAX_VARIANTS", "3")
    at = answered(open_page(shared=TRUE).button(key="live try").click().run())
    assert "the first 3 are shown" in said(at)


def test_asking_too_often_is_refused_kindly(open_page, monkeypatch):
    monkeypatch.setenv("QKSCOPE_PER_MINUTE", "1")
    at = open_page(
        shared=replace(
            TRUE, puzzle=replace(TRUE.puzzle, context="Rex is a wumpus. Every wumpus is hot.")
        )
    )
    typed(at, statement="Rex is hot.")
    typed(at, statement="Rex is not hot.")
    assert "more than 1 puzzles a minute; please wait" in said(at)


WORDS = st.one_of(
    st.text(min_size=1, max_size=60),
    st.lists(
        st.sampled_from(
            "Max is not a wumpus every cold . ? \n if someone then they are".split(" ")
        ),
        max_size=30,
    ).map(" ".join),
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    context=WORDS,
    statement=WORDS,
    own=st.none() | st.lists(st.text(max_size=12), max_size=4).map("\n".join),
)
def test_whatever_is_typed_no_exception_reaches_the_page(context, statement, own, open_page):
    at = typed(open_page(shared=TRUE), context=context, statement=statement, own=own)
    assert not at.exception
    assert sections(at) == SECTIONS or at.error
    assert "Something went wrong" not in said(at)
    assert "unexpectedly" not in said(at)


def test_the_page_itself_loads_no_torch():
    code = (
        "import sys, pages.live.scoring, pages.live.viewed, pages.live.panels.why, "
        "pages.live.panels.grid, pages.live.panels.answers, pages.live.panels.changes, "
        "pages.live.panels.share; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_nothing_of_the_page_is_raw_html():
    for path in files_of("pages/live/**/*.py"):
        assert "unsafe_allow_html" not in path.read_text()
