"""What would change the answer? Variants of one puzzle, each with its truth worked out anew.

Each variant changes one thing: the statement's sign, one premise less, premises more that nothing
needs, another order, other names. Truth comes from qkcore.puzzles.logic wherever it reads the
English; where it does not, a change that cannot alter the truth keeps the given answer, and any
other leaves it unknown. Knows nothing of models.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qkcore.puzzles.english import ANYTHING, quoted, split
from qkcore.puzzles.generate import STYLES, Premise, Style
from qkcore.puzzles.logic import Solution, parse_puzzle, solve
from qkcore.puzzles.negation import negate
from qkcore.puzzles.puzzle import Puzzle, PuzzleError

KINDS = ("negated", "dropped", "distractors", "shuffled", "renamed")
MAX_ADDED = 5
VERDICT_OF = {"true": True, "yes": True, "false": False, "no": False, "unknown": None}


@dataclass(frozen=True, slots=True)
class Truth:
    """What follows from a puzzle's context, as far as that can be read."""

    answer: int | None  # index into the candidates; None: unknown, or no candidate says it
    solution: Solution | None  # None: the English could not be read
    reason: str  # why there is no solution, in a sentence; else empty

    @property
    def proof(self) -> tuple[str, ...]:
        """The premises that the answer follows from; none where nothing follows, or is read.

        >>> truth("Max is a cat. Rex is red.", "Rex is red.", ("true", "false")).proof
        ('Rex is red.',)
        """
        return self.solution.proof if self.solution else ()


@dataclass(frozen=True, slots=True)
class Variant:
    """A puzzle with one thing changed."""

    kind: str  # of KINDS
    change: str  # what was changed, in words
    puzzle: Puzzle  # its answer is the truth after the change
    premise: int | None = None  # dropped: which one, from 0
    n_added: int | None = None  # distractors: how many


def truth(context: str, statement: str, candidates: Sequence[str]) -> Truth:
    """Work out which candidate is right.

    >>> from qkcore import truth
    >>> found = truth("Max is a cat. Every cat is happy.", "Max is happy.", ("no", "yes"))
    >>> found.answer, found.proof
    (1, ('Max is a cat.', 'Every cat is happy.'))
    """
    try:
        solution = solve(parse_puzzle(context, statement))
    except PuzzleError as error:
        return Truth(None, None, str(error))
    verdicts = [VERDICT_OF.get(candidate.lower(), "none") for candidate in candidates]
    is_said = solution.verdict in verdicts
    return Truth(verdicts.index(solution.verdict) if is_said else None, solution, "")


def variants(
    puzzle: Puzzle, kinds: Sequence[str] = KINDS, *, n_draws: int = 4, seed: int = 0
) -> tuple[list[Variant], list[str]]:
    """All variants of the kinds named, and a sentence for each kind that this puzzle does not have.

    Args:
        puzzle: to change.
        kinds: of `KINDS`.
        n_draws: how many puzzles for each number of distractors, and how many orders of the
            premises.
        seed: of what is drawn.

    >>> from qkcore import typed_puzzle, variants
    >>> one = typed_puzzle("Max is a cat. Every cat is happy.", "Max is happy.", answer=0)
    >>> made, notes = variants(one, ["negated", "dropped"])
    >>> [(variant.kind, variant.puzzle.answer) for variant in made]
    [('negated', 1), ('dropped', None), ('dropped', None)]
    """
    made: list[Variant] = []
    notes: list[str] = []
    ways = {
        "negated": lambda: _negated(puzzle),
        "dropped": lambda: _dropped(puzzle),
        "distractors": lambda: _with_distractors(puzzle, n_draws, seed),
        "shuffled": lambda: _shuffled(puzzle, n_draws, seed),
        "renamed": lambda: _renamed(puzzle),
    }
    for kind in kinds:
        try:
            made += ways[kind]()
        except PuzzleError as error:
            notes.append(str(error))
    return made, notes


def _changed(puzzle: Puzzle, number: str, keeps_truth: bool, **changes: Any) -> Puzzle:
    """The puzzle with other texts, a name of its own, and its truth."""
    changed = replace(puzzle, answer=None, puzzle_id=f"{puzzle.puzzle_id} {number}", **changes)
    found = truth(changed.context, changed.statement, changed.candidates)
    kept = puzzle.answer if keeps_truth else None
    answer = found.answer if found.solution else kept
    return replace(changed, answer=answer)


def _negated(puzzle: Puzzle) -> Iterator[Variant]:
    statement = negate(puzzle.statement)
    found = truth(puzzle.context, statement, puzzle.candidates)
    answer = found.answer
    is_unread = found.solution is None
    if is_unread and puzzle.answer is not None and _are_opposites(puzzle.candidates):
        answer = 1 - puzzle.answer
    name = f"{puzzle.puzzle_id} negated"
    changed = replace(puzzle, puzzle_id=name, statement=statement, answer=answer)
    yield Variant("negated", f"Statement negated: {statement}", changed)


def _are_opposites(candidates: Sequence[str]) -> bool:
    return {VERDICT_OF.get(candidate.lower(), "none") for candidate in candidates} == {True, False}


def _dropped(puzzle: Puzzle) -> Iterator[Variant]:
    premises = split(puzzle.context)
    if len(premises) < 2:
        raise PuzzleError("There is one premise only, so none can be left out.")
    for number, premise in enumerate(premises):
        context = " ".join(premises[:number] + premises[number + 1 :])
        changed = _changed(puzzle, f"without {number}", False, context=context)
        yield Variant(
            "dropped", f"Without premise {number + 1}: {premise}", changed, premise=number
        )


