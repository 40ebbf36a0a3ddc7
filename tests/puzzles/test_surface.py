"""Surface rules on puzzles that can be checked in the head, and on the published samples."""

import numpy as np
import pytest

from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.public_sets import import_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.surface import SURFACE_RULES, surface_accuracy, surface_choices
from tests import ROOT

SAMPLES = ROOT.resolve().parent / "shared" / "data"
with_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"the published samples are not in {SAMPLES}"
)


def puzzle(
    context: str,
    statement: str,
    answer: int | None = 0,
    candidates=("true", "false"),
    split="test",
    **fields,
):
    rest = {"puzzle_id": "p", "steps": 1, "distractors": None, "group": "g"} | fields
    return Puzzle(
        context=context,
        statement=statement,
        candidates=candidates,
        answer=answer,
        split=split,
        **rest,
    )


def opinion(rule: str, *arguments, **fields) -> str | None:
    """The text of the candidate that the rule names as it is written, before anything is learnt."""
    asked = puzzle(*arguments, **fields)
    index = SURFACE_RULES[rule](asked)
    return None if index == -1 else asked.candidates[index]


def chosen(rule: str, puzzles: list[Puzzle]) -> list[int]:
    return surface_choices(puzzles)[:, list(SURFACE_RULES).index(rule)].tolist()


# One rule at a time


def test_a_statement_with_not_is_false():
    assert opinion("contains not", "Max is red.", "Max is not red.") == "false"
    assert opinion("contains not", "Max is red.", "Max isn't red.") == "false"
    assert opinion("contains not", "Max is not red.", "Max is notable.") == "true"


@pytest.mark.parametrize(
    ("context", "statement", "answer"),
    [
        ("Every wumpus is a zumpus. Max is a wumpus.", "Max is a zumpus.", "true"),
        ("Wumpuses are zumpuses. Max is a wumpus.", "Max is a zumpus.", "true"),
        ("Impuses are not zumpuses. Max is a wumpus.", "Max is a zumpus.", "false"),
        ("Impuses are not zumpuses. Max is a wumpus.", "Max is not a zumpus.", "true"),
        ("Every wumpus is infrared.", "Max is red.", "false"),
        ("If someone is bad then they are sad.", "Max is sad.", "true"),
        ("It rains.", "Does it rain?", None),
    ],
)
def test_a_statement_whose_predicate_occurs_is_true(context, statement, answer):
    assert opinion("phrase occurs", context, statement) == answer


def test_the_polarity_with_the_more_frequent_subject_is_believed():
    context = "Each wumpus is not red. Every impus is red. Max is a wumpus. Wumpuses are tumpuses."
    assert opinion("subject frequency", context, "Max is red.") == "false"
    assert opinion("subject frequency", context, "Max is not red.") == "true"
    everyday = (
        "If someone is a baker then they are kind. If someone is a poet then they are not kind. "
        "Max is a baker."
    )
    assert opinion("subject frequency", everyday, "Max is kind.") == "true"


def test_subjects_that_occur_equally_often_give_no_opinion():
    assert (
        opinion("subject frequency", "Wumpuses are red. Impuses are not red.", "Max is red.")
        is None
    )


def test_the_last_mention_of_the_predicate_is_believed():
    context = "Wumpuses are red. Max is a wumpus. Impuses are not red. Max is cold."
    assert opinion("last mention", context, "Max is red.") == "false"
    assert opinion("last mention", context, "Max is not red.") == "true"
    assert opinion("last mention", context, "Max is blue.") is None


def test_a_statement_made_of_the_context_s_words_is_true():
    assert opinion("word overlap", "Every wumpus is red. Max is a wumpus.", "Max is red.") == "true"
    assert (
        opinion("word overlap", "Every wumpus is red. Max is a wumpus.", "Max is not red.")
        == "false"
    )


def test_a_statement_longer_than_the_premises_is_false():
    assert opinion("length", "Max is an impus. Impuses are red.", "Max is red.") == "true"
    assert opinion("length", "Max is an impus. Impuses are red.", "Max is not red.") == "false"


def test_rules_name_the_candidate_wherever_it_stands():
    for candidates in (("yes", "no"), ("no", "yes"), ("false", "true"), ("True", "False")):
        verdict = opinion("contains not", "Max is red.", "Is Max not red?", candidates=candidates)
        assert verdict.lower() in ("no", "false")


def test_other_candidates_are_told_apart_by_their_words():
    options = {"candidates": ("red", "dark blue", "green")}
    context = "Max was blue. Max is green. Max is dark blue. Max is green. Max is not red."
    assert opinion("length", context, "Max is", **options) == "dark blue"
    assert opinion("subject frequency", context, "Max is", **options) == "green"
    assert opinion("last mention", context, "Max is", **options) == "red"
    assert opinion("word overlap", context, "Max is", **options) == "dark blue"
    assert opinion("contains not", context, "Max is", **options) is None
    assert opinion("length", context, "Max is", candidates=("red", "blue")) is None


# What is learnt, and from where


def test_the_majority_is_counted_on_validation_puzzles_only():
    seen = [puzzle("A.", "B.", answer, split="validation") for answer in (1, 1, 0)]
    asked = [puzzle("A.", "B.", 0) for _ in range(5)]
    assert chosen("majority", seen + asked) == [1] * 8
    assert chosen("majority", asked) == [0] * 5


