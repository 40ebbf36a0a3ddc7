"""A head switched off on Try a puzzle, with the bundled model."""

import json

import numpy as np
import pytest

from pages.live.switching import style_of
from pages.live.work import N_EACH, STEPS
from qkcore.asking.links import Shared, encode, typed_puzzle
from qkcore.attention.load import load_model
from qkcore.bundled import bundled_model
from qkcore.puzzles.generate import generate_puzzles
from qkcore.results.one_puzzle import n_as_moving, without_rows
from qkcore.scoring.interventions import answers_without
from qkcore.scoring.replacing import replacements_of
from qkcore.scoring.score import prompts_of, score_puzzle
from qkcore.statistics.marks import margins
from tests import ROOT
from tests.pages.opening import LIVE, answered, opened
from tests.pages.test_pages import said
from tests.stores import demo_run

PUZZLE = typed_puzzle("Max is a wumpus. Every wumpus is cold.", "Max is cold.", answer=0)
SHARED = Shared(PUZZLE, "data/reference", layer=6, head=1)


@pytest.fixture
def open_page(monkeypatch):
    """Opens the page on a puzzle of the bundled model, with what the address says."""
    monkeypatch.setenv("QKSCOPE_STORE", str(ROOT / "data" / "qkscope.duckdb"))

    def open_page(shared=SHARED, **query):
        return answered(opened(LIVE, {"puzzle": encode(shared), "run": demo_run()} | query))

    return open_page


def table_of(at):
    return next(one.value for one in at.dataframe if "Switched off" in one.value)


def test_it_is_off_until_asked_and_then_says_what_the_model_says_without_the_head(open_page):
    at = open_page()
    assert not at.toggle(key="off").value
    assert "As it is, the model says" not in said(at)
    answered(at.toggle(key="off").set_value(True).run())
    assert not at.exception
    assert not at.error
    assert "As it is, the model says **" in said(at)
    assert "Without L6 H1 it says **" in said(at)
    assert "It stands out" in said(at) or "It does not stand out" in said(at)
    assert f"of {len(STEPS) * N_EACH} generated puzzles in made-up words" in said(at)


def test_the_numbers_are_those_of_answers_without_on_a_mean_of_generated_puzzles(open_page):
    table = table_of(open_page(off="true"))
    lm = load_model(bundled_model())
    means = replacements_of(lm, generate_puzzles(STEPS, 1, N_EACH, seed=0, style="made-up"))
    (prompt,) = prompts_of(lm, [PUZZLE])
    assert table["Switched off"].tolist() == ["nothing", "L6 H1", "L6 H0", "L6 H2", "L6 H3"]
    off = [[], [(6, 1)], [(6, 0)], [(6, 2)], [(6, 3)]]
    logits = answers_without(lm, prompt, off, means=means)
    leads = margins(logits.astype(float), 0)
    assert table["Lead of true"].tolist() == pytest.approx(leads.tolist(), abs=1e-5)
    assert table["Moved by"].tolist() == pytest.approx((leads - leads[0]).tolist(), abs=1e-5)
    whole = margins(score_puzzle(lm, PUZZLE).logits.astype(float), 0)
    assert table["Lead of true"].iloc[0] == float(whole)


def test_the_link_carries_it_and_a_picked_head_is_switched_off(open_page):
    at = open_page(off="true", layer="5", head="3")
    assert "Without L5 H3 it says" in said(at)
    link = next(one.value for one in at.main.code if "puzzle=" in one.value)
    assert "off=true" in link
    at = answered(at.toggle(key="off").set_value(False).run())
    link = next(one.value for one in at.main.code if "puzzle=" in one.value)
    assert "off=true" not in link


def test_more_candidates_and_no_known_answer_are_asked_too(open_page):
    puzzle = typed_puzzle(PUZZLE.context, "Max is shy.", ("true", "false", "unknown"))
    at = open_page(Shared(puzzle, "data/reference"), off="true")
    assert not at.exception
    assert not at.error
    assert "Lead of true" in table_of(at)
    assert set(table_of(at)["That is"]) == {"?"}


def test_the_chart_has_words(open_page):
    at = open_page(off="true")
    (chart,) = (one for one in at.get("vega_lite_chart") if "other heads off" in one.proto.alt
                or "L6 H1 off" in one.proto.alt)  # fmt: skip
    assert "Lead of true" in json.dumps(json.loads(chart.proto.spec))


def test_a_head_stands_out_where_no_other_moves_the_lead_as_much():
    logits = np.array([[2.0, 0.0], [1.0, 0.0], [2.5, 0.0], [3.1, 0.0]])
    rows = without_rows(PUZZLE, [(6, 1), (6, 0), (6, 2)], logits)
    assert rows["moved"].tolist() == pytest.approx([0, -1, 0.5, 1.1])
    assert n_as_moving(rows) == (1, 2)
    assert n_as_moving(without_rows(PUZZLE, [(6, 1), (6, 0)], logits[:3])) == (0, 1)
    assert n_as_moving(without_rows(PUZZLE, [(6, 1)], logits[:2])) == (0, 0)


def test_a_tie_is_no_answer():
    rows = without_rows(PUZZLE, [(6, 1)], np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert rows["answer"].tolist() == ["true", "cannot decide"]
    assert rows["verdict"].tolist() == ["right", "wrong"]


def test_the_style_is_that_of_most_words():
    everyday = typed_puzzle("Anne is kind. If someone is kind then they are nice.", "Anne is nice.")
    assert style_of(everyday) == "everyday"
    assert style_of(typed_puzzle("Zork zork.", "Zork.")) == "made-up"
