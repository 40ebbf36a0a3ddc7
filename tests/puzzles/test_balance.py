"""Balanced twins: right by another program, even in every context, no use to word readers."""

import random
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import pytest

from qkcore.puzzles.balance import balance_puzzles
from qkcore.puzzles.generate import STYLES, generate_puzzles
from qkcore.puzzles.public_sets import import_puzzles
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, puzzle_set_sha256
from qkcore.puzzles.surface import surface_accuracy
from qkcore.puzzles.twin import Twin, parent_of, twin_report
from tests.puzzles.published_shapes import pararule_shaped, prontoqa_shaped, verdict
from tests.puzzles.test_public_sets import SAMPLES, with_samples
from tests.puzzles.test_shortcuts import ngram_answers

WORLD = {"pararule": "closed", "prontoqa": "open"}
SHAPED = {"pararule": pararule_shaped, "prontoqa": prontoqa_shaped}
# As many statements of each kind as make a twin of 2,000 puzzles and more from a sample
PER_CONTEXT = {"pararule": 10, "prontoqa": 5}
FILES = {
    "pararule": "pararule_plus/*.jsonl",
    "prontoqa": "prontoqa_ood/3hop_ProofsOnly_random_noadj.json",
}

N_CONTEXTS = 60

each_set = pytest.mark.parametrize("name", WORLD)


@cache
def parent(name: str) -> tuple[Puzzle, ...]:
    return tuple(SHAPED[name](N_CONTEXTS, seed=5))


@cache
def twin(name: str) -> Twin:
    return balance_puzzles(parent(name), seed=1)


@cache
def sample(name: str) -> tuple[Puzzle, ...]:
    paths = sorted(SAMPLES.glob(FILES[name]))
    return tuple(import_puzzles(name, paths))


@cache
def sample_twin(name: str) -> Twin:
    return balance_puzzles(sample(name), per_context=PER_CONTEXT[name], seed=1)


def kind(puzzle: Puzzle) -> tuple[bool, bool]:
    return " not " in puzzle.statement, puzzle.candidates[puzzle.answer] == "true"


@each_set
def test_the_world_is_that_of_the_set_s_own_answers(name):
    assert twin(name).world == WORLD[name]
    agreed = twin(name).agreed
    assert agreed.n == agreed.n_closed == len(parent(name))
    assert (agreed.n_open < agreed.n) == (WORLD[name] == "closed")


@each_set
def test_another_program_finds_the_same_answers(name):
    puzzles = twin(name).puzzles
    found = [verdict(one.context, one.statement, WORLD[name] == "closed") for one in puzzles]
    assert len(puzzles) == N_CONTEXTS * 8
    assert found == [one.answer == 0 for one in puzzles]


@each_set
def test_every_context_and_number_of_steps_holds_the_four_kinds_alike(name):
    kinds = defaultdict(Counter)
    for one in twin(name).puzzles:
        kinds[one.group, one.steps][kind(one)] += 1
    assert all(len(set(counts.values())) == 1 and len(counts) == 4 for counts in kinds.values())


@each_set
def test_neither_the_name_nor_the_word_tells_the_answer(name):
    """Within a context each is asked about as often where it is so as where it is not."""
    by_word = defaultdict(list)
    for one in twin(name).puzzles:
        subject, word = one.statement.split()[0], one.statement.split()[-1]
        for asked in (subject, word):
            by_word[one.group, asked, " not " in one.statement].append(one.answer)
    uneven = [key for key, answers in by_word.items() if sum(answers) * 2 != len(answers)]
    crossed = {group for group, *_ in by_word} - {group for group, *_ in uneven}
    assert len(crossed) >= 0.7 * N_CONTEXTS  # some contexts affirm, or deny, all that they say
    assert not [asked for _, asked, _ in uneven if asked[0].islower()]


def surface_percent(puzzles) -> dict[str, float]:
    counts = surface_accuracy(puzzles).groupby("rule")[["n", "n_right"]].sum()
    return (100 * counts["n_right"] / counts["n"]).to_dict()


@each_set
def test_no_surface_rule_judges_a_twin(name):
    assert max(surface_percent(parent(name)).values()) == 100
    assert all(47 <= percent <= 53 for percent in surface_percent(twin(name).puzzles).values())


@pytest.mark.parametrize("name", [pytest.param(name, marks=with_samples) for name in WORLD])
def test_no_surface_rule_and_no_statement_judges_the_twin_of_a_published_sample(name):
    puzzles = sample_twin(name).puzzles
    assert len(puzzles) >= 2000
    assert all(47 <= percent <= 53 for percent in surface_percent(puzzles).values())
    assert learnt(puzzles) < 0.55


