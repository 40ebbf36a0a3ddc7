"""Puzzles in the shape of two published sets, and a forward chainer that knows only those shapes.

The chainer shares no code with qkcore: it reads by a few patterns and applies every rule to every
name until nothing new comes. Answers found by both are right unless two very different programs are
wrong alike.
"""

import random
import re
from itertools import pairwise

from qkcore.puzzles.generate import (
    EVERYDAY_ADJECTIVES,
    EVERYDAY_NAMES,
    MADE_UP_ADJECTIVES,
    MADE_UP_NAMES,
    MADE_UP_NOUNS,
)
from qkcore.puzzles.puzzle import Puzzle, assign_splits, context_group

SAID = r"(?P<no>not )?(?:an? )?(?P<word>\w+)"
FACT = re.compile(rf"(?:The )?(?P<who>[\w ]+?) is {SAID}")
RELATION = re.compile(r"(?:The )?(?P<who>[\w ]+?) (?P<verb>\w+s) (?:the )?(?P<whom>[\w ]+)")
CONDITIONAL = re.compile(r"If (?:someone|something) (?P<if>.+) then (?:they|it) (?P<then>.+)")
KIND = re.compile(r"(?:All )?(?P<kind>\w+) (?:people|animals) are (?P<word>\w+)")
CLASS = re.compile(rf"(?:Every|Each) (?P<kind>\w+) is {SAID}")
CLASSES = re.compile(rf"(?P<kind>\w+) are {SAID}")


def pararule_shaped(n_contexts: int, seed: int = 0) -> list[Puzzle]:
    """Four people, chains of rules, some with "not"; what can be shown (true) and its denial."""
    rng = random.Random(seed)
    puzzles = []
    for _ in range(n_contexts):
        names = rng.sample(EVERYDAY_NAMES, 4)
        words = iter(rng.sample(EVERYDAY_ADJECTIVES, 20))
        facts, rules, ends = [], [], []
        for number, name in enumerate(names):
            one, two, three, end = (next(words) for _ in range(4))
            facts += [f"{name} is {one}.", f"{name} is {two}."]
            condition = f"{two} and not {ends[0][1]}" if number == 3 else f"{one} and {two}"
            rules += [
                f"If someone is {condition} then they are {three}.",
                f"All {three} people are {end}.",
            ]
            ends.append((name, end))
        context = " ".join(facts + rng.sample(rules, len(rules)))
        for name, end in ends:
            for answer, sign in enumerate(("", "not ")):
                puzzles.append(puzzle(context, f"{name} is {sign}{end}.", answer, 2, len(puzzles)))
    return assign_splits(puzzles, seed)


def prontoqa_shaped(n_contexts: int, seed: int = 0) -> list[Puzzle]:
    """One name in a chain of classes, each with a property; a property (true) and its denial."""
    rng = random.Random(seed)
    puzzles = []
    for _ in range(n_contexts):
        classes = rng.sample(MADE_UP_NOUNS[:17], 6)
        properties = [
            f"{rng.choice(('', 'not '))}{word}" for word in rng.sample(MADE_UP_ADJECTIVES, 6)
        ]
        rules = [f"Every {one} is {word}." for one, word in zip(classes, properties, strict=True)]
        for one, two in pairwise(classes):
            rules.append(rng.choice((f"Each {one} is {a(two)}.", f"{one.title()}es are {two}es.")))
        name = rng.choice(MADE_UP_NAMES[:9])
        context = " ".join([*rng.sample(rules, len(rules)), f"{name} is {a(classes[1])}."])
        steps = rng.randint(1, 4)
        said = properties[steps]
        denied = said.removeprefix("not ") if said.startswith("not ") else f"not {said}"
        for answer, text in enumerate((said, denied)):
            puzzles.append(puzzle(context, f"{name} is {text}.", answer, steps, len(puzzles)))
    return assign_splits(puzzles, seed)


def puzzle(context: str, statement: str, answer: int, steps: int, number: int) -> Puzzle:
    group = context_group(context)
    candidates = ("true", "false")
    return Puzzle(f"p{number}", context, statement, candidates, answer, steps, None, group, "test")


def a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def chained(context: str, closed_world: bool) -> set[tuple[str, str, bool]]:
    """All that follows: (name, word, is it so?), the word singular and both in lower case.

    >>> sorted(chained("Max is a cat. Every cat is not red.", False))
    [('max', 'cat', True), ('max', 'red', False)]
    """
    facts, rules = set(), []
    for text in re.split(r"(?<=\.)\s+", context.strip()):
        sentence = text.removesuffix(".")
        if found := CONDITIONAL.fullmatch(sentence):
            needs = [clause(part) for part in found["if"].split(" and ")]
            rules.append((needs, *clause(found["then"])))
        elif found := CLASS.fullmatch(sentence) or KIND.fullmatch(sentence):
            is_not = bool(found.groupdict().get("no"))
            rules.append(([(stem(found["kind"]), True)], stem(found["word"]), not is_not))
        elif found := CLASSES.fullmatch(sentence):
            rules.append(([(stem(found["kind"]), True)], stem(found["word"]), not found["no"]))
        elif found := FACT.fullmatch(sentence):
            facts.add((found["who"].lower(), stem(found["word"]), not found["no"]))
        elif found := RELATION.fullmatch(sentence):
            facts.add((found["who"].lower(), f"{found['verb']} {found['whom'].lower()}", True))
        else:
            raise AssertionError(f"the test cannot read {sentence!r}")
    return closure(facts, rules, closed_world)


def closure(stated: set, rules: list, closed_world: bool) -> set[tuple[str, str, bool]]:
    known, before = set(stated), 0
    names = {who for who, *_ in stated}
    while len(known) > before:
        before = len(known)
        for needs, word, is_so in rules:
            for who in names:
                by_absence = {
                    (who, need, False)
                    for need, _ in needs
                    if closed_world and (who, need, True) not in stated
                }
                if all((who, *need) in known | by_absence for need in needs):
                    known.add((who, word, is_so))
    return known


def clause(text: str) -> tuple[str, bool]:
    """(word, is it so?) of "is not red", "are red", "red" or "chases the mouse"."""
    text = re.sub(r"^(is|are) ", "", text)
    word = text.removeprefix("not ")
    return re.sub(r"^an? | the", "", word).lower(), word == text


def stem(word: str) -> str:
    return re.sub(r"(?<=us)es$", "", word.lower())


def verdict(context: str, statement: str, closed_world: bool) -> bool | None:
    """Is the statement "X is [not] Y" true, by the chainer?"""
    found = FACT.fullmatch(statement.removesuffix("."))
    who, word, is_so = found["who"].lower(), stem(found["word"]), not found["no"]
    known = chained(context, closed_world)
    if (who, word, is_so) in known or (who, word, not is_so) in known:
        return (who, word, is_so) in known
    return not is_so if closed_world else None
