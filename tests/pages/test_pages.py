"""Each page in Streamlit's own test runner, on a store whose results are known."""

import shutil
from dataclasses import replace
from itertools import pairwise

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from pages.main.stored import ask_known
from qkcore.results.reader import StoreError
from qkcore.results.schema import SCHEMA, SCHEMA_VERSION
from qkcore.results.store import ResultStore
from qkcore.wording import WORD_JOINER, accuracy_text
from tests import ROOT
from tests.pages import opening
from tests.stores import (
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)

RESULTS = "overview head_grid difficulty head_vs_model layers transfer puzzles compare".split()
PUZZLES, METHOD = "pages/results/puzzles.py", "pages/about/method.py"
PAGES = [f"pages/results/{name}.py" for name in RESULTS] + [METHOD]


def opened(monkeypatch, path, page=PAGES[0], **query) -> AppTest:
    """The page on a store, as a link opens it."""
    monkeypatch.setenv("QKSCOPE_STORE", str(path))
    return opening.opened(page, query)


def said(at: AppTest) -> str:
    """All the words of the page, whatever element they stand in."""
    kinds = ("title", "header", "markdown", "caption", "info", "error", "warning")
    return " ".join(element.value for kind in kinds for element in getattr(at, kind)).replace(
        "\xa0", " "
    )


def spec(at: AppTest, index: int = 0) -> str:
    return at.get("vega_lite_chart")[index].proto.spec


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_without_exception_and_its_charts_have_words(page, family_path, monkeypatch):
    at = opened(monkeypatch, family_path, page)
    assert not at.exception
    assert not at.error
    charts = at.get("vega_lite_chart")
    assert charts or page in (PUZZLES, METHOD)
    assert at.get("arrow_data_frame") or at.dataframe
    assert all(len(chart.proto.alt) > 20 for chart in charts)


