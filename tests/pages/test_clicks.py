"""What a click does, and that what waits for clicks keeps nothing of a page that is gone."""

import ast
import gc

import pandas as pd
import pytest

from pages.server.settings import ROOT
from pages.widgets import clicks
from tests import files_of
from tests.pages.opening import opened

CALLBACKS = {"on_click", "on_change", "on_select"}


class Selected:
    """What Streamlit keeps for a chart or a table that was clicked."""

    def __init__(self, **selection):
        self.selection = selection


@pytest.fixture
def session(monkeypatch):
    class Session(dict):
        __getattr__, __setattr__ = dict.__getitem__, dict.__setitem__

    session = Session(layer=0, head=0)
    monkeypatch.setattr(clicks.st, "session_state", session)
    return session


def test_a_click_on_a_cell_chooses_its_head_and_one_beside_the_cells_none(session):
    session["grid"] = Selected(cell=[{"layer": 2, "head": 5}])
    clicks.taking_head("grid")()
    assert (session.layer, session.head) == (2, 5)
    session["grid"] = Selected(cell=[])
    clicks.taking_head("grid")()
    assert (session.layer, session.head) == (2, 5)


def test_a_click_on_a_row_opens_the_puzzle_that_stood_there(session):
    click = clicks.taking_puzzle("table", pd.Series(["a", "b", "c"], index=[7, 8, 9]))
    session["table"] = Selected(rows=[1])
    click()
    assert session.puzzle_id == "b"
    session["table"] = Selected(rows=[])
    click()
    assert session.puzzle_id == "b"


def test_no_page_waits_for_a_click_with_a_function_of_its_own():
    for path in files_of("pages/**/*.py"):
        tree = ast.parse(path.read_text())
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for keyword in call.keywords:
                if keyword.arg in CALLBACKS:
                    names = {
                        node.id for node in ast.walk(keyword.value) if isinstance(node, ast.Name)
                    }
                    assert not names & own, f"{path.name}:{call.lineno}"
                    assert not any(isinstance(node, ast.Lambda) for node in ast.walk(keyword.value))


@pytest.mark.parametrize("page", ["puzzles", "head_grid"])
def test_a_visitor_who_looks_at_many_heads_keeps_the_tables_of_none_but_the_last(page, monkeypatch):
    monkeypatch.setenv("QKSCOPE_STORE", str(ROOT / "data/qkscope.duckdb"))
    at = opened(f"pages/results/{page}.py")
    kept = []
    for head in (1, 2, 3, 0):
        at.number_input(key="head").set_value(head).run()
        assert not at.exception
        gc.collect()
        kept.append(sum(type(one) is pd.DataFrame and "margin" in one for one in gc.get_objects()))
    assert kept[-1] <= kept[0]