@pytest.mark.parametrize("name", [pytest.param(name, marks=with_samples) for name in WORLD])
def test_another_program_finds_the_same_answers_for_a_published_sample(name):
    made = sample_twin(name)
    assert (made.world, made.left_out) == (WORLD[name], [])
    asked = random.Random(0).sample(made.puzzles, 400)
    found = [verdict(one.context, one.statement, WORLD[name] == "closed") for one in asked]
    assert found == [one.answer == 0 for one in asked]


def learnt(puzzles) -> float:
    """Accuracy of a classifier over the statements' n-grams on contexts that it has not seen.

    `python -m tests.bench.bench_twins` has it read the whole prompts, which takes longer.
    """
    return ngram_answers(*halves([replace(one, context="-") for one in puzzles])).mean()


def halves(puzzles) -> tuple[list[Puzzle], list[Puzzle]]:
    """Two halves that share no context."""
    groups = sorted({one.group for one in puzzles})
    first = set(random.Random(2).sample(groups, len(groups) // 2))
    return (
        [one for one in puzzles if one.group in first],
        [one for one in puzzles if one.group not in first],
    )


@each_set
def test_a_classifier_over_ngrams_learns_the_parent_and_not_the_twin(name):
    assert learnt(twin(name).puzzles) < 0.55
    assert ngram_answers(*halves(twin(name).puzzles)).mean() < 0.55
    if name == "pararule":
        assert learnt(parent(name)) > 0.95


@each_set
def test_group_and_split_are_the_parent_s_and_its_hash_is_named(name):
    split_of = {one.group: one.split for one in parent(name)}
    made = twin(name).puzzles
    assert {one.group: one.split for one in made} == split_of
    assert parent_of(made) == puzzle_set_sha256(parent(name))
    assert len({one.puzzle_id for one in made}) == len(made)


def test_a_closed_world_keeps_the_contexts_as_they_are():
    assert {one.context for one in twin("pararule").puzzles} == {
        one.context for one in parent("pararule")
    }
    assert twin("pararule").n_mirrored == 0


def test_a_mirrored_context_says_each_property_both_ways_and_all_premises_twice():
    made = twin("prontoqa")
    assert made.n_mirrored == made.n_contexts == N_CONTEXTS
    n_premises = {one.group: one.context.count(".") for one in parent("prontoqa")}
    for one in made.puzzles:
        assert one.context.count(".") == 2 * n_premises[one.group]
        word = one.statement.rstrip(".").split()[-1]
        said = re.findall(rf"(not )?{word}\b", one.context)
        assert sorted(said) == ["", "not "]


def test_one_subject_is_mirrored_in_a_closed_world_too():
    alone = one_puzzle(context="Max is big. If someone is big then they are kind.")
    made = balance_puzzles([alone], world="closed", per_context=1)
    assert made.n_mirrored == 1
    assert len({one.statement.split()[0] for one in made.puzzles}) == 2


def test_which_word_stands_in_which_half_does_not_tell_the_halves_apart():
    """The parent's nine names are asked about as often where the parent's property holds as not."""
    rows = [
        (one.statement.split()[0] in one_parent.context, kind(one))
        for one, one_parent in with_parents("prontoqa")
    ]
    told = Counter(is_old == (is_negative != is_true) for is_old, (is_negative, is_true) in rows)
    assert 0.45 < told[True] / len(rows) < 0.55


def with_parents(name: str) -> list[tuple[Puzzle, Puzzle]]:
    parents = {one.group: one for one in parent(name)}
    return [(one, parents[one.group]) for one in twin(name).puzzles]


def test_steps_are_the_parent_s_where_the_context_has_them():
    """Of two crossed words of a chain, each some steps away, only one can be at the parent's."""
    assert all(one.steps == old.steps for one, old in with_parents("pararule"))
    rows = with_parents("prontoqa")
    assert sum(one.steps == old.steps for one, old in rows) >= len(rows) * 0.4


@pytest.mark.parametrize("style", STYLES)
def test_generated_puzzles_are_a_twin_already_and_come_out_as_they_are(style):
    puzzles = generate_puzzles(range(4), (0, 1), 8, seed=3, style=style)
    made = balance_puzzles(puzzles, per_context=1)
    assert (made.world, made.n_mirrored, made.left_out) == ("open", 0, [])

    def told(those):
        return {
            (p.context, p.statement, p.answer, p.steps, p.distractors, p.group, p.split)
            for p in those
        }

    assert told(made.puzzles) == told(puzzles)


def test_the_same_seed_gives_the_same_twin_and_another_seed_another():
    few = parent("pararule")[:80]
    assert balance_puzzles(few, seed=4).puzzles == balance_puzzles(few, seed=4).puzzles
    assert balance_puzzles(few, seed=4).puzzles != balance_puzzles(few, seed=5).puzzles


CONTEXT = "Max is big. Rex is shy. If someone is big then they are kind."


def one_puzzle(**changes) -> Puzzle:
    given = {"context": CONTEXT, "statement": "Max is kind.", "candidates": ("true", "false")}
    given |= {"answer": 0, "steps": 1, "distractors": None, "group": "g", "split": "validation"}
    return Puzzle(puzzle_id="p", **(given | changes))


def test_candidates_keep_their_words_and_order():
    yes = one_puzzle(candidates=("No", "Yes"), answer=1)
    made = balance_puzzles([yes], world="closed", per_context=1).puzzles
    assert [(one.statement, one.candidates[one.answer]) for one in made] == [
        ("Max is kind.", "Yes"),
        ("Max is not kind.", "No"),
        ("Rex is kind.", "No"),
        ("Rex is not kind.", "Yes"),
    ]


def test_what_the_context_states_is_asked_only_where_the_parent_asks_it():
    made = balance_puzzles([one_puzzle()], world="closed", per_context=9).puzzles
    assert {one.steps for one in made} == {1}
    stated = one_puzzle(statement="Max is big.", steps=0)
    assert {one.steps for one in balance_puzzles([stated], world="closed").puzzles} == {0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"context": "Max likes to dance on Mondays."}, 'cannot read "Max likes to dance on Mon'),
        ({"context": CONTEXT + " Max is not kind."}, "contradicts itself about 'max'"),
        ({"candidates": ("cat", "dog")}, "neither true-false nor yes-no"),
        ({"answer": 1}, "p is true as it is read here, while its answer says false"),
        ({"context": "Max is big. Rex is big.", "answer": 1}, "nothing that takes a step to show"),
    ],
)
def test_a_context_that_cannot_be_used_is_listed_with_the_reason(changes, reason):
    broken = replace(one_puzzle(**changes), group="h")
    made = balance_puzzles([one_puzzle(), broken], world="closed")
    (left_out,) = made.left_out
    assert (left_out.puzzle_id, left_out.n_puzzles) == ("p", 1)
    assert reason in left_out.reason
    assert {one.group for one in made.puzzles} == {"g"}
    assert f"  p: {left_out.reason}" in twin_report(made)