def test_counts_alone_show_the_head_grid_and_elsewhere_one_sentence(
    planted_path, tmp_path, monkeypatch
):
    path = tmp_path / "counts.duckdb"
    shutil.copyfile(planted_path, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("delete from head_scores")
    for name in ("head_grid", "head_vs_model", "puzzles"):
        at = opened(monkeypatch, path, f"pages/results/{name}.py")
        assert not at.exception
        assert not at.error
        assert [one.value.partition(" of run")[0] for one in at.info] == [
            "This needs the raw scores"
        ]
        assert "No results to show" not in said(at)
        assert len(at.get("vega_lite_chart")) == (name == "head_grid")
        if name == "head_grid":
            assert "Its gap to the model on these puzzles needs raw scores." in said(at)


@pytest.mark.parametrize("page", PAGES)
def test_headings_leave_out_no_level(page, family_path, monkeypatch):
    at = opened(monkeypatch, family_path, page)
    levels = [int(one.proto.tag[1]) for one in at.main.get("heading")] or [
        int(one.tag[1]) for kind in ("title", "header", "subheader") for one in getattr(at, kind)
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_the_gap_has_no_picker_where_there_is_no_grid_to_pick_for(tmp_path, monkeypatch):
    path = store_of(tmp_path, [replace(one, distractors=None) for one in planted_puzzles()])
    at = opened(monkeypatch, path, "pages/results/difficulty.py")
    assert not at.exception
    assert "so there is no grid" in said(at)
    assert [one.label for one in at.main.selectbox] == ["Vote"]


def test_the_headline_reports_the_validation_choice_on_test_puzzles(planted_path, monkeypatch):
    text = said(opened(monkeypatch, planted_path))
    with ResultStore.open(planted_path) as store:
        heads = store.head_accuracy("planted-1", "test").set_index(["layer", "head"])
        own = accuracy_text(*heads.loc[(1, 2), ["accuracy", "low", "high", "n"]]).replace(
            "\xa0", " "
        )
    assert (
        f"**L1 H2**, chosen on validation puzzles, has accuracy **{own}** on test puzzles" in text
    )
    assert "The model as it is gets 66.7 %: " in text
    assert "points (" in text
    assert "luck line is" in text
    assert "best surface rule" in text


def test_a_link_opens_the_run_and_head_it_names(planted_path, monkeypatch):
    text = said(opened(monkeypatch, planted_path, run="planted-1", layer="2", head="0"))
    assert "**L2 H0**, picked by hand," in text


@pytest.mark.parametrize(
    "query", [{"layer": "99"}, {"head": "-1"}, {"layer": "x"}, {"run": "gone"}, {"run": "<b>"}]
)
def test_a_link_with_unknown_values_falls_back(query, planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path, **query)
    assert not at.exception
    assert "**L1 H2**, chosen on validation puzzles" in said(at)
    assert at.sidebar.warning[0].value


def test_the_link_to_the_view_names_run_head_and_filters(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path)
    assert {name: at.session_state[name] for name in ("run", "layer", "head")} == {
        "run": "planted-1",
        "layer": 1,
        "head": 2,
    }
    assert not at.sidebar.warning
    assert at.sidebar.code[0].value.endswith("?run=planted-1&layer=1&head=2&choose=all+steps")
    at = opened(monkeypatch, planted_path, PAGES[1])
    at.selectbox(key="steps").set_value("2").run()
    assert at.sidebar.code[0].value.endswith(
        "?run=planted-1&layer=1&head=2&measure=Accuracy&steps=2&distractors=all"
    )


def test_a_run_that_is_gone_when_the_store_is_replaced_is_said_to_be_gone(tmp_path, monkeypatch):
    path = planted_store(tmp_path / "s.duckdb", run_id="old", n_layers=6, n_heads=2)
    at = opened(monkeypatch, path, run="old", layer="5", head="1")
    assert "**L5 H1**" in said(at)
    path.unlink()
    planted_store(path, run_id="new")
    at.run()
    assert not at.exception
    assert "no run old in this store" in at.sidebar.warning[0].value
    assert (at.session_state["run"], at.session_state["layer"], at.session_state["head"]) == (
        "new",
        1,
        2,
    )
    assert "**L1 H2**, chosen on validation puzzles" in said(at)


def test_the_grid_filters_by_steps_and_distractors(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path, PAGES[1])
    assert "n = 60)" in said(at)
    at.selectbox(key="steps").set_value("2").run()
    assert "n = 20)" in said(at)
    at.selectbox(key="distractors").set_value("1").run()
    assert not at.exception
    assert "n = 10)" in said(at)


def test_the_chosen_head_is_kept_when_the_page_changes(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path)
    at.number_input(key="layer").set_value(0)
    at.number_input(key="head").set_value(3).run()
    at.switch_page(str(ROOT / PAGES[1])).run()
    assert at.header[0].value == "L0 H3"
    assert "looks better than it is" in said(at)
    at.button[0].click().run()
    assert at.header[0].value == "L1 H2"


def test_another_run_brings_its_own_best_head(tmp_path, monkeypatch):
    path = planted_store(tmp_path / "two.duckdb")
    # The same scores cut another way: L3 H0
    planted_store(path, run_id="planted-2", n_layers=6, n_heads=2)
    at = opened(monkeypatch, path, run="planted-2", layer="5")
    assert "**L5 H0**" in said(at)
    at.selectbox(key="run").set_value("planted-1").run()
    assert not at.exception
    assert "**L1 H2**, chosen on validation puzzles" in said(at)


def test_the_grid_is_centred_on_chance_with_a_fixed_scale(planted_path, monkeypatch):
    assert '"domain": [0, 1], "domainMid": 0.5' in spec(opened(monkeypatch, planted_path, PAGES[1]))


@pytest.fixture(scope="module")
def without_test_puzzles(tmp_path_factory):
    """A store of one run on validation puzzles alone."""
    puzzles = [p for p in planted_puzzles() if p.split == "validation"]
    return store_of(tmp_path_factory.mktemp("validation"), puzzles)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if not page.endswith(("transfer.py", "compare.py", "method.py"))],
)
def test_a_run_without_test_puzzles_says_so(page, without_test_puzzles, monkeypatch):
    at = opened(monkeypatch, without_test_puzzles, page)
    assert not at.exception
    assert "no test puzzle" in said(at).lower()