def test_the_majority_is_an_answer_s_text_not_its_place():
    seen = [puzzle("A.", "B.", 1, split="validation")]
    assert chosen("majority", [*seen, puzzle("A.", "B.", candidates=("false", "true"))]) == [1, 0]
    assert chosen("majority", [*seen, puzzle("A.", "B.", candidates=("red", "blue"))]) == [1, 0]


def test_where_each_context_has_options_of_its_own_the_majority_is_a_place():
    seen = [
        puzzle(
            f"{n}.", "B.", split="validation", candidates=(f"a{n}", f"b{n}"), answer=1, group=str(n)
        )
        for n in range(3)
    ]
    asked = puzzle("A.", "B.", candidates=("c", "d"), group="asked")
    assert chosen("majority", [*seen, asked]) == [1] * 4
    # ... and not the text that was right in another place of the same group
    again = puzzle("0.", "B.", split="validation", candidates=("b0", "a0"), answer=0, group="0")
    assert chosen("majority", [*seen, again, asked])[3] == 1


def test_a_rule_without_an_opinion_answers_with_the_majority():
    seen = [puzzle("A.", "B.", 1, split="validation")]
    undecided = puzzle("Wumpuses are red. Impuses are not red.", "Max is red.")
    assert chosen("subject frequency", [*seen, undecided]) == [1, 1]


def test_a_rule_that_is_mostly_wrong_on_validation_is_turned_round_everywhere():
    positive, negative = ("Max is red.", "Max is red."), ("Max is red.", "Max is not red.")
    seen = [puzzle(*positive, 1, split="validation"), puzzle(*negative, 0, split="validation")]
    assert chosen("contains not", [*seen, puzzle(*positive), puzzle(*negative)]) == [1, 0, 1, 0]
    assert chosen("contains not", [*seen, puzzle(*negative, candidates=("no", "yes"))]) == [1, 0, 1]


def test_test_answers_change_no_choice():
    puzzles = generate_puzzles(1, 1, 40, seed=0)
    turned = [
        Puzzle(**{f: getattr(p, f) for f in Puzzle.__slots__} | {"answer": 1 - p.answer})
        if p.split == "test"
        else p
        for p in puzzles
    ]
    assert (surface_choices(puzzles) == surface_choices(turned)).all()


def test_a_rule_that_is_half_right_is_left_as_written():
    seen = [puzzle("Max is red.", "Max is red.", answer, split="validation") for answer in (0, 1)]
    assert chosen("contains not", seen) == [0, 0]


# Counting


def test_right_answers_are_counted_by_rule_split_steps_and_distractors():
    puzzles = [
        puzzle("A.", "Max is red.", 0, steps=2, distractors=3),
        puzzle("A.", "Max is not red.", 0, steps=2, distractors=3),
        puzzle("A.", "Max is red.", 0, steps=None),
        puzzle("A.", "Max is red.", 0, split="validation"),
    ]
    counts = surface_accuracy(puzzles)
    assert list(counts) == ["rule", "split", "steps", "distractors", "n", "n_right"]
    assert set(counts["rule"]) == set(SURFACE_RULES)
    rows = counts[counts["rule"] == "contains not"].astype(object).fillna(-1).to_numpy().tolist()
    assert sorted(row[1:] for row in rows) == [
        ["test", -1, -1, 1, 1],
        ["test", 2, 3, 2, 1],
        ["validation", 1, -1, 1, 1],
    ]


def test_puzzles_without_an_answer_are_chosen_for_but_not_counted():
    unknown = puzzle("A.", "Max is not red.", None)
    assert chosen("contains not", [unknown]) == [1]
    assert surface_accuracy([unknown]).empty


def test_no_puzzles_give_no_choices():
    assert surface_choices([]).shape == (0, len(SURFACE_RULES))
    assert surface_choices([puzzle("A.", "B.")]).dtype == np.int8


# The published samples: the figures that everybody's accuracy on them has to be read against


def sample_accuracy(format: str, *patterns: str) -> dict[str, float]:
    """Accuracy of every rule on the test puzzles of the sample files that match."""
    files = [file for pattern in patterns for file in sorted(SAMPLES.glob(pattern))]
    counts = surface_accuracy(import_puzzles(format, files))
    sums = counts[counts["split"] == "test"].groupby("rule")[["n", "n_right"]].sum()
    return (sums["n_right"] / sums["n"]).to_dict()


@with_samples
def test_pararule_is_solved_by_contains_not():
    assert sample_accuracy("pararule", "pararule_plus/*.jsonl")["contains not"] == 1


@with_samples
def test_prontoqa_proofs_only_is_solved_by_the_phrase_and_not_by_contains_not():
    accuracy = sample_accuracy("prontoqa", "prontoqa_ood/*ProofsOnly*.json")
    assert accuracy["phrase occurs"] == 1
    assert accuracy["contains not"] < 0.6


@with_samples
@pytest.mark.parametrize("kind", ["AndElim", "AndIntro", "OrElim", "OrIntro", "ProofByContra"])
def test_prontoqa_s_other_proofs_are_solved_by_contains_not(kind):
    # In ProofByContra the true statements are the negative ones: the rule is turned round there.
    assert sample_accuracy("prontoqa", f"prontoqa_ood/*_{kind}_*.json")["contains not"] == 1


@with_samples
def test_multilogieval_is_three_quarters_yes_and_all_yes_at_depth_5():
    assert sample_accuracy("multilogieval", "multi_logieval/*/pl/*.json")[
        "majority"
    ] == pytest.approx(0.75, abs=0.01)
    assert sample_accuracy("multilogieval", "multi_logieval/d5_Data/pl/*.json")["majority"] == 1