def test_where_no_context_can_be_used_one_sentence_says_so_with_counts():
    unread = [one_puzzle(context=f"It rained in {n} towns.", group=str(n)) for n in range(12)]
    with pytest.raises(PuzzleError, match=r"^no twin can be made: none of the 12 contexts \(12 p"):
        balance_puzzles(unread)


def test_a_report_names_ten_contexts_or_all():
    unread = [one_puzzle(context=f"It rained in {n} towns.", group=str(n)) for n in range(12)]
    made = balance_puzzles([one_puzzle(), *unread], world="closed")
    assert twin_report(made)[-1] == "  and 2 more; --list names them all"
    assert sum("cannot read" in line for line in twin_report(made, lists_all=True)) == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"world": "flat"}, "world 'flat' is not known"),
        ({"per_context": 0}, "ask for 1 to 100"),
        ({"per_context": 101}, "ask for 1 to 100"),
        ({"puzzles": []}, "there are no puzzles to balance"),
        ({"puzzles": [one_puzzle(parent="0" * 64)]}, "are a twin already"),
    ],
)
def test_what_cannot_be_balanced_is_refused_in_a_sentence(arguments, words):
    with pytest.raises(PuzzleError, match=words):
        balance_puzzles(**({"puzzles": [one_puzzle()]} | arguments))


def test_puzzles_of_two_parents_are_refused():
    mixed = [one_puzzle(), replace(one_puzzle(parent="0" * 64), puzzle_id="q")]
    with pytest.raises(PuzzleError, match="'q' names another parent than 'p'"):
        parent_of(mixed)


def test_a_proof_by_contradiction_that_is_not_looked_for_is_no_sign_of_a_closed_world():
    context = "Everything that is a cat or a dog is wild. Max is not wild."
    unseen = one_puzzle(context=context, statement="Max is not a cat.", group="h")
    seen = one_puzzle(context="Max is a cat. Rex is a dog. Rex is not big. Every cat is big.")
    seen = replace(seen, statement="Max is big.")
    assert balance_puzzles([seen, unseen]).world == "open"
