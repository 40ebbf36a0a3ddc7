"""Contrasts: which of them are asked, so that a whole set tells nothing."""

import random

import pytest

from qkcore.puzzles.contrasts import Contrast, Evenness, Layout, choose, contrasts, layout_of
from qkcore.puzzles.english import Grammar

LAYOUT = Layout({"max": 0, "rex": 1, "red": 2, "big": 3}, {"max": 1, "rex": 1})


def contrast(predicate: str, holder: str, other: str, steps: int = 1) -> Contrast:
    return Contrast(predicate, holder, other, steps, frozenset())


# Two crosses, each the other way round
FOUR = [
    contrast("red", "max", "rex"),
    contrast("big", "rex", "max"),
    contrast("red", "rex", "max"),
    contrast("big", "max", "rex"),
]


def test_what_was_asked_once_is_asked_the_other_way_round_next():
    """In 20 contexts alike, "Max is red" is true ten times, and so is all else."""
    evenness = Evenness()
    for number in range(20):
        one, two = choose(FOUR, 2, [1], LAYOUT, evenness, random.Random(number))
        assert (one.holder, one.other) == (two.other, two.holder)
    assert set(evenness.totals.values()) == {0}


def test_who_is_named_first_tells_nothing_where_nothing_crosses():
    evenness = Evenness()
    singles = [FOUR[0], FOUR[2]]
    firsts = [
        choose(singles, 1, [1], LAYOUT, evenness, random.Random(number))[0].holder == "max"
        for number in range(20)
    ]
    assert sum(firsts) == 10


def test_the_nearest_steps_come_first_and_none_are_asked_without_any():
    far = [
        contrast("old", "max", "rex", 4),
        contrast("shy", "rex", "max", 4),
        contrast("sad", "max", "rex", 0),
        contrast("sly", "rex", "max", 0),
    ]
    layout = Layout(LAYOUT.places | dict.fromkeys(("old", "shy", "sad", "sly"), 5), {})
    for steps, words in (([1], {"red", "big"}), ([4], {"old", "shy"}), ([0], {"sad", "sly"})):
        chosen = choose(FOUR[:2] + far, 2, steps, layout, Evenness(), random.Random(1))
        assert {one.predicate for one in chosen} == words
    everything = choose(FOUR[:2] + far, 9, [1], layout, Evenness(), random.Random(1))
    assert {one.steps for one in everything} == {1, 4}


def test_no_statement_is_asked_twice():
    names = ("ann", "bob", "cat", "dan")
    many = [contrast("red", one, two) for one in names[:2] for two in names[2:]]
    layout = Layout(dict.fromkeys((*names, "red"), 0), dict.fromkeys(names, 1))
    chosen = choose(many, 9, [1], layout, Evenness(), random.Random(0))
    cells = [cell for one in chosen for cell in one.cells]
    assert len(chosen) == 2
    assert len(set(cells)) == len(cells)


@pytest.mark.parametrize(
    ("context", "closed_world", "expected"),
    [
        # In an open world what is not said of Rex is unknown
        ("Max is a cat. Rex is a dog. Every cat is red.", False, []),
        (
            "Max is a cat. Rex is a dog. Every cat is red. Every dog is not red.",
            False,
            [("red", "max", "rex", 1)],
        ),
        # A proof and a denial of unlike lengths are not alike
        ("Max is a cat. Rex is not red. Every cat is red.", False, []),
        # A relation is no predicate that a statement is made of
        (
            "Max likes Rex. Rex is shy. If someone likes Rex then they are kind.",
            True,
            [
                ("kind", "max", "rex", 1),
                ("shy", "rex", "max", 0),
            ],
        ),
    ],
)
def test_contrasts_are_what_holds_of_one_and_fails_for_another(context, closed_world, expected):
    found = contrasts(Grammar().sentences(context), closed_world)
    assert [(one.predicate, one.holder, one.other, one.steps) for one in found] == expected


def test_a_predicate_stands_where_a_rule_first_concludes_it():
    premises = Grammar().sentences("Max is red. Max is shy. If someone is shy then they are red.")
    assert layout_of(premises) == Layout({"max": 0, "red": 2, "shy": 1}, {"max": 2})
