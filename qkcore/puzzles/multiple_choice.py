"""Multiple-choice puzzles: new ones that no surface rule solves, and the options of any reordered.

A context holds as many chains of rules as there are options, one a name: "Max is a wumpus. Every
wumpus is red." Each name is asked about once, with the same options in the same order but for the
name, so each option is right once: whatever reads the context and the options but not the question,
or the place of an option, is right on one question in as many as there are options. (Where puzzles
are no multiple of options, the last context is cut, and places are as even as can be.) Every option
has as many words as another and stands as often in the context.

Knows nothing of models, letters or prompts. As in arXiv 2410.02343 two options may be added that
are never right; their wording there is inferred from descriptions of the paper.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from qkcore.puzzles.generate import (
    MAX_DISTRACTORS,
    MAX_STEPS,
    STYLES,
    FreshWords,
    Premise,
    Style,
    counts,
)
from qkcore.puzzles.puzzle import Puzzle, PuzzleError

NEVER_RIGHT = ("I don't know.", "None of the above.")
MAX_OPTIONS = 8
MARK = "~"  # between a question's id and the number of an order of its options


def generate_options(
    steps: int | Iterable[int],
    distractors: int | Iterable[int],
    n: int,
    *,
    options: int = 4,
    seed: int = 0,
    style: str = "made-up",
) -> list[Puzzle]:
    """`n` multiple-choice puzzles for each pair of steps and distractors.

    Contexts of even number are validation, odd ones test; the last context of a split is cut where
    `n` asks for it. Of a split's puzzles, of one pair or of all, no place is right more than once
    more often than another.

    Args:
        steps: rule applications needed to reach the answer, 1 to 6. With 0 the right option would
            stand in the context, word for word.
        distractors: rules between words that occur nowhere else, 0 to 5.
        n: puzzles of each pair, 1 or more.
        options: of each puzzle, 2 to 8, one of them right.
        seed: of all that is drawn.
        style: "made-up" or "everyday" words.

    Raises:
        PuzzleError: when an argument is out of its range, or a style has too few words.

    >>> from qkcore import generate_options
    >>> one, *_ = generate_options(steps=1, distractors=0, n=2, options=2)
    >>> one.context
    'All lorpuses are angry. Nora is a lorpus. Chorpuses are melodic. Wren is a chorpus.'
    >>> one.statement, one.candidates, one.answer
    ('Which of these is true of Nora?', ('Nora is melodic.', 'Nora is angry.'), 1)
    """
    if style not in STYLES:
        raise PuzzleError(
            f"style {style!r} is not known; the styles are {', '.join(map(repr, STYLES))}"
        )
    for name, value, least, most in (("options", options, 2, MAX_OPTIONS), ("n", n, 1, None)):
        if value < least or (most is not None and value > most):
            up_to = f"{least} or more" if most is None else f"{least} to {most}"
            raise PuzzleError(f"{name} is {value}; ask for {up_to}")
    all_steps = counts("steps", steps, MAX_STEPS)
    if 0 in all_steps:
        raise PuzzleError("steps is 0; with options ask for 1 or more, else one is a premise")
    right = {split: Counter[int]() for split in ("validation", "test")}
    return [
        puzzle
        for n_steps in all_steps
        for n_distractors in counts("distractors", distractors, MAX_DISTRACTORS)
        for puzzle in _cell(STYLES[style], n_steps, n_distractors, n, options, seed, right)
    ]


def _cell(
    style: Style,
    steps: int,
    distractors: int,
    n: int,
    options: int,
    seed: int,
    right: dict[str, Counter[int]],
) -> Iterator[Puzzle]:
    """The puzzles of one pair of steps and distractors.

    Counts in `right`, by split, how often each place was right; a context that is cut asks about
    those that were so least.
    """
    left = {"validation": n // 2, "test": n - n // 2}
    number = 0
    while any(left.values()):
        split = "test" if number % 2 else "validation"
        rng = random.Random(f"options {seed} {style.name} {options} {steps} {distractors} {number}")
        group = f"{style.name}-o{options}-s{steps}-d{distractors}-{number:05d}"
        premises, names, goals = _premises(rng, style, steps, distractors, options)
        context = " ".join(style.sentence(premise, rng) for premise in premises)
        shown = rng.sample(goals, options)
        drawn = rng.sample(range(options), options)  # which of several is asked is chance
        place = [shown.index(goal) for goal in goals]
        drawn.sort(key=lambda index: right[split][place[index]])
        asked = sorted(drawn[: left[split]])
        right[split].update(place[index] for index in asked)
        for index in asked:
            yield Puzzle(
                puzzle_id=f"{group}-{'abcdefgh'[index]}",
                context=context,
                statement=f"Which of these is true of {names[index]}?",
                candidates=tuple(
                    style.sentence(Premise(names[index], goal), rng) for goal in shown
                ),
                answer=place[index],
                steps=steps,
                distractors=distractors,
                group=group,
                split=split,
            )
        left[split] -= len(asked)
        number += 1


def _premises(
    rng: random.Random, style: Style, steps: int, distractors: int, options: int
) -> tuple[list[Premise], list[str], list[str]]:
    """A shuffled context, its names, and what follows of each: one adjective."""
    n_classes = steps * options + distractors
    if n_classes > len(style.nouns):
        raise PuzzleError(
            f"{options} options at {steps} steps with {distractors} distractors need {n_classes} "
            f"words for classes, style {style.name!r} has {len(style.nouns)}; ask for fewer"
        )
    words = FreshWords(rng, style)
    names = [words.name() for _ in range(options)]
    goals = [words.adjective() for _ in range(options)]
    premises = []
    for name, goal in zip(names, goals, strict=True):
        chain = [name, *(words.noun() for _ in range(steps)), goal]
        premises += [Premise(subject, word) for subject, word in pairwise(chain)]
    premises += [Premise(words.noun(), words.adjective()) for _ in range(distractors)]
    rng.shuffle(premises)
    return premises, names, goals


def with_never_right(puzzles: Sequence[Puzzle]) -> list[Puzzle]:
    """The same puzzles with the two options that are never right behind their own.

    Raises:
        PuzzleError: naming a puzzle that has one of them already.

    >>> from qkcore import generate_options, with_never_right
    >>> with_never_right(generate_options(1, 0, n=1, options=2))[0].candidates[2:]
    ("I don't know.", 'None of the above.')
    """
    for puzzle in puzzles:
        if set(NEVER_RIGHT) & set(puzzle.candidates):
            raise PuzzleError(
                f"puzzle {puzzle.puzzle_id!r} has an option that is never right already"
            )
    return [replace(one, candidates=one.candidates + NEVER_RIGHT) for one in puzzles]


def in_orders(puzzles: Sequence[Puzzle], orders: int | None = None) -> list[Puzzle]:
    """Each puzzle once for each of so many cyclic orders of its options, of one group.

    The first is the order that it has; in each further one all options move up by one place, and
    the first goes to the end. Options that are never right stay last. Of fewer orders than there
    are, each puzzle has those that make each place right as often as another: of a split's puzzles
    with as many options, no place is right more than once more often.

    Args:
        puzzles: with options of any number.
        orders: how many of each; by default all that there are.

    Raises:
        PuzzleError: when a puzzle has fewer orders, or is one of several already.

    >>> from qkcore import generate_options, in_orders, with_never_right
    >>> puzzles = with_never_right(generate_options(1, 0, n=1, options=2))
    >>> [(one.puzzle_id[-2:], one.answer) for one in in_orders(puzzles)]
    [('~0', 1), ('~1', 0)]
    """
    found: list[Puzzle] = []
    right: dict[tuple[str, int], Counter[int]] = {}  # by split and number of options
    for puzzle in puzzles:
        if question_of(puzzle.puzzle_id) is not None:
            raise PuzzleError(f"puzzle {puzzle.puzzle_id!r} is one of several orders already")
        n_moved = len(puzzle.candidates)
        while n_moved and puzzle.candidates[n_moved - 1] in NEVER_RIGHT:
            n_moved -= 1
        wanted = n_moved if orders is None else orders
        if not 2 <= wanted <= n_moved:
            raise PuzzleError(
                f"puzzle {puzzle.puzzle_id!r}: {wanted} orders of {n_moved} options that can be "
                f"right; there are {n_moved}, ask for 2 or more of them"
            )
        every = [_moved(puzzle, by, n_moved) for by in range(n_moved)]
        if puzzle.answer is not None:
            counted = right.setdefault((puzzle.split, n_moved), Counter())
            least = sorted(range(n_moved), key=lambda by: counted[every[by].answer or 0])
            every = [every[by] for by in sorted(least[:wanted])]
            counted.update(one.answer or 0 for one in every)
        found += every[:wanted]
    return found


def _moved(puzzle: Puzzle, by: int, n_moved: int) -> Puzzle:
    """A puzzle whose first `n_moved` options have moved up by so many places."""
    places = [*((place + by) % n_moved for place in range(n_moved))]
    places += range(n_moved, len(puzzle.candidates))
    return replace(
        puzzle,
        puzzle_id=f"{puzzle.puzzle_id}{MARK}{by}",
        candidates=tuple(puzzle.candidates[place] for place in places),
        answer=None if puzzle.answer is None else places.index(puzzle.answer),
    )


def question_of(puzzle_id: str) -> str | None:
    """The question whose options a puzzle has in one of several orders; None for any other puzzle.

    >>> question_of("made-up-o4-s1-d0-00000-a~3"), question_of("line-7")
    ('made-up-o4-s1-d0-00000-a', None)
    """
    question, mark, number = puzzle_id.rpartition(MARK)
    return question if mark and number.isdecimal() else None
