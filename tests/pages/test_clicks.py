"""What a click does, and that what waits for clicks keeps nothing of a page that is gone."""

import ast
import gc

import pandas as pd
import pytest

from pages.main.chosen import CLICKED
from pages.widgets import clicks
from tests import ROOT, files_of
from tests.pages.opening import LISTED, MAIN, opened

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


def test_a_click_beside_the_head_leaves_the_pickers_for_the_whole_page(session):
    session["grid"] = Selected(cell=[{"layer": 2, "head": 5}])
    clicks.opening_head("grid")()
    assert session[CLICKED] == (2, 5)
    assert (session.layer, session.head) == (0, 0)
    click = clicks.opening_ranked("ranking", [(4, 1), (3, 0)])
    session["ranking"] = Selected(cells=[(1, "accuracy")])
    click()
    assert session[CLICKED] == (3, 0)
    session["ranking"] = Selected(cells=[])
    click()
    assert session[CLICKED] == (3, 0)


def test_a_click_on_a_row_opens_the_puzzle_that_stood_there(session):
    click = clicks.taking_puzzle("table", pd.Series(["a", "b", "c"], index=[7, 8, 9]))
    session["table"] = Selected(rows=[1])
    click()
    assert session.puzzle_id == "b"
    session["table"] = Selected(rows=[])
    click()
    assert session.puzzle_id == "b"


def test_no_page_waits_for_a_click_with_a_function_that_holds_what_the_page_knows():
    """A script's own functions hold its tables, and so do functions made inside of others."""
    waiting = 0
    for path in files_of("pages/**/*.py"):
        tree = ast.parse(path.read_text())
        is_script = path == MAIN or path.relative_to(ROOT).as_posix() in LISTED
        own = functions(tree) if is_script else functions(tree) - set(tree.body)
        names = {function.name for function in own}
        for keyword in (node for node in ast.walk(tree) if isinstance(node, ast.keyword)):
            if keyword.arg in CALLBACKS:
                waiting += 1
                inside = list(ast.walk(keyword.value))
                used = {node.id for node in inside if isinstance(node, ast.Name)}
                assert not used & names, f"{path}:{keyword.value.lineno}"
                assert not any(isinstance(node, ast.Lambda) for node in inside), path
    assert waiting


def functions(tree: ast.Module) -> set[ast.FunctionDef]:
    return {node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


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
