"""Variants of a puzzle: one change each, and the truth that goes with it."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkcore.puzzles.english import split
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.logic import parse_puzzle, solve
from qkcore.puzzles.variants import KINDS, names_of, truth, variants
from tests.tiny import puzzle

GENERATED = [
    one
    for style in ("made-up", "everyday")
    for one in generate_puzzles(range(0, 4), range(0, 3), 4, 7, style)
]


def of_kind(one, kind, **options):
    made, notes = variants(one, [kind], **options)
    return made, notes


def test_the_truth_is_the_candidate_that_follows_whatever_the_candidates_are_called():
    context = "Max is a cat. Every cat is happy."
    assert truth(context, "Max is happy.", ("true", "false")).answer == 0
    assert truth(context, "Max is not happy.", ("Yes", "No")).answer == 1
    assert truth(context, "Max is red.", ("true", "false")).answer is None
    assert truth(context, "Max is red.", ("true", "false", "unknown")).answer == 2
    assert truth(context, "Max is happy.", ("cat", "dog")).answer is None
    found = truth(context, "Max is happy.", ("true", "false"))
    assert (found.solution.proof, found.solution.steps) == (
        ("Max is a cat.", "Every cat is happy."),
        1,
    )


def test_english_that_is_not_read_says_why():
    found = truth("Most cats are happy.", "Max is happy.", ("true", "false"))
    assert found.solution is None
    assert "Most cats are happy" in found.reason


@pytest.mark.parametrize("one", GENERATED, ids=lambda one: one.puzzle_id)
def test_generated_puzzles_change_as_logic_says(one):
    """The labels of the generator follow from its construction, not from the solver."""
    made, notes = variants(one, KINDS)
    assert not notes
    by_kind = {kind: [variant for variant in made if variant.kind == kind] for kind in KINDS}
    assert [variant.puzzle.answer for variant in by_kind["negated"]] == [1 - one.answer]
    for kind in ("distractors", "shuffled", "renamed"):
        assert by_kind[kind]
        assert all(variant.puzzle.answer == one.answer for variant in by_kind[kind])
    proof = solve(parse_puzzle(one.context, one.statement)).proof
    for variant in by_kind["dropped"]:
        needed = split(one.context)[variant.premise] in proof
        assert variant.puzzle.answer == (None if needed else one.answer)


def test_each_premise_is_left_out_once():
    one = puzzle()
    made, _ = of_kind(one, "dropped")
    assert [variant.puzzle.context for variant in made] == [
        "Every wumpus is a tumpus. Tumpuses are not metallic.",
        "Max is a wumpus. Tumpuses are not metallic.",
        "Max is a wumpus. Every wumpus is a tumpus.",
    ]


def test_distractors_are_added_one_after_another_and_keep_what_was_there():
    one = puzzle()
    made, _ = of_kind(one, "distractors", n_draws=2)
    assert [variant.n_added for variant in made] == [1, 2, 3, 4, 5] * 2
    for before, after in pairwise(made):
        if after.n_added > 1:
            assert set(split(before.puzzle.context)) < set(split(after.puzzle.context))
    for variant in made:
        kept = [
            sentence for sentence in split(variant.puzzle.context) if sentence in split(one.context)
        ]
        assert kept == split(one.context)
        assert solve(parse_puzzle(variant.puzzle.context, one.statement)).steps == 2


def test_shuffling_keeps_the_premises_and_gives_no_order_twice():
    one = puzzle()
    made, _ = of_kind(one, "shuffled", n_draws=50)
    orders = [tuple(split(variant.puzzle.context)) for variant in made]
    assert len(set(orders)) == len(orders) == 5  # all orders of three but its own
    assert all(sorted(order) == sorted(split(one.context)) for order in orders)


def test_two_names_are_swapped_everywhere():
    one = puzzle(
        "Rex is red.",
        context="Max is a cat. Rex is red. Maxim is a dog.",
        candidates=("Max", "Rex"),
        answer=1,
    )
    made, _ = of_kind(one, "renamed")
    assert made[0].puzzle.context == "Rex is a cat. Max is red. Maxim is a dog."
    assert (made[0].puzzle.statement, made[0].puzzle.candidates) == ("Max is red.", ("Rex", "Max"))
    assert made[0].change == "Rex and Max swapped"


def test_a_single_name_is_replaced_by_others():
    made, _ = of_kind(puzzle(), "renamed")
    assert len(made) == 2
    assert all("Max" not in variant.puzzle.context + variant.puzzle.statement for variant in made)
    assert all(variant.puzzle.answer == 1 for variant in made)


def test_what_a_puzzle_does_not_have_is_said():
    one = puzzle("Everything glitters?", context="It rains cats and dogs.", answer=0)
    made, notes = variants(one, KINDS)
    assert {variant.kind for variant in made} == {"distractors"}
    assert len(notes) == 4
    assert all(re.search(r"negate|one premise|No name", note) for note in notes)


def test_where_the_english_is_not_read_only_harmless_changes_keep_the_answer():
    one = puzzle("Max is happy.", context="Most cats are happy. Max is a cat.", answer=0)
    made, _ = variants(one, KINDS)
    answers = {
        kind: {variant.puzzle.answer for variant in made if variant.kind == kind} for kind in KINDS
    }
    assert answers == {
        "negated": {1},
        "dropped": {None},
        "distractors": {0},
        "shuffled": {0},
        "renamed": {0},
    }


def test_variants_are_the_same_every_time():
    assert variants(puzzle()) == variants(puzzle())


@given(
    st.text(min_size=1, max_size=80).filter(str.strip),
    st.text(min_size=1, max_size=40).filter(str.strip),
)
def test_whatever_is_typed_there_are_variants_or_sentences(context, statement):
    try:
        one = puzzle(statement, context=context)
    except ValueError:
        return  # half characters
    made, notes = variants(replace(one, answer=None), KINDS, n_draws=1)
    assert all(variant.puzzle.context.strip() for variant in made)
    assert all(note.strip() for note in notes)
    assert names_of(one) is not None