def test_a_run_without_validation_puzzles_chooses_no_head_by_itself(tmp_path, monkeypatch):
    at = opened(
        monkeypatch, store_of(tmp_path, [p for p in planted_puzzles() if p.split == "test"])
    )
    assert not at.exception
    assert "No validation puzzles" in said(at)
    assert "for want of validation puzzles to choose on" in said(at)


@pytest.mark.parametrize("page", ["pages/results/difficulty.py", "pages/results/head_grid.py"])
def test_a_run_without_validation_puzzles_is_compared_with_no_surface_rule(
    page, tmp_path, monkeypatch
):
    tests = [puzzle for puzzle in planted_puzzles() if puzzle.split == "test"]
    at = opened(monkeypatch, store_of(tmp_path, tests), page)
    assert not at.exception
    assert "Dotted: the luck line" in said(at)
    assert "Dashed" not in said(at)
    assert "None" not in said(at)


def test_what_a_page_needs_and_is_no_longer_there_is_said_in_a_sentence(planted_path, monkeypatch):
    monkeypatch.setenv("QKSCOPE_STORE", str(planted_path))
    assert ask_known(ResultStore.chance, "planted-1", "test") == 0.5
    with pytest.raises(StoreError, match="have changed while this page was drawn; reload it"):
        ask_known(ResultStore.chance, "planted-2", "test")


def test_names_with_markup_are_shown_as_typed(tmp_path, monkeypatch):
    path = planted_store(tmp_path / "odd.duckdb", model="<b>*m*</b>", puzzle_set="[x](http://y)")
    at = opened(monkeypatch, path)
    shown = at.header[0].value.replace(WORD_JOINER, "")
    assert shown == r"\<b\>\*m\*\</b\> on \[x\]\(http\://y\)"


def store_of(folder, puzzles):
    path = folder / "part.duckdb"
    parts = write_parts(folder / "parts", puzzles, *planted_scores(puzzles))
    publish_parts(path, planted_run(puzzles), puzzles, parts)
    return path


def empty_store(path):
    with duckdb.connect(str(path)) as connection:
        connection.execute(SCHEMA)
        connection.execute(f"insert into meta values ({SCHEMA_VERSION}, 'x')")


def other_version(path):
    planted_store(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("update meta set schema_version = 7")


NOTHING_TO_SHOW = {
    "none": (lambda path: None, "There is no result store at"),
    "empty": (empty_store, "holds no runs. Score a model on a puzzle file to add one"),
    "other version": (
        other_version,
        f"has schema version 7, this QKScope reads version {SCHEMA_VERSION}; make the store again",
    ),
    "other file": (
        lambda path: path.write_bytes(b"x" * 9000),
        "is not a DuckDB file, so it is no result store; check the path",
    ),
    "folder": (lambda path: path.mkdir(), "is a folder; name a file in it"),
}


@pytest.fixture(scope="module", params=NOTHING_TO_SHOW)
def store_and_sentence(request, tmp_path_factory):
    """A store with nothing to show, made once for all pages, and what they say of it."""
    make, sentence = NOTHING_TO_SHOW[request.param]
    path = tmp_path_factory.mktemp("nothing") / "s.duckdb"
    make(path)
    return path, sentence


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_shows_nothing_says_what_to_do(page, store_and_sentence, monkeypatch):
    path, sentence = store_and_sentence
    at = opened(monkeypatch, path, page)
    assert not at.exception
    assert sentence in said(at)
    assert not at.get("vega_lite_chart")


def test_a_store_that_comes_back_is_read_at_the_next_click(tmp_path, monkeypatch):
    at = opened(monkeypatch, tmp_path / "late.duckdb")
    assert "There is no result store at" in said(at)
    planted_store(tmp_path / "late.duckdb")
    assert "**L1 H2**" in said(at.run())
