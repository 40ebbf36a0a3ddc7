"""Try a puzzle: a premise left out and put back, and what the page says of models and heads."""

import shutil
from dataclasses import replace

import duckdb
import pytest

from pages.live.typed import ASKED
from qkcore.asking.links import Shared, encode, typed_puzzle
from tests import ROOT
from tests.pages.opening import LISTED, LIVE, answered, opened
from tests.pages.test_pages import said
from tests.stores import demo_run

DEMO = ROOT / "data" / "qkscope.duckdb"
PUZZLE = typed_puzzle(
    "Rex is a lempus. Max is a wumpus. Every wumpus is cold.", "Max is cold.", answer=0
)
SHARED = Shared(PUZZLE, "data/reference")
LEAVE_OUT = "Leave out a premise and score again"


@pytest.fixture
def open_page(monkeypatch):
    """Opens the page on the demo store, with what the address says."""
    monkeypatch.setenv("QKSCOPE_STORE", str(DEMO))

    def open_page(puzzle=PUZZLE, **query):
        shared = {"puzzle": encode(replace(SHARED, puzzle=puzzle))} if puzzle else {}
        return answered(opened(LIVE, shared | {"run": demo_run()} | query))

    return open_page


def box(at):
    return next(one for one in at.selectbox if one.label == LEAVE_OUT)


def leave_out(at, premise):
    option = next(one for one in box(at).options if premise in one)
    return answered(box(at).set_value(option).run())


def context(at):
    return at.text_area(key="live context").value


def test_a_premise_is_left_out_scored_again_and_put_back(open_page):
    at = open_page()
    assert box(at).value is None
    assert box(at).options[1] == "2. Max is a wumpus."
    before = said(at)
    leave_out(at, "Every wumpus is cold.")
    assert context(at) == "Rex is a lempus. Max is a wumpus."
    assert "Left out: Every wumpus is cold" in said(at).replace("\\", "")
    assert "neither follows from the context" in said(at)
    assert "differs from the puzzle below" not in said(at)
    leave_out(at, "Rex is a lempus.")
    assert context(at) == "Max is a wumpus."
    assert not [one for one in at.selectbox if one.label == LEAVE_OUT]  # the last premise stays
    answered(at.button(key="live put back").click().run())
    answered(at.button(key="live put back").click().run())
    assert context(at) == PUZZLE.context
    assert said(at) == before
    assert not [one for one in at.button if one.key == "live put back"]


def test_what_follows_is_worked_out_anew_even_where_somebody_named_the_answer(open_page):
    at = open_page()
    at.selectbox(key="live answer").set_value("false").run()
    answered(at.button(key="live score").click().run())
    assert "another answer was given as the right one" in at.warning[0].value
    leave_out(at, "Rex is a lempus.")
    assert "The right answer is **true** (1 step)" in said(at)
    assert at.selectbox(key="live answer").value == "worked out from the context"


def test_after_another_puzzle_there_is_nothing_to_put_back(open_page):
    at = leave_out(open_page(), "Rex is a lempus.")
    at.text_area(key="live context").set_value("Max is shy. Rex is cold.")
    answered(at.button(key="live score").click().run())
    assert "Left out" not in said(at)
    assert not [one for one in at.button if one.key == "live put back"]


def test_the_button_says_whom_it_asks_and_which_head_is_in_view(open_page):
    at = open_page(layer="3", head="2")
    assert "The button asks **reference**. Head in view: **L3 H2**, picked by hand." in said(at)


def test_the_page_opens_on_the_model_of_the_run_and_follows_another_run(
    monkeypatch, tiny_folder, tmp_path
):
    folder = shutil.copytree(tiny_folder, tmp_path / "small")
    store = shutil.copy(DEMO, tmp_path / "demo.duckdb")
    with duckdb.connect(str(store)) as writer:
        writer.execute("update runs set model = 'small' where model like 'Smol%'")
    monkeypatch.setenv("QKSCOPE_STORE", str(store))
    monkeypatch.setenv("QKSCOPE_MODELS", str(folder))  # offered after data/reference
    at = answered(opened(LIVE))
    assert at.selectbox(key="live model").value == str(folder)
    assert at.session_state[ASKED].fields.model == str(folder)
    assert "The button asks **small**" in said(at)
    at = answered(at.selectbox(key="picked_model").set_value("reference").run())
    assert at.selectbox(key="live model").value == "data/reference"
    assert at.session_state[ASKED].fields.model == "data/reference"
    assert "The right answer is **false** (2 steps)" in said(at)
    # A link's own model is the one that is asked.
    at = answered(opened(LIVE, {"puzzle": encode(SHARED)}))
    assert at.selectbox(key="live model").value == "data/reference"


