"""A run of multiple choice on every page: four options that differ from puzzle to puzzle."""

import pytest

from pages.live import typed
from qkcore.asking.links import Shared
from qkcore.asking.templates import DEFAULT, OPTIONS
from qkcore.puzzles.multiple_choice import generate_options, in_orders
from qkcore.results.store import ResultStore
from tests.pages.test_pages import METHOD, PAGES, opened, said
from tests.results.test_orders import published
from tests.tiny import puzzle


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    puzzles = in_orders(generate_options(range(1, 3), range(2), n=24))
    return published(tmp_path_factory.mktemp("options"), puzzles, template=OPTIONS.text)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_a_run_of_multiple_choice(page, path, monkeypatch):
    at = opened(monkeypatch, path, page)
    assert not at.exception
    assert not at.error
    assert "roles: options" in " ".join(
        one.value for kind in ("markdown", "caption") for one in at.sidebar.get(kind)
    )
    if page == METHOD:
        assert "holds no worked example" in said(at)


def test_the_lead_is_the_heads_accuracy(path, monkeypatch):
    with ResultStore.open(path) as store:
        assert store.best_head("planted-1") == (1, 2)
        assert store.chance("planted-1", "test") == 0.25
    assert "87.5 %" in said(opened(monkeypatch, path))


def test_a_typed_puzzle_is_asked_in_the_usual_way(monkeypatch):
    fields = typed.Fields("c", "s", ("a", "b"), "a", "m", "", "")
    for template, asked in [(OPTIONS.text, DEFAULT), ("{chat}default", "{chat}default")]:
        run = {"rope": "post", "template": template}
        monkeypatch.setattr(typed, "run_of", lambda model, run=run: run)
        resolved = typed.Asked(fields, puzzle(), None, None, None).resolved()
        assert resolved == Shared(puzzle(), "m", "post", asked)