def _with_distractors(puzzle: Puzzle, n_draws: int, seed: int) -> Iterator[Variant]:
    """Each draw adds one distractor after another to what it has."""
    style = _style_of(puzzle)
    for draw in range(n_draws):
        rng = random.Random(f"{seed} {draw} {puzzle.context}")
        premises, added = split(puzzle.context), _distractors(puzzle, style, rng)
        for n_added, sentence in enumerate(added, start=1):
            premises.insert(rng.randint(0, len(premises)), sentence)
            changed = _changed(
                puzzle, f"plus {n_added} draw {draw}", True, context=" ".join(premises)
            )
            words = f"{n_added} distractor{'s' * (n_added > 1)} added, draw {draw + 1}"
            yield Variant("distractors", words, changed, n_added=n_added)


def _style_of(puzzle: Puzzle) -> Style:
    """The style whose words the puzzle uses most; the first of equals."""
    text = puzzle.context.lower()
    return max(STYLES.values(), key=lambda style: sum(noun in text for noun in style.nouns))


def _distractors(puzzle: Puzzle, style: Style, rng: random.Random) -> list[str]:
    """Rules that lead to words that stand nowhere else.

    They lead there from the puzzle's own classes, or from new ones. No rule or statement of the
    puzzle speaks of those words, so nothing that followed before changes.
    """
    text = f"{puzzle.context} {puzzle.statement} {' '.join(puzzle.candidates)}".lower()
    own = [noun for noun in style.nouns if re.search(rf"\b{noun}(es|s)?\b", text)]
    fresh = [word for word in style.nouns + style.adjectives if word not in text]
    rng.shuffle(fresh)
    nouns = [word for word in fresh if word in style.nouns]
    made = []
    for number in range(MAX_ADDED):
        is_own = bool(own) and (number % 2 == 0)
        subject = rng.choice(own) if is_own else nouns.pop()
        word = next(word for word in fresh if word != subject)
        fresh = [one for one in fresh if one not in (word, subject)]
        nouns = [one for one in nouns if one != word]
        is_positive = word in style.nouns or rng.random() < 0.5
        made.append(style.sentence(Premise(subject, word, is_positive), rng))
    return made


def _shuffled(puzzle: Puzzle, n_draws: int, seed: int) -> Iterator[Variant]:
    premises = split(puzzle.context)
    if len(set(premises)) < 2:
        raise PuzzleError("There is one premise only, so there is no other order.")
    rng, seen = random.Random(f"{seed} {puzzle.context}"), {tuple(premises)}
    for _ in range(20 * n_draws):
        order = tuple(rng.sample(premises, len(premises)))
        if order not in seen:
            seen.add(order)
            changed = _changed(puzzle, f"order {len(seen) - 1}", True, context=" ".join(order))
            yield Variant("shuffled", f"Premises in another order, draw {len(seen) - 1}", changed)
        if len(seen) > n_draws:
            return


def _renamed(puzzle: Puzzle) -> Iterator[Variant]:
    names = names_of(puzzle)
    if not names:
        raise PuzzleError(
            f"No name was found in {quoted(puzzle.statement)}, so none can be swapped."
        )
    if len(names) > 1:
        swaps = [{names[0]: names[1], names[1]: names[0]}]
    else:
        text = f"{puzzle.context} {puzzle.statement}"
        new = [name for name in _style_of(puzzle).names if name not in text]
        swaps = [{names[0]: name} for name in new[:2]]
    for swap in swaps:
        changed = _changed(
            puzzle,
            f"as {' '.join(swap.values())}",
            True,
            context=_swapped(puzzle.context, swap),
            statement=_swapped(puzzle.statement, swap),
            candidates=tuple(_swapped(one, swap) for one in puzzle.candidates),
        )
        words = f"{names[0]} is called {swap[names[0]]}"
        if len(names) > 1:
            words = f"{names[0]} and {names[1]} swapped"
        yield Variant("renamed", words, changed)


def _swapped(text: str, names: dict[str, str]) -> str:
    """The text with each of these names in the place of another.

    >>> _swapped("Max is red. Rex is not.", {"Max": "Rex", "Rex": "Max"})
    'Rex is red. Max is not.'
    """
    pattern = r"\b(" + "|".join(map(re.escape, names)) + r")\b"
    return re.sub(pattern, lambda found: names[found[0]], text)


def names_of(puzzle: Puzzle) -> list[str]:
    """Those the puzzle is about, as they are written, the statement's first.

    >>> texts = ("Max is a cat. Rex is red.", "Rex is red.")
    >>> names_of(Puzzle("p", *texts, ("a", "b"), 0, 0, 0, "g", "test"))
    ['Rex', 'Max']
    """
    text = f"{puzzle.statement} {puzzle.context}"
    try:
        theory = parse_puzzle(puzzle.context, puzzle.statement)
    except PuzzleError:
        known = {name.lower() for style in STYLES.values() for name in style.names}
    else:
        formulas = [theory.statement, *(one.conclusion for one in theory.premises)]
        known = {literal.subject for formula in formulas for literal in formula.literals}
        known -= {ANYTHING}
    capitals = re.findall(r"\b[A-Z]\w*", text)
    return list(dict.fromkeys(word for word in capitals if word.lower() in known))