def test_a_head_chosen_for_other_candidates_says_so(open_page):
    told = "were chosen on puzzles whose candidates are true, false, not for the candidates of this"
    assert told not in said(open_page())
    at = open_page(replace(PUZZLE, candidates=("false", "true"), answer=1))
    assert told not in said(at)
    at = open_page(typed_puzzle(PUZZLE.context, "Is Max cold?", ("yes", "no"), 0))
    assert told in said(at)


def test_what_no_candidate_says_is_asked_for_and_what_was_left_open_is_called_that(open_page):
    at = open_page(typed_puzzle(PUZZLE.context, PUZZLE.statement, ("red", "blue")))
    assert "The statement follows from the context, and no candidate says so" in said(at)
    answered(at.button(key="say blue").click().run())
    assert "The right answer is **blue**" in said(at)
    at = open_page(replace(PUZZLE, answer=None))
    assert "it was left open which answer is right" in said(at)
    assert "neither follows" not in said(at)


def test_changes_tell_what_could_not_be_worked_out_from_what_does_not_follow(open_page):
    def truths(puzzle):
        at = open_page(puzzle)
        answered(at.button(key="live try").click().run())
        table = next(one.value for one in at.dataframe if "Change" in one.value)
        return table.set_index("Change")["Truth"]

    assert truths(PUZZLE)["Without premise 2: Max is a wumpus."] == "neither follows"
    unread = typed_puzzle("Blue is the new green. Max hums. Rex is cold.", "Max is cold.")
    assert truths(unread)["Without premise 2: Max hums."] == "could not be worked out"


def test_after_a_refusal_the_result_is_said_to_be_of_the_puzzle_before(open_page):
    at = open_page()
    at.text_input(key="live statement").set_value("")
    answered(at.button(key="live score").click().run())
    assert "The statement is empty" in at.error[0].value
    told = "This is the result of the puzzle before: “Max is cold"
    assert told in at.info[0].value
    assert "The right answer is **true** (1 step)" in said(at)
    at.text_input(key="live statement").set_value("Rex is cold.")
    answered(at.button(key="live score").click().run())
    assert not [one for one in at.info if told in one.value]
    # A link that cannot be opened shows an example, which is not the puzzle before.
    at = answered(opened(LIVE, {"puzzle": "x", "run": demo_run()}))
    assert "This link cannot be opened" in at.error[0].value
    assert not [one for one in at.info if "puzzle before" in one.value]


@pytest.fixture(scope="module")
def path_store(tmp_path_factory):
    """The demo store as somebody's whose models are files on a server."""
    store = shutil.copy(DEMO, tmp_path_factory.mktemp("paths") / "paths.duckdb")
    with duckdb.connect(str(store)) as writer:
        writer.execute("update runs set model = '/srv/models/x.gguf' where model like 'Smol%'")
        writer.execute("update runs set model = '/srv/models/y' where model = 'reference'")
    return store


@pytest.mark.parametrize("page", LISTED)
def test_no_page_tells_in_which_folder_of_the_server_a_model_lies(page, path_store, monkeypatch):
    monkeypatch.setenv("QKSCOPE_STORE", str(path_store))
    monkeypatch.setenv("QKSCOPE_HOSTED", "true")  # else a command to copy names the file in full
    at = answered(opened(page))
    assert not at.exception
    shown = [str(one.proto) for one in _leaves(at._tree)]
    assert any("PARARULE" in one for one in shown)
    assert not [one[:200] for one in shown if "/srv/models" in one]


def _leaves(node):
    children = getattr(node, "children", None)
    if children:
        for child in children.values():
            yield from _leaves(child)
    elif getattr(node, "proto", None) is not None:
        yield node
