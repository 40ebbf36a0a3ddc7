"""Grid and head side by side: what stands there, and what a click there does."""

import pytest

from pages.main.chosen import CLICKED
from tests.pages.test_pages import opened, said

GRID = "pages/results/head_grid.py"


def test_the_head_beside_the_grid_says_what_it_is_like(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path, GRID)
    text = said(at)
    assert at.header[0].value == "L1 H2"
    for words in (
        '**Right** where the answer is "true" ',
        '**Says** "true" ',
        "**Says the same as** the model ",
        "of 100 draws of validation groups",
        "**Keys** of kv head 1, shared with L1 H3.",
    ):
        assert words in text
    (link,) = at.main.get("page_link")
    assert link.proto.query_string == "run=planted-1&layer=1&head=2"


def test_a_head_that_was_clicked_is_what_the_whole_page_follows(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path, GRID)
    at.session_state[CLICKED] = (2, 3)
    at.run()
    assert not at.exception
    assert at.header[0].value == "L2 H3"
    assert (at.number_input(key="layer").value, at.number_input(key="head").value) == (2, 3)
    assert CLICKED not in at.session_state


def test_stretched_colours_reach_as_far_as_the_heads_and_the_link_says_so(
    planted_path, monkeypatch
):
    at = opened(monkeypatch, planted_path, GRID)
    assert '"domain": [0, 1], "domainMid": 0.5' in at.get("vega_lite_chart")[0].proto.spec
    assert "stretch" not in at.sidebar.code[0].value
    at.toggle(key="stretch").set_value(True).run()
    assert '"domain": [0, 1]' not in at.get("vega_lite_chart")[0].proto.spec
    assert at.sidebar.code[0].value.endswith("&stretch=true")
    assert "colours of two runs do not compare" in said(at)
    again = opened(monkeypatch, planted_path, GRID, stretch="true")
    assert again.toggle(key="stretch").value is True


@pytest.mark.parametrize("query", [{"layer": "99", "head": "3"}, {"layer": "2", "head": "77"}])
def test_half_a_head_that_is_not_there_opens_the_best_one_and_says_so(
    query, planted_path, monkeypatch
):
    at = opened(monkeypatch, planted_path, GRID, **query)
    (warning,) = at.sidebar.warning
    assert warning.value.endswith("This is L1 H2, the best head on validation puzzles.")
    assert at.header[0].value == "L1 H2"
