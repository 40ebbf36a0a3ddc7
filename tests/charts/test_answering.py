"""The drawing of how a head answers: its numbers are the example's own, and it is safe to show."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from qkcore.charts.answering import INK, answering, drawing
from qkcore.results.store import ResultStore

SVG = "{http://www.w3.org/2000/svg}"


def example(scores=(4.0, 2.0), answer=0, **changes):
    """One whose scores are these: the key is one long, each query its score."""
    fields = dict(
        layer=1,
        head=2,
        statement="Max is happy.",
        tokens=["Max", " happy", ".", "\n"],
        key_at=2,
        candidates=["true", "false", "maybe", "no", "yes"][: len(scores)],
        answer=answer,
        key_vector=[1.0],
        query_vectors=[[score] for score in scores],
    )
    return pd.Series(fields | changes)


def bars(svg):
    found = [one for one in ET.fromstring(svg).iter(f"{SVG}rect") if "bar" in one.get("class")]
    return [(float(one.get("x")), float(one.get("width")), one.get("class")) for one in found]


def test_scores_are_the_dot_products_of_the_stored_vectors(planted_path):
    with ResultStore.open(planted_path) as store:
        it = answering(store.worked_example("planted-1"))
    assert it.scores == (4.0, 2.0)
    assert (it.head, it.chosen, it.is_right) == ("L1 H2", "true", True)


def test_bars_are_as_long_as_the_scores_and_negative_ones_go_the_other_way():
    (first, long, best), (other, short, plain) = bars(drawing(answering(example((4.0, 2.0)))))
    assert long == pytest.approx(2 * short, rel=0.01)
    assert first == other
    assert (best, plain) == ("bar best", "bar")
    (zero, _, _), (left, width, _) = bars(drawing(answering(example((3.0, -1.0)))))
    assert left + width == pytest.approx(zero, abs=0.11)


def test_a_wrong_answer_and_a_tie_are_called_so():
    wrong = answering(example((4.0, 2.0), answer=1))
    assert not wrong.is_right
    assert wrong.sentence.endswith("It answers true, which is wrong.")
    tie = answering(example((2.0, 2.0)))
    assert not tie.is_right
    assert "tie" in tie.sentence
    assert all(kind == "bar" for _, _, kind in bars(drawing(tie)))


def test_of_many_candidates_the_best_are_drawn():
    it = answering(example((1.0, 5.0, -2.0, 3.0, 4.0), answer=1))
    assert it.candidates == ("true", "false", "no", "yes")
    assert it.chosen == "false"


@pytest.mark.parametrize("is_dark", [False, True])
def test_it_is_whole_xml_without_script_whatever_the_puzzle_says(is_dark):
    evil = '</text><script>alert("x")</script>\u202e\x00 & ' + "long " * 40
    it = answering(example(statement=evil, candidates=["<b>&", "]]>"]))
    svg = drawing(it, is_dark)
    root = ET.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert not re.search(r"<script|\son\w+=|href|url\(|@import", svg)
    assert INK[is_dark][2] in svg


def test_it_stands_still_for_who_asks_for_less_motion():
    svg = drawing(answering(example()))
    style = re.search(r"<style>(.*?)</style>", svg, re.DOTALL)[1]
    asked, rest = style.split("@media (prefers-reduced-motion: no-preference) {")
    moving, rest = rest.split("\n}\n", maxsplit=1)
    assert "animation:" in moving
    assert "animation:" not in asked + rest


def test_all_scores_of_zero_can_be_drawn():
    assert all(np.isfinite(x + width) for x, width, _ in bars(drawing(answering(example((0, 0))))))
