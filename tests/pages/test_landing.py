"""What surrounds every page and what greets a visitor: pickers, menu, story and matrix."""

from types import SimpleNamespace

import pandas as pd
import pytest
import streamlit as st

from pages.main.runs import run_labels
from pages.server.stylesheet import Stylesheet
from pages.widgets.clicks import OPENED, opening_run
from pages.widgets.matrix import cell_text
from qkcore.results.matrix import Matrix
from qkcore.results.store import ResultStore
from qkcore.results.summaries import NO_VERDICT, NOT_YET, summaries
from tests.pages.test_pages import opened, said
from tests.results.test_verdicts import store_of
from tests.stores import planted_store


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    """A run and one on its twin, both newer than two of another model, which differ in reading."""
    path = tmp_path_factory.mktemp("landing") / "s.duckdb"
    planted_store(path, run_id="other-post", model="/srv/secret/other.Q4_1.gguf", rope="post")
    planted_store(path, run_id="other-pre", model="/srv/secret/other.Q4_1.gguf")
    return store_of(path, "word")


def words(at) -> str:
    return said(at).replace("\\", "").replace("**", "")


def test_the_store_is_told_in_two_sentences_and_every_run_has_a_cell(store_path, monkeypatch):
    at = opened(monkeypatch, store_path)
    assert not at.exception
    assert "of 4 runs" in words(at)
    table = at.dataframe[0].value
    assert table.index.tolist() == ["planted", "other, before rotary", "other, after rotary"]
    assert table.columns.tolist() == ["run-set", "run-set, twin", "planted-set"]
    with ResultStore.open(store_path) as store:
        rows = summaries(store).set_index("run_id").to_dict("index")
    assert table.loc["planted", "run-set"] == cell_text(rows["run"])
    assert table.loc["other, after rotary", "planted-set"] == cell_text(rows["other-post"])
    assert table.loc["planted", "planted-set"] == ""


def test_on_a_narrow_screen_every_run_is_a_row_that_a_click_opens(store_path, monkeypatch):
    monkeypatch.setattr(Stylesheet, "is_there", False)
    monkeypatch.setattr("pages.widgets.matrix.is_phone", lambda: True)
    at = opened(monkeypatch, store_path)
    assert not at.exception
    table = at.dataframe[0].value
    assert [one.replace("\xa0", " ") for one in table["Run"]] == [
        "run-set: planted",
        "run-set, twin: planted",
        "planted-set: other, before rotary",
        "planted-set: other, after rotary",
    ]
    listed = at.session_state["runs in matrix list"]
    assert [ids[0] for ids in listed.run_ids] == ["run", "twin", "other-pre", "other-post"]
    assert all(first == second for first, second in listed.run_ids)
    monkeypatch.setattr(Stylesheet, "is_there", True)  # which hides one of the two
    shapes = [one.value.shape for one in opened(monkeypatch, store_path).dataframe[:2]]
    assert shapes == [(3, 3), (4, 2)]


def test_no_folder_of_a_models_file_is_shown_in_the_pickers(store_path, monkeypatch):
    at = opened(monkeypatch, store_path, run="other-pre")
    assert at.selectbox(key="picked_model").options == ["planted", "other"]
    assert at.selectbox(key="picked_model").value == "other"
    assert at.header[0].value == "other on planted\\-set"


def test_another_model_is_shown_on_the_same_set_or_else_on_its_newest(store_path, monkeypatch):
    at = opened(monkeypatch, store_path, run="other-post")
    at.selectbox(key="picked_model").set_value("planted").run()
    assert at.session_state["run"] == "run"
    assert at.selectbox(key="picked_set").options == ["run-set", "run-set, twin"]
    at.selectbox(key="picked_set").set_value("run-set, twin").run()
    assert at.session_state["run"] == "twin"
    at.selectbox(key="picked_model").set_value("other").run()
    assert at.session_state["run"] == "other-pre"  # the one of the same reading
    assert not at.exception


def test_runs_of_one_model_on_one_set_are_told_apart_by_what_differs(store_path, monkeypatch):
    at = opened(monkeypatch, store_path, run="other-pre")
    assert at.radio(key="picked_run").options == ["before rotary", "after rotary"]
    at.radio(key="picked_run").set_value("other-post").run()
    assert at.session_state["run"] == "other-post"
    assert not [one for one in opened(monkeypatch, store_path).radio if one.key == "picked_run"]


def test_runs_that_differ_in_nothing_are_told_apart_by_when_they_were_scored():
    settings = dict(model_revision="1", rope="pre", dtype="float32", template="default")
    times = pd.to_datetime(["2026-01-02 03:04", "2026-01-01 00:00"])
    same = pd.DataFrame([settings] * 2).assign(model_name="m", created_at=times)
    assert run_labels(same) == ["2026-01-02 03:04", "2026-01-01 00:00"]


MATRIX = Matrix(("m", "n"), ("a", "b"), (("r0", None), ("r1", "r2")))


@pytest.mark.parametrize(
    ("cells", "run"),
    [
        ([(1, "b")], "r2"),
        ([(0, "a")], "r0"),
        ([(0, "b")], None),
        ([(0, "Model")], None),
        ([], None),
    ],
)
def test_a_click_on_a_cell_shows_its_run_and_on_an_empty_one_nothing(cells, run, monkeypatch):
    shown = []
    monkeypatch.setattr("pages.widgets.clicks.show_run", shown.append)
    state = {"matrix": SimpleNamespace(selection={"cells": cells})}
    monkeypatch.setattr(st, "session_state", state)
    opening_run("matrix", MATRIX)()
    assert shown == ([] if run is None else [run])
    assert state.get(OPENED, False) is (run is not None)


def test_a_run_without_a_verdict_says_why_in_its_cell():
    assert cell_text({"verdict": NO_VERDICT}) == NO_VERDICT
    assert cell_text({"verdict": NOT_YET}) == NOT_YET


def test_the_source_is_linked_where_the_operator_names_it(store_path, monkeypatch):
    links = [one.proto.label for one in opened(monkeypatch, store_path).get("page_link")]
    assert "Paper" in links
    assert "Source and docs" not in links
    monkeypatch.setenv("QKSCOPE_SOURCE", "https://example.org/qkscope")
    links = [one.proto.label for one in opened(monkeypatch, store_path).get("page_link")]
    assert links[-2:] == ["Paper", "Source and docs"]
    monkeypatch.setenv("QKSCOPE_SOURCE", "javascript:alert(1)")
    at = opened(monkeypatch, store_path)
    assert "QKSCOPE_SOURCE" in at.error[0].value


def test_a_search_that_finds_nothing_says_so(store_path, monkeypatch):
    monkeypatch.setattr("pages.widgets.matrix.FEW", 1)
    at = opened(monkeypatch, store_path, find="other")
    assert at.dataframe[0].value.index.tolist() == ["other, before rotary", "other, after rotary"]
    at = opened(monkeypatch, store_path, find="nobody")
    assert "No model and no puzzle set is called so." in said(at)
    assert not at.exception
