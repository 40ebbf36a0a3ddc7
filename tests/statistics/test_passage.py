"""The way of an answer in a sentence: each rule speaks where it applies, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from qkcore.statistics.lost import Growth, Slope, loss
from qkcore.statistics.passage import (
    KEPT_MARGIN,
    NAMES,
    RULES,
    Passage,
    growth_sentence,
    outcome,
    whereabouts,
)


def loss_of(lost: float, found: float, n: int = 400):
    """What is lost and found where these shares are, of puzzles of one context each."""
    place = np.arange(n) / n
    middle, end = place >= found, place < 1 - lost
    return loss(middle, end, np.arange(n), np.arange(n) % 2)


PASSAGE = Passage(
    n=400,
    n_groups=400,
    first_lens=5,
    first_probe=1,
    has_probe=True,
    head="L4 H2",
    head_layer=4,
    middle=7,
    is_middle_readable=True,
    loss=loss_of(0.2, 0.01),
    growth="all puzzles take as many steps",
)


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"n_groups": 19}, "too few puzzles", "400 test puzzles in 19 groups"),
        ({"first_lens": None, "first_probe": None}, "not readable", "neither lens nor probe"),
        (
            {"first_lens": None, "first_probe": None, "has_probe": False},
            "not readable",
            "the lens is not above guessing",
        ),
        ({"first_lens": None}, "by a probe only", "nothing that the model could lose"),
        ({"is_middle_readable": False}, "no middle", "at layer 7"),
        ({"middle": None, "loss": None}, "no middle", "none could be chosen"),
        (
            {},
            "lost on the way",
            "at layer 7 and wrong in the model's answer, both calibrated, 1.0 % the other way",
        ),
        ({"loss": loss_of(0.01, 0.2)}, "reached at the end", "−19.0 points"),
        ({"loss": loss_of(0.01, 0.01)}, "kept to the end", "+0.0 points"),
        ({"loss": loss_of(0.2, 0.2, 60)}, "not clear", "cannot be told"),
    ],
)
def test_each_outcome_is_said_where_its_rule_applies(changes, name, says):
    said, sentence = outcome(replace(PASSAGE, **changes))
    assert said == name
    assert says in sentence.replace("\xa0", " ")
    assert ": " in sentence  # a page prints what stands before it in bold


def test_every_name_has_a_case_above():
    cases = test_each_outcome_is_said_where_its_rule_applies.pytestmark[0].args[1]
    assert {name for _, name, _ in cases} == set(NAMES) == {name for name, _ in RULES}


def test_an_answer_is_called_kept_only_where_no_more_than_the_margin_may_be_lost():
    rng, n_kept = np.random.default_rng(0), 0
    for _ in range(300):  # exactly the margin is lost, less what is found
        middle = rng.random(800) < 0.9
        lost = middle & (rng.random(800) < (KEPT_MARGIN + 0.02) / 0.9)
        end = (middle & ~lost) | (~middle & (rng.random(800) < 0.2))
        found = loss(middle, end, np.arange(800), np.arange(800) % 2)
        n_kept += outcome(replace(PASSAGE, loss=found))[0] == "kept to the end"
    assert n_kept <= 15


def test_first_layers_and_the_head_are_named():
    assert whereabouts(PASSAGE) == (
        "The lens is above guessing first at layer 5, the probe first at layer 1; the chosen head, "
        "L4 H2, is at layer 4."
    )
    nothing = replace(PASSAGE, first_lens=None, head=None)
    assert whereabouts(nothing) == (
        "The lens is above guessing at no layer, the probe first at layer 1."
    )


UP, EVEN, DOWN = (
    Slope(0.05, 0.02, 0.08, 0.002),
    Slope(0.0, -0.03, 0.03, 1.0),
    Slope(-0.05, -0.08, -0.02, 0.002),
)


@pytest.mark.parametrize(
    ("growth", "says"),
    [
        (Growth(UP, UP), "More is lost with more steps: +5.0 points"),
        (Growth(UP, EVEN), "but not more than is found"),
        (Growth(EVEN, UP), "It cannot be seen that more is lost with more steps"),
        (Growth(DOWN, EVEN), "Less is lost with more steps: −5.0 points"),
        ("why", "cannot be said: why."),
    ],
)
def test_growth_is_claimed_only_where_interval_and_net_say_so(growth, says):
    assert says in growth_sentence(growth)
