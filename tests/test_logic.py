from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkcore.generate import generate_puzzles
from qkcore.logic import LogicError, ReadingError, parse_puzzle, solve
from qkcore.public_sets import import_puzzles

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the public samples lie beside the repository only")


def solved(context, statement, **options):
    return solve(parse_puzzle(context, statement), **options)


def test_a_chain_is_followed_and_its_premises_are_the_proof():
    solution = solved("Max is red. Every cat is kind. Max is a cat. Kind people are small.", "Max is small.")
    assert solution.verdict is True
    assert solution.proof == ("Every cat is kind.", "Max is a cat.", "Kind people are small.")
    assert solution.steps == 2


def test_a_denial_that_follows_makes_the_statement_false():
    solution = solved("Max is a cat. Cats are not dogs.", "Max is a dog.")
    assert (solution.verdict, solution.steps) == (False, 1)


def test_what_does_not_follow_is_unknown_under_an_open_world_and_false_under_a_closed_one():
    assert solved("Max is a cat.", "Max is red.").verdict is None
    assert solved("Max is a cat.", "Max is red.", closed_world=True).verdict is False
    assert solved("Max is a cat.", "Max is not red.", closed_world=True).verdict is True


def test_negation_as_failure_holds_under_a_closed_world_only():
    context = "Max is small. If something is small and not awful then it is lovely."
    assert solved(context, "Max is lovely.").verdict is None
    assert solved(context, "Max is lovely.", closed_world=True).verdict is True


def test_the_shortest_proof_counts():
    context = "Max is a cat. Cats are kind. Kind things are small. Small things are red. Cats are red."
    assert solved(context, "Max is red.").steps == 1


def test_a_statement_that_repeats_a_premise_takes_no_steps():
    assert solved("Max is red.", "Max is red.").steps == 0


def test_rules_shared_by_both_parts_of_a_statement_count_once():
    context = "Max is a cat. Cats are kind. Kind things are red. Kind things are small."
    assert solved(context, "Max is red and small.").steps == 3


def test_one_false_part_decides_an_and_and_one_true_part_an_or():
    context = "Max is red. Max is not kind."
    assert solved(context, "Max is kind and small.").verdict is False
    assert solved(context, "Max is red or small.").verdict is True
    assert solved(context, "Max is red and small.").verdict is None


def test_circles_end():
    assert solved("Max is red. Red things are kind. Kind things are red.", "Max is kind.").steps == 1


def test_a_context_that_contradicts_itself_is_reported_with_the_premises():
    with pytest.raises(
        LogicError, match=r"'max' would be 'red' and not, by Max is a cat. Cats are red. Max is not red."
    ):
        solved("Max is a cat. Cats are red. Max is not red.", "Max is a cat.")


def test_nothing_is_concluded_from_an_or():
    context = "Max is a cat or a dog. Cats are red. Dogs are red."
    assert solved(context, "Max is red.").verdict is None
    with pytest.raises(LogicError, match="closed world"):
        solved(context, "Max is red.", closed_world=True)


def test_a_statement_must_be_one_fact():
    for statement in ("Max is red. Max is kind.", "Cats are red.", ""):
        with pytest.raises(ReadingError, match=r"statement must say one thing|cannot read"):
            solved("Max is red.", statement)


def test_thousands_of_premises_take_no_time():
    context = " ".join(f"Every w{i} is a w{i + 1}." for i in range(3_000)) + " Max is a w0."
    assert solved(context, "Max is a w3000.").steps == 3_000


PREDICATES = ("red", "kind", "small", "cold")
literal = st.tuples(st.sampled_from(PREDICATES), st.booleans())
rule = st.tuples(st.lists(literal, min_size=1, max_size=2, unique_by=lambda one: one[0]), literal)


def in_words(literals):
    """What is denied comes last: "not red and kind" could be read in two ways, and is refused."""
    ordered = sorted(literals, key=lambda one: not one[1])
    return " and ".join(("" if is_positive else "not ") + word for word, is_positive in ordered)


@settings(max_examples=300, deadline=None)
@given(st.lists(literal, min_size=1, max_size=3), st.lists(rule, max_size=5), literal)
def test_what_is_said_true_or_false_is_so_in_every_world(facts, rules, asked):
    """Against an oracle that tries all sixteen worlds."""
    context = " ".join(f"Max is {in_words([fact])}." for fact in facts)
    context += " " + " ".join(
        f"If something is {in_words(when)} then it is {in_words([then])}." for when, then in rules
    )

    def holds(world, one):
        return world[one[0]] == one[1]

    worlds = [dict(zip(PREDICATES, values, strict=True)) for values in product((True, False), repeat=4)]
    worlds = [w for w in worlds if all(holds(w, fact) for fact in facts)]
    worlds = [w for w in worlds if all(holds(w, then) for when, then in rules if all(holds(w, one) for one in when))]
    try:
        verdict = solved(context, f"Max is {in_words([asked])}.").verdict
    except LogicError:
        assert not worlds
        return
    if verdict is not None:
        assert all(holds(world, asked) is verdict for world in worlds)


@pytest.mark.parametrize("style", ["made-up", "everyday"])
def test_every_generated_label_and_number_of_steps_is_confirmed(style):
    puzzles = generate_puzzles(range(7), range(6), 40, seed=77, style=style)
    assert len(puzzles) == 7 * 6 * 40
    for puzzle in puzzles:
        solution = solved(puzzle.context, puzzle.statement)
        assert (solution.verdict, solution.steps) == (puzzle.answer == 0, puzzle.steps), puzzle.puzzle_id


@needs_data
def test_every_pararule_label_is_agreed_with_under_a_closed_world():
    puzzles = import_puzzles("pararule", [DATA / "pararule_plus"])
    assert len(puzzles) > 600
    for puzzle in puzzles:
        verdict = solved(puzzle.context, puzzle.statement, closed_world=True).verdict
        assert verdict is (puzzle.answer == 0), puzzle.puzzle_id


@needs_data
@pytest.mark.parametrize("rule_type", ["ProofsOnly", "AndIntro", "AndElim"])
def test_every_prontoqa_label_is_agreed_with(rule_type):
    for puzzle in import_puzzles("prontoqa", sorted((DATA / "prontoqa_ood").glob(f"*{rule_type}*.json"))):
        solution = solved(puzzle.context, puzzle.statement)
        assert solution.verdict is (puzzle.answer == 0), puzzle.puzzle_id
        if rule_type == "ProofsOnly":
            assert solution.steps == puzzle.steps, puzzle.puzzle_id


@needs_data
@pytest.mark.parametrize("rule_type", ["OrIntro", "OrElim", "ProofByContra", "Composed"])
def test_rule_types_that_are_not_covered_are_unknown_and_never_wrong(rule_type):
    for puzzle in import_puzzles("prontoqa", sorted((DATA / "prontoqa_ood").glob(f"*{rule_type}*.json"))):
        assert solved(puzzle.context, puzzle.statement).verdict in (None, puzzle.answer == 0), puzzle.puzzle_id
