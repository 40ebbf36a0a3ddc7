"""Claims about generated puzzles that can be checked by hand.

And an independent reader that confirms every label.
"""

import re
from collections import Counter, defaultdict

import pytest

from qkcore.puzzles.generate import STYLES, generate_puzzles
from qkcore.puzzles.puzzle import Puzzle, PuzzleError

CELLS = [
    (style, steps, distractors)
    for style in STYLES
    for steps in range(7)
    for distractors in range(6)
]


def singular(word: str) -> str:
    """The class a word of a generated sentence stands for.

    >>> singular("Wumpuses"), singular("kind")
    ('wumpus', 'kind')
    """
    return re.sub(r"puses$", "pus", word.lower())


def read(sentence: str) -> tuple[str, str, bool]:
    """(subject, predicate, is_positive) of a generated sentence; a name keeps its capital.

    >>> read("All wumpuses are not cold."), read("Max is an impus.")
    (('wumpus', 'cold', False), ('Max', 'impus', True))
    >>> read("If someone is a baker then they are kind.")
    ('baker', 'kind', True)
    """
    rule = re.fullmatch(
        r"(?:If someone is|Every|Each|All)(?: an?)? (\w+) "
        r"(?:is|are|then they are)( not)?(?: an?)? (\w+)\.",
        sentence,
    ) or re.fullmatch(r"(\w+uses) are( not)? (\w+)\.", sentence)
    if rule:
        return singular(rule[1]), singular(rule[3]), rule[2] is None
    fact = re.fullmatch(r"(\w+) is( not)?(?: an?)? (\w+)\.", sentence)
    assert fact, sentence
    return fact[1], fact[3], fact[2] is None


def premises(puzzle: Puzzle) -> list[tuple[str, str, bool]]:
    return [
        read(sentence)
        for sentence in re.findall(
            r"[^.]+\.", puzzle.context.replace(". ", ".\n").replace("\n", "")
        )
    ]


def derivation(puzzle: Puzzle) -> tuple[bool, list[int]]:
    """Forward chaining from the statement's entity.

    Is the statement true, and which premises were used, in order.
    """
    entity, wanted, wanted_positive = read(puzzle.statement)
    paths = {entity: []}
    frontier = [entity]
    while frontier:
        node = frontier.pop()
        for number, (subject, word, is_positive) in enumerate(premises(puzzle)):
            if subject != node:
                continue
            if word == wanted:
                return is_positive == wanted_positive, [*paths[node], number]
            if is_positive:
                assert word not in paths, "two ways to one class"
                paths[word] = [*paths[node], number]
                frontier.append(word)
    raise AssertionError(
        f"neither {puzzle.statement!r} nor its denial follows from {puzzle.context!r}"
    )


@pytest.mark.parametrize(("style", "steps", "distractors"), CELLS)
def test_forward_chaining_confirms_answer_steps_and_distractors(style, steps, distractors):
    needed_by_group, puzzles = (
        defaultdict(set),
        generate_puzzles(steps, distractors, 40, seed=5, style=style),
    )
    for puzzle in puzzles:
        is_true, used = derivation(puzzle)
        assert puzzle.candidates[puzzle.answer] == ("true" if is_true else "false")
        # The first premise used is the fact, every other one a rule
        assert len(used) - 1 == puzzle.steps == steps
        needed_by_group[puzzle.group].update(used)
    for puzzle in puzzles:
        assert (
            len(premises(puzzle)) - len(needed_by_group[puzzle.group])
            == puzzle.distractors
            == distractors
        )


def test_a_group_is_one_context_with_the_answers_true_false_false_true():
    puzzles = generate_puzzles(2, 3, 16, seed=0)
    for i in range(0, 16, 4):
        group = puzzles[i : i + 4]
        assert len({(p.group, p.context, p.split) for p in group}) == 1
        assert [p.candidates[p.answer] for p in group] == ["true", "false", "false", "true"]
        assert [p.puzzle_id[-1] for p in group] == list("abcd")
        assert [" not " in p.statement for p in group] == [False, True, False, True]


