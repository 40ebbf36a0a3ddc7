"""Generated multiple choice has one right option and no shortcut; orders move options only."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from qkcore.puzzles.multiple_choice import (
    NEVER_RIGHT,
    generate_options,
    in_orders,
    question_of,
    with_never_right,
)
from qkcore.puzzles.puzzle import Puzzle, PuzzleError
from qkcore.puzzles.surface import SURFACE_RULES, surface_choices


@pytest.fixture(scope="module")
def puzzles():
    return [
        puzzle
        for style in ("made-up", "everyday")
        for puzzle in generate_options(range(1, 4), range(2), 80, style=style, seed=3)
    ]


def words(text):
    return re.findall(r"[a-z]+", text.lower())


def reached(puzzle):
    """Every word that a context leads to from the name that is asked about, rule by rule."""
    rules = [
        [word for word in words(sentence) if word not in RULE_WORDS]
        for sentence in puzzle.context.split(". ")
    ]
    known = {words(puzzle.statement)[-1]}
    for _ in rules:
        known |= {singular(end) for start, end in rules if singular(start) in known}
    return known


RULE_WORDS = frozenset("is are a an every each all if someone then they".split())


def singular(word):
    return word.removesuffix("es") if word.endswith("puses") else word


def test_exactly_the_right_option_follows(puzzles):
    for puzzle in puzzles:
        follows = [words(option)[-1] in reached(puzzle) for option in puzzle.candidates]
        assert follows == [place == puzzle.answer for place in range(4)], puzzle


def test_it_takes_as_many_rules_as_it_says(puzzles):
    for puzzle in puzzles:
        assert puzzle.context.count(".") == 4 * (puzzle.steps + 1) + puzzle.distractors
        assert len(reached(puzzle)) == puzzle.steps + 2  # the name, a class a step, what follows


def test_each_place_is_right_once_in_a_context(puzzles):
    for _, members in itertools.groupby(puzzles, key=lambda puzzle: puzzle.group):
        assert sorted(puzzle.answer for puzzle in members) == [0, 1, 2, 3]


def is_even(found, options):
    """Whether no place is right more than once more often than another, of either split."""
    for split in ("validation", "test"):
        n = Counter(one.answer for one in found if one.split == split)
        if max(n.values()) - min(n[place] for place in range(options)) > 1:
            return False
    return True


@pytest.mark.parametrize("options", [3, 4])
def test_where_contexts_are_cut_places_are_as_even_as_can_be(options):
    found = generate_options(range(1, 4), range(4), 11, options=options)
    assert len(found) == 12 * 11
    assert is_even(found, options)


def test_a_few_orders_put_the_right_one_as_often_at_each_place():
    skewed = [three(puzzle_id=f"q{at}", answer=int(at < 8), group=f"g{at}") for at in range(10)]
    skewed += [three(puzzle_id=f"v{at}", split="validation") for at in range(9)]
    assert not is_even(skewed, 3)
    found = in_orders(skewed, 2)
    assert is_even(found, 3)
    assert len({one.puzzle_id for one in found}) == len(found) == 2 * 19


def test_options_have_as_many_words_and_stand_as_often_in_the_context(puzzles):
    for puzzle in puzzles:
        said = Counter(words(puzzle.context))
        assert len({len(words(option)) for option in puzzle.candidates}) == 1
        assert [said[words(option)[-1]] for option in puzzle.candidates] == [1] * 4


def near(puzzle, measure):
    """The option whose place in the context, against the name's, measures most."""
    at = puzzle.context.find(words(puzzle.statement)[-1].title())
    places = [puzzle.context.find(words(option)[-1]) for option in puzzle.candidates]
    return max(range(4), key=lambda option: measure(places[option], at))


PLACES = {
    "an option's own place": lambda puzzle: 2,
    "mentioned first": lambda puzzle: near(puzzle, lambda place, _: -place),
    "mentioned last": lambda puzzle: near(puzzle, lambda place, _: place),
    "nearest to the name": lambda puzzle: near(puzzle, lambda place, at: -abs(place - at)),
    "farthest from the name": lambda puzzle: near(puzzle, lambda place, at: abs(place - at)),
    "first after the name": lambda puzzle: near(
        puzzle, lambda place, at: (place > at, -abs(place - at))
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_rule_of_places_is_right_on_one_in_four(puzzles, name):
    n_right = sum(PLACES[name](puzzle) == puzzle.answer for puzzle in puzzles)
    assert abs(n_right / len(puzzles) - 0.25) < 3 * (0.25 * 0.75 / len(puzzles)) ** 0.5


def test_no_surface_rule_is_better_than_guessing(puzzles):
    answers = np.array([puzzle.answer for puzzle in puzzles])
    shares = (surface_choices(puzzles) == answers[:, None]).mean(axis=0)
    for name, share in zip(SURFACE_RULES, shares, strict=True):
        assert share < 0.25 + 3 * (0.25 * 0.75 / len(puzzles)) ** 0.5, name


def test_half_is_validation_and_groups_are_whole(puzzles):
    assert sum(puzzle.split == "test" for puzzle in puzzles) == len(puzzles) / 2
    assert len({(puzzle.group, puzzle.split) for puzzle in puzzles}) == len(puzzles) / 4


def test_more_puzzles_leave_those_before_as_they_were():
    few, more = (generate_options(1, 0, n) for n in (8, 16))
    assert set(few) <= set(more)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict(steps=0), "steps is 0; with options ask for 1 or more"),
        (dict(options=1), "options is 1; ask for 2 to 8"),
        (dict(options=9), "options is 9; ask for 2 to 8"),
        (dict(n=0), "n is 0; ask for 1 or more"),
        (dict(style="old"), "style 'old' is not known"),
        (dict(steps=6, options=6), "need 36 words for classes, style 'made-up' has"),
    ],
)
def test_what_cannot_be_made_is_refused(changes, reason):
    with pytest.raises(PuzzleError, match=reason):
        generate_options(**dict(steps=1, distractors=0, n=4) | changes)


def three(**changes):
    fields = dict(puzzle_id="q", context="Max is red.", statement="Which?", answer=1)
    fields |= dict(steps=None, distractors=None, group="g", split="test")
    return Puzzle(**fields | dict(candidates=("a", "b", "c")) | changes)


def test_orders_move_options_up_and_the_right_one_with_them():
    found = in_orders([three()])
    assert [one.candidates for one in found] == [("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")]
    assert [one.candidates[one.answer] for one in found] == ["b"] * 3
    assert [one.answer for one in found] == [1, 0, 2]
    assert {one.group for one in found} == {"g"}
    assert [question_of(one.puzzle_id) for one in found] == ["q"] * 3
    assert len({one.puzzle_id for one in found}) == 3


def test_options_that_are_never_right_stay_last():
    found = in_orders(with_never_right([three()]), orders=2)
    assert [one.candidates[3:] for one in found] == [NEVER_RIGHT] * 2
    assert [one.answer for one in found] == [1, 0]


@pytest.mark.parametrize("orders", [1, 4])
def test_orders_that_there_are_not_are_refused(orders):
    with pytest.raises(PuzzleError, match=f"puzzle 'q': {orders} orders of 3 options"):
        in_orders([three()], orders)


def test_a_puzzle_in_several_orders_is_not_put_into_orders_again():
    with pytest.raises(PuzzleError, match="'q~0' is one of several orders already"):
        in_orders(in_orders([three()]))
    with pytest.raises(PuzzleError, match="never right already"):
        with_never_right(with_never_right([three()]))
