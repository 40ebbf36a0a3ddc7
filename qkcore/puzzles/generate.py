"""New puzzles with known steps and distractors, built so that no surface rule can solve them.

A context holds two entities with mirrored chains of rules of the same length: one chain ends in "is
P", the other in "is not P". All premises are shuffled. Its four statements (each entity, P and not
P) share one group, with the answers true, false, false, true: whatever a rule reads from the
context, the property or the polarity alone, it is right on two of the four. Distractors come in
pairs, one on each chain at the same place, so that every word is as frequent in one chain as in the
other; an odd one stands off both chains.

Knows nothing of models. Does not solve: the labels follow from the construction, and tests confirm
them.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from qkcore.puzzles.puzzle import Puzzle, PuzzleError

MAX_STEPS = 6
MAX_DISTRACTORS = 5
CANDIDATES = ("true", "false")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The names, classes and adjectives of PrOntoQA first, then more of the same kinds.
MADE_UP_NAMES = _words(
    """
    Alex Fae Max Polly Rex Sally Sam Stella Wren Ada Ben Cleo Dora Eli Finn Gus Hugo Ivy Jack Lena
    Milo Nora Otto Ruth
    """
)
MADE_UP_NOUNS = _words(
    """
    brimpus dumpus gorpus grimpus impus jompus lempus lorpus numpus rompus shumpus sterpus tumpus
    vumpus wumpus yumpus zumpus bompus chorpus felpus fompus gerpus hilpus jelpus kerpus rempus
    storpus terpus timpus worpus yimpus
    """
)
MADE_UP_ADJECTIVES = _words(
    """
    aggressive amenable angry bitter blue bright brown cold discordant dull earthy fast feisty
    floral fruity happy hot kind large liquid loud luminous mean melodic metallic moderate muffled
    nervous opaque orange overcast rainy red shy slow small snowy sour spicy sunny sweet temperate
    transparent windy wooden
    """
)
EVERYDAY_NAMES = _words(
    """
    Alice Anne Bob Carol Charlie Dave Emma Erin Fiona Frank Gary Grace Harry Henry Iris James Kate
    Leo Maria Nina Oscar Paul Rosa Tom
    """
)
EVERYDAY_NOUNS = _words(
    """
    actor artist baker barber builder butcher captain cook dancer doctor driver farmer gardener
    guard hunter judge lawyer miner nurse painter pilot player poet sailor singer soldier tailor
    teacher waiter writer
    """
)
EVERYDAY_ADJECTIVES = _words(
    """
    big brave bold calm clever cruel eager fair famous funny gentle greedy honest humble jolly kind
    lazy loyal nice noble patient polite poor proud quiet rich rough rude sad short silent smart
    strong tall tidy tired weak wealthy wise young
    """
)


@dataclass(frozen=True, slots=True)
class Premise:
    """One fact (the subject is a name) or rule (the subject is a class), not yet in words."""

    subject: str
    word: str
    is_positive: bool = True


@dataclass(frozen=True, slots=True)
class Style:
    """The words and sentence forms of one surface style."""

    name: str
    names: tuple[str, ...]
    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    rule_forms: tuple[str, ...]  # with {subject} or {subjects}, and {predicate}
    has_adjective_nodes: bool  # may a class inside a chain be an adjective?

    def sentence(self, premise: Premise, rng: random.Random) -> str:
        """The premise in words; a rule takes one of the style's forms at random.

        >>> STYLES["made-up"].sentence(Premise("Max", "impus"), random.Random(0))
        'Max is an impus.'
        >>> STYLES["everyday"].sentence(Premise("baker", "kind", False), random.Random(0))
        'If someone is a baker then they are not kind.'
        """
        if premise.subject in self.names:
            return f"{premise.subject} is {self._predicate(premise.word, premise.is_positive)}."
        form = rng.choice(self.rule_forms)
        if "{subjects}" in form:
            predicate = premise.word + ("es" if premise.word in self.nouns else "")
            text = form.format(
                subjects=premise.subject + "es",
                predicate=predicate if premise.is_positive else f"not {predicate}",
            )
        else:
            text = form.format(
                subject=premise.subject,
                a_subject=self._predicate(premise.subject),
                predicate=self._predicate(premise.word, premise.is_positive),
            )
        return text[0].upper() + text[1:]

    def _predicate(self, word: str, is_positive: bool = True) -> str:
        article = "" if word not in self.nouns else "an " if word[0] in "aeiou" else "a "
        return f"{'' if is_positive else 'not '}{article}{word}"


STYLES = {
    style.name: style
    for style in (
        Style(
            "made-up",
            MADE_UP_NAMES,
            MADE_UP_NOUNS,
            MADE_UP_ADJECTIVES,
            (
                "every {subject} is {predicate}.",
                "each {subject} is {predicate}.",
                "all {subjects} are {predicate}.",
                "{subjects} are {predicate}.",
            ),
            has_adjective_nodes=False,
        ),
        Style(
            "everyday",
            EVERYDAY_NAMES,
            EVERYDAY_NOUNS,
            EVERYDAY_ADJECTIVES,
            ("if someone is {a_subject} then they are {predicate}.",),
            has_adjective_nodes=True,
        ),
    )
}


def generate_puzzles(
    steps: int | Iterable[int],
    distractors: int | Iterable[int],
    n: int,
    seed: int = 0,
    style: str = "made-up",
) -> list[Puzzle]:
    """`n` puzzles for each pair of steps and distractors, half of them validation, half test.

    Four statements share a context and a group; the last context of a split is cut where `n` asks
    for it. An odd one goes to test. A context depends on seed, style, steps, distractors and its
    number only: asking for more puzzles, or for other pairs, leaves it as it was.

    Args:
        steps: rule applications needed to reach the answer, 0 (the statement repeats or denies a
            premise) to 6.
        distractors: premises that no statement of the group needs, 0 to 5. The chains of the two
            entities are not counted, though a statement needs one of them only.
        n: puzzles of each pair, 1 or more.
        seed: of all that is drawn.
        style: "made-up" or "everyday" words.

    Raises:
        PuzzleError: when an argument is out of its range.

    >>> from qkcore import generate_puzzles
    >>> puzzles = generate_puzzles(steps=range(1, 3), distractors=0, n=4)
    >>> len(puzzles), puzzles[0].puzzle_id
    (8, 'made-up-s1-d0-00000-b')
    >>> puzzles[0].context
    'Ben is a storpus. Eli is a yumpus. Every storpus is not blue. Each yumpus is blue.'
    >>> puzzles[0].statement, puzzles[0].candidates[puzzles[0].answer]
    ('Eli is not blue.', 'false')
    """
    all_steps = counts("steps", steps, MAX_STEPS)
    all_distractors = counts("distractors", distractors, MAX_DISTRACTORS)
    if not _is_whole(n) or n < 1:
        raise PuzzleError(f"n is {n!r}; ask for a whole number of puzzles, 1 or more")
    if not _is_whole(seed):
        raise PuzzleError(f"seed is {seed!r}; it must be a whole number")
    if style not in STYLES:
        raise PuzzleError(
            f"style {style!r} is not known; the styles are {', '.join(map(repr, STYLES))}"
        )
    return [
        puzzle
        for n_steps in all_steps
        for n_distractors in all_distractors
        for puzzle in _cell(STYLES[style], n_steps, n_distractors, n, seed)
    ]


def _cell(style: Style, steps: int, distractors: int, n: int, seed: int) -> Iterator[Puzzle]:
    """The puzzles of one pair of steps and distractors.

    Contexts of even number are validation, odd ones test.
    """
    left = {"validation": n // 2, "test": n - n // 2}
    number = 0
    while any(left.values()):
        split = "test" if number % 2 else "validation"
        rng = random.Random(f"{seed} {style.name} {steps} {distractors} {number}")
        group = f"{style.name}-s{steps}-d{distractors}-{number:05d}"
        premises, statements = mirrored_premises(rng, style, steps, distractors)
        context = " ".join(style.sentence(premise, rng) for premise in premises)
        for index in _kept(rng, left[split]):
            yield Puzzle(
                puzzle_id=f"{group}-{'abcd'[index]}",
                context=context,
                statement=style.sentence(statements[index], rng),
                candidates=CANDIDATES,
                answer=(0, 1, 1, 0)[index],
                steps=steps,
                distractors=distractors,
                group=group,
                split=split,
            )
        left[split] -= min(4, left[split])
        number += 1


def _kept(rng: random.Random, n_left: int) -> list[int]:
    """Which of a context's four statements to keep when only `n_left` are wanted.

    Two keep the polarity and differ in the entity: one true, one false, and reading the polarity
    does not tell which.

    >>> _kept(random.Random(0), 7), _kept(random.Random(0), 2) in ([0, 2], [1, 3])
    ([0, 1, 2, 3], True)
    """
    if n_left == 2:
        return rng.choice([[0, 2], [1, 3]])
    return sorted(rng.sample(range(4), min(4, n_left)))


def mirrored_premises(
    rng: random.Random, style: Style, steps: int, distractors: int
) -> tuple[list[Premise], list[Premise]]:
    """One context and its four statements, whose answers are true, false, false, true.

    The premises are shuffled; the statements are the two ends of the chains, each followed or
    preceded by its denial.
    """
    words = FreshWords(rng, style)
    goal = words.adjective()
    chains = ([words.name()], [words.name()])
    for _ in range(steps):
        for chain, word in zip(chains, words.alike(), strict=True):
            chain.append(word)
    premises = []
    for chain, is_positive in zip(chains, (True, False), strict=True):
        premises += [Premise(subject, word) for subject, word in pairwise(chain)]
        premises.append(Premise(chain[-1], goal, is_positive))
    for _ in range(distractors // 2):
        premises += _distractor_pair(rng, words, chains)
    if distractors % 2:
        premises.append(_lone_distractor(rng, words))
    rng.shuffle(premises)
    return premises, [
        Premise(chain[0], goal, is_positive) for chain in chains for is_positive in (True, False)
    ]


def _distractor_pair(
    rng: random.Random, words: "FreshWords", chains: tuple[list[str], list[str]]
) -> list[Premise]:
    """The same dead end on both chains.

    To a new class, to an adjective and its denial, or in from a new class.
    """
    place = rng.randrange(len(chains[0]))
    kind = rng.choice(("class", "adjective") if place == 0 else ("class", "adjective", "into"))
    if kind == "adjective":
        word, is_positive = words.adjective(), rng.random() < 0.5
        return [
            Premise(chains[0][place], word, is_positive),
            Premise(chains[1][place], word, not is_positive),
        ]
    pairs = zip(chains, words.alike(), strict=True)
    return [
        Premise(chain[place], word) if kind == "class" else Premise(word, chain[place])
        for chain, word in pairs
    ]


def _lone_distractor(rng: random.Random, words: "FreshWords") -> Premise:
    """A rule between words that occur nowhere else."""
    if rng.random() < 0.5:
        return Premise(*words.alike())
    return Premise(words.noun(), words.adjective(), rng.random() < 0.5)


class FreshWords:
    """Hands out a style's words in random order, each once."""

    def __init__(self, rng: random.Random, style: Style) -> None:
        self._rng = rng
        self._has_adjective_nodes = style.has_adjective_nodes
        self._names, self._nouns, self._adjectives = (
            rng.sample(words, len(words)) for words in (style.names, style.nouns, style.adjectives)
        )

    def name(self) -> str:
        """A name."""
        return self._names.pop()

    def noun(self) -> str:
        """A class."""
        return self._nouns.pop()

    def adjective(self) -> str:
        """A property."""
        return self._adjectives.pop()

    def alike(self) -> tuple[str, str]:
        """Two class words of the same kind, one for each chain."""
        is_adjective = self._has_adjective_nodes and self._rng.random() < 0.5
        take = self.adjective if is_adjective else self.noun
        return take(), take()


def counts(name: str, value: int | Iterable[int], highest: int) -> list[int]:
    """The distinct numbers asked for, in the order given.

    >>> counts("steps", range(1, 4), 6), counts("steps", 2, 6)
    ([1, 2, 3], [2])
    """
    given: Iterable[object] = [value]
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        given = dict.fromkeys(value)
    numbers = []
    for number in given:
        if not _is_whole(number) or not 0 <= number <= highest:
            raise PuzzleError(
                f"{name} is {number!r}; it must be a whole number from 0 to {highest}"
            )
        numbers.append(number)
    if not numbers:
        raise PuzzleError(f"{name} is empty; give at least one number from 0 to {highest}")
    return numbers


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