def test_half_of_a_cell_is_validation_and_half_is_test_and_ids_are_unique():
    puzzles = generate_puzzles(range(7), range(6), 100, seed=3)
    assert len({p.puzzle_id for p in puzzles}) == len(puzzles) == 4200
    assert set(Counter((p.steps, p.distractors, p.split) for p in puzzles).values()) == {50}
    assert Counter(p.answer for p in puzzles) == {0: 2100, 1: 2100}
    assert puzzles[0].puzzle_id == "made-up-s0-d0-00000-a"


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 10, 101])
def test_any_number_of_puzzles_can_be_asked_for(n):
    puzzles = generate_puzzles(1, 1, n, seed=0)
    assert Counter(p.split for p in puzzles) == Counter(validation=n // 2, test=n - n // 2)


def test_a_context_depends_on_the_seed_and_its_cell_and_on_nothing_else():
    few, many = generate_puzzles(2, 2, 16, seed=1), generate_puzzles(range(4), range(3), 32, seed=1)
    assert few == [
        p
        for p in many
        if (p.steps, p.distractors) == (2, 2) and int(p.puzzle_id.split("-")[-2]) < 4
    ]
    assert not {p.context for p in few} & {p.context for p in generate_puzzles(2, 2, 400, seed=2)}


@pytest.mark.parametrize("style", STYLES)
def test_every_class_has_its_mirror_in_the_other_chain(style):
    """Walk both chains at once.

    At each place both nodes occur equally often, and so do the two entities.
    """
    for puzzle in generate_puzzles([0, 1, 3, 6], [0, 1, 2, 5], 40, seed=7, style=style):
        if not puzzle.puzzle_id.endswith("a"):
            continue
        theory = premises(puzzle)
        other = Puzzle(
            **{f: getattr(puzzle, f) for f in Puzzle.__slots__}
            | {"statement": mirrored(puzzle, theory)}
        )
        (_, mine), (_, its) = derivation(puzzle), derivation(other)
        counts = Counter(word for subject, word, _ in theory for word in (subject, word))
        for i, j in zip(mine, its, strict=True):
            assert counts[theory[i][0]] == counts[theory[j][0]]


def mirrored(puzzle: Puzzle, theory: list[tuple[str, str, bool]]) -> str:
    """The same statement about the other entity."""
    entity = puzzle.statement.split()[0]
    (other,) = {subject for subject, _, _ in theory if subject[0].isupper()} - {entity}
    return puzzle.statement.replace(entity, other)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("steps", range(7))
def test_no_surface_rule_beats_chance(style, steps):
    puzzles = generate_puzzles(steps, range(6), 400, seed=11, style=style)
    rules = {
        "the statement has no not": lambda p: " not " not in p.statement,
        "the phrase occurs": lambda p: p.statement.split(" ", 1)[1] in p.context,
        "the last mention of the property has the same polarity": lambda p: (
            last_polarity(p) == read(p.statement)[2]
        ),
    }
    shares = {
        name: sum(rule(p) == (p.answer == 0) for p in puzzles) / len(puzzles)
        for name, rule in rules.items()
    }
    # Exactly: each answers two of a context's four statements right
    assert set(shares.values()) == {0.5}, shares
    near = sum(near_polarity(p) == (p.answer == 0) for p in puzzles) / len(puzzles)
    long = sum((len(p.statement) > 15) == (p.answer == 0) for p in puzzles) / len(puzzles)
    assert abs(long - 0.5) < 0.03
    if steps:  # with 0 steps the nearest premise is the statement itself, or its denial
        assert abs(near - 0.5) < 0.03


def last_polarity(puzzle: Puzzle) -> bool:
    wanted = read(puzzle.statement)[1]
    return [is_positive for _, word, is_positive in premises(puzzle) if word == wanted][-1]


def near_polarity(puzzle: Puzzle) -> bool:
    """Believe the property's premise that stands nearest to the entity's last mention."""
    entity, wanted, wanted_positive = read(puzzle.statement)
    theory = premises(puzzle)
    place = max(i for i, (subject, _, _) in enumerate(theory) if subject == entity)
    nearest = min(
        (abs(i - place), is_positive)
        for i, (_, word, is_positive) in enumerate(theory)
        if word == wanted
    )
    return nearest[1] == wanted_positive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 7}, "steps is 7; it must be a whole number from 0 to 6"),
        ({"steps": [1, -1]}, "steps is -1"),
        ({"steps": "1"}, "steps is '1'"),
        ({"steps": []}, "steps is empty"),
        ({"distractors": 6}, "distractors is 6; it must be a whole number from 0 to 5"),
        ({"distractors": True}, "distractors is True"),
        ({"n": 0}, "n is 0; ask for a whole number of puzzles, 1 or more"),
        ({"seed": 0.5}, "seed is 0.5; it must be a whole number"),
        ({"style": "poetic"}, "style 'poetic' is not known; the styles are 'made-up', 'everyday'"),
    ],
)
def test_arguments_out_of_range_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(PuzzleError, match=re.escape(message)):
        generate_puzzles(**{"steps": 1, "distractors": 0, "n": 4, "seed": 0} | arguments)


def test_importing_the_generator_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, qkcore.puzzles.generate; print({'torch', 'pandas', 'transformers'} & "
        "set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        == "set()"
    )
