"""What goes wrong while visitors are there.

Stores replaced, deleted or cut short, a model that is gone, a dead worker. Each ends in a sentence
at most, and in the page as it was once the cause is gone.
"""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.server.failures import SORRY
from tests.pages.opening import LIVE, looks, opened
from tests.pages.test_hosting import copied_tree, running
from tests.pages.visitor import Visitor
from tests.stores import planted_store


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """(address, store) of a hosted server without a model, whose store may be done harm to."""
    folder = tmp_path_factory.mktemp("hosted")
    app = copied_tree(folder / "app")
    shutil.rmtree(app / "data" / "reference")
    (folder / "home").mkdir()
    store = planted_store(folder / "s.duckdb", run_id="first")
    with running(app, folder / "home", folder / "log", QKSCOPE_STORE=str(store)) as address:
        yield address, store


@pytest.fixture
def store(hosted, tmp_path):
    """The store, as it was when the test is over."""
    shutil.copyfile(hosted[1], tmp_path / "kept")
    yield hosted[1]
    os.replace(tmp_path / "kept", hosted[1])


def while_browsing(address: str, do, then=lambda: None) -> list[str]:
    """What a visitor reads before something is done, and after it at the next click.

    And after what then is done.
    """

    async def visit():
        async with Visitor(address) as visitor:
            texts = [(await visitor.open("head-grid")).text]
            for step in (do, then):
                step()
                view = await visitor.open("head-grid")
                assert not view.exceptions
                assert SORRY not in view.text
                texts.append(view.text)
            return texts

    return asyncio.run(visit())


def replace_by_other_run(store: Path) -> None:
    store.with_name("new").mkdir(exist_ok=True)
    new = planted_store(store.with_name("new") / "s.duckdb", run_id="second", model="another")
    os.replace(new, store)


def test_a_store_that_is_replaced_is_seen_at_the_next_click(hosted, store):
    before, after, _ = while_browsing(hosted[0], lambda: replace_by_other_run(store))
    assert "run=first" in before
    assert "run=second" in after


def test_a_visitor_who_stays_on_a_page_sees_the_new_store_at_a_click_on_it(hosted, store):
    async def visit():
        async with Visitor(hosted[0]) as visitor:
            await visitor.open("head-grid")
            replace_by_other_run(store)
            return await visitor.set("number_input", "Layer", 2.0)

    view = asyncio.run(visit())
    assert not view.exceptions
    assert "run=second" in view.text


def cut(store: Path, share: float) -> None:
    """Cut short in place, as a full disk or a copy under way would."""
    os.truncate(store, int(store.stat().st_size * share))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda store: store.unlink(), "There is no result store at"),
        (lambda store: cut(store, 0.0), "restore it from a copy|is no result store"),
        (lambda store: cut(store, 0.3), "restore it from a copy"),
        (lambda store: cut(store, 0.6), "restore it from a copy"),
        (lambda store: store.write_bytes(b"x" * 9000), "is not a DuckDB file"),
    ],
)
def test_a_store_that_is_gone_or_damaged_is_a_sentence_until_it_is_back(
    harm, sentence, hosted, store, tmp_path
):
    before, after, back = while_browsing(
        hosted[0], lambda: harm(store), lambda: shutil.copyfile(tmp_path / "kept", store)
    )
    assert "L1 H2" in before
    assert re.search(sentence, after), after
    assert "L1 H2" in back


def test_without_the_model_results_go_on_and_the_live_page_says_so(hosted):
    async def visit():
        async with Visitor(hosted[0]) as visitor:
            results, live = await visitor.open("head-grid"), await visitor.open("try-a-puzzle")
            for _ in range(30):
                if not live.polls:
                    break
                live = await visitor.poll()
            return results, live, await visitor.open("")

    results, live, after = asyncio.run(visit())
    for view in (results, live, after):
        assert not view.exceptions
        assert SORRY not in view.text
    assert results.n_charts
    assert after.n_charts
    assert any("data/reference" in alert or "no model" in alert.lower() for alert in live.alerts), (
        live.alerts
    )


def live_page(monkeypatch, planted_path, **environment) -> AppTest:
    """Try a puzzle in a hosted demo."""
    # The desk is one for all tests of a process, and counts what each asks within a minute.
    given = {"STORE": str(planted_path), "HOSTED": "1", "PER_MINUTE": 1_000, **environment}
    for name, value in given.items():
        monkeypatch.setenv(f"QKSCOPE_{name}", str(value))
    at = opened(LIVE)
    settled(at)
    return at


def settled(at: AppTest) -> str:
    """All that the page says from now until nothing is waited for."""
    return " ".join(words(look) for look in looks(at))


def words(at: AppTest) -> str:
    assert not at.exception
    kinds = ("header", "markdown", "caption", "info", "error", "warning")
    return " ".join(element.value for kind in kinds for element in getattr(at, kind))


def asked(at: AppTest, context: str, statement: str = "Max is cold.") -> str:
    """All that the page says once this puzzle is asked."""
    at.text_area(key="live context").set_value(context)
    at.text_input(key="live statement").set_value(statement)
    at.button(key="live score").click().run()
    return settled(at)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_dies_costs_one_visitor_a_sentence_and_the_next_is_served(
    monkeypatch, planted_path
):
    import qkcore.scoring.score

    right, deaths = qkcore.scoring.score.score_prompts, []

    def dies_once(*arguments, **named):
        if not deaths:
            deaths.append(1)
            raise SystemExit("killed")
        return right(*arguments, **named)

    at = live_page(monkeypatch, planted_path)
    monkeypatch.setattr(qkcore.scoring.score, "score_prompts", dies_once)
    assert "has ended" in asked(at, "Max is a lempus. Every lempus is cold.")
    assert deaths
    assert "Who gets it right" in asked(
        live_page(monkeypatch, planted_path), "Max is a lempus. All lempuses are cold."
    )
    assert "Who gets it right" in asked(at, "Max is a lempus. Every lempus is cold.")


def test_a_hosted_demo_refuses_what_is_too_long(monkeypatch, planted_path):
    at = live_page(monkeypatch, planted_path, MAX_CHARACTERS=300)
    assert "at most 300 are scored" in asked(at, "Max is a wumpus. " * 20)
    at = live_page(monkeypatch, planted_path, MAX_TOKENS=60)
    assert "at most 60 are scored here" in asked(at, "Rex is a wumpus. " * 14)


def test_a_hosted_demo_offers_the_models_it_names_and_no_other(monkeypatch, planted_path):
    at = live_page(monkeypatch, planted_path, MODELS="some/model")
    assert at.selectbox(key="live model").options == ["data/reference", "some/model"]
    assert not [one for one in at.text_input if one.key == "live other model"]


def test_a_hosted_demo_stops_who_asks_too_often(monkeypatch, planted_path):
    at = live_page(monkeypatch, planted_path, PER_MINUTE=2)
    said = [asked(at, f"Max is a tumpus. {'Every tumpus is cold. ' * n}") for n in range(1, 5)]
    assert any("more than 2 puzzles a minute; please wait" in one for one in said)


def test_a_full_line_is_a_friendly_sentence(monkeypatch, planted_path):
    from pages.live.desk import Busy, Desk

    def full(*_, **__):
        raise Busy("8 visitors are waiting already; please try again in a minute.")

    at = live_page(monkeypatch, planted_path)
    monkeypatch.setattr(Desk, "submit", full)
    assert "please try again in a minute" in asked(at, "Max is a zumpus. Every zumpus is cold.")
