"""A context beside its mirror image: somebody else, of whom the opposite holds.

Where a context speaks of one subject and mentions each property once, that mention gives the answer
away: PrOntoQA's "Tumpuses are not metallic" says by itself that "Rex is not metallic" is true. So
all premises are said once more, about another name, with another word for each class, and with each
property denied that was affirmed and affirmed that was denied. Now every property stands there both
ways, each at the end of a chain of the same length, and only the chain that starts at the name that
is asked about tells which way is meant (as in qkcore.puzzles.generate).

Promises nothing of what follows: whoever uses a mirrored context solves it again.
"""

import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qkcore.puzzles.english import ANYTHING, Grammar, Sentence, quoted
from qkcore.puzzles.generate import STYLES
from qkcore.puzzles.puzzle import PuzzleError

_WORD = re.compile(r"\b(?:(?P<article>an?) )?(?P<word>\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a context by their part in it, in lower case and singular."""

    names: tuple[str, ...]
    classes: tuple[str, ...]  # stand in a condition, so that a chain may go through them
    properties: frozenset[str]  # only ever concluded


def mirrored(context: str, rng: random.Random) -> str:
    """The context and its mirror image, shuffled together; facts stay last if they were.

    Which of the two words for a class, and of the two names, stands in which half is drawn.

    >>> mirrored("Every cat is red. Max is a cat.", random.Random(3))
    'Every cat is not red. Every chorpus is red. Wren is a cat. Max is a chorpus.'

    Raises:
        PuzzleError: when a name is no single word, or no new words are left.
    """
    grammar = Grammar()
    grammar.learn(context)
    premises = grammar.sentences(context)
    words = _words_of(premises)
    new = _new_words(context, words, rng)
    kept, denied = [], []
    for premise in premises:
        kept.append(premise.text)
        denied.append(_toggled(_swapped(premise.text, new, grammar), words.properties, grammar))
    drawn = {word: other for word, other in new.items() if rng.random() < 0.5}
    both = {**drawn, **{other: word for word, other in drawn.items()}}
    texts = [_swapped(text, both, grammar) for text in (*kept, *denied)]
    return " ".join(_shuffled(texts, [one.condition is None for one in premises] * 2, rng))


def _words_of(premises: Sequence[Sentence]) -> _Words:
    conditions = [
        one for premise in premises if premise.condition for one in premise.condition.literals
    ]
    said = [one for premise in premises for one in premise.conclusion.literals]
    names = {one.subject for one in (*said, *conditions)} - {ANYTHING}
    classes = {one.predicate for one in conditions}
    properties = {one.predicate for one in said} - classes
    for word in (*names, *classes, *properties):
        if " " in word:
            raise PuzzleError(f"{word!r} is more than one word, so no mirror image can be made")
    return _Words(tuple(sorted(names)), tuple(sorted(classes)), frozenset(properties))


def _new_words(context: str, words: _Words, rng: random.Random) -> dict[str, str]:
    """Another word for each name and class, from the style whose words the context uses most."""
    text = context.lower()
    style = max(STYLES.values(), key=lambda one: sum(noun in text for noun in one.nouns))
    new: dict[str, str] = {}
    for old, offered in (
        (words.names, style.names),
        ([one for one in words.classes if _is_noun(one, context)], style.nouns),
        ([one for one in words.classes if not _is_noun(one, context)], style.adjectives),
    ):
        fresh = [word.lower() for word in offered if word.lower() not in text]
        if len(fresh) < len(old):
            raise PuzzleError(
                f"{quoted(context)} has {len(old)} classes of a kind, more than there are new "
                "words for its mirror image"
            )
        new.update(zip(old, rng.sample(fresh, len(old)), strict=True))
    return new


def _is_noun(word: str, context: str) -> bool:
    return article_of(word, context) != ""


def article_of(predicate: str, context: str) -> str:
    """The article that the context uses this predicate with, with a space; empty: an adjective.

    >>> article_of("impus", "Wumpuses are impuses."), article_of("red", "Every cat is red.")
    ('an ', '')
    """
    written = re.search(rf"\b(an?) {re.escape(predicate)}\b", context, re.IGNORECASE)
    if written:
        return f"{written[1].lower()} "
    grammar = Grammar()
    grammar.learn(context)
    is_counted = re.search(
        rf"\b(every|each) {re.escape(predicate)} is\b", context, re.IGNORECASE
    ) or any(
        word != predicate and grammar.singular(word) == predicate
        for word in re.findall(r"\w+", context.lower())
    )
    if not is_counted:
        return ""
    return "an " if predicate[0] in "aeiou" else "a "


def _swapped(text: str, new: Mapping[str, str], grammar: Grammar) -> str:
    """The text with other words, plural where they were, articles to suit, capitals kept.

    >>> _swapped("Cats are dogs. Max is a cat.", {"cat": "owl", "max": "rex"}, Grammar())
    'Owls are dogs. Rex is an owl.'
    """

    def one(found: re.Match[str]) -> str:
        word, article = found["word"], found["article"] or ""
        key = word.lower()
        singular = key if key in new else grammar.singular(key)
        if singular not in new:
            return found[0]
        other = new[singular]
        if key != singular:
            other += "es" if other.endswith("s") else "s"
        if word[0].isupper():
            other = other[0].upper() + other[1:]
        if article:
            article = article[0] + ("n " if other[0].lower() in "aeiou" else " ")
        return article + other

    return _WORD.sub(one, text)


def _toggled(text: str, properties: Collection[str], grammar: Grammar) -> str:
    """The text with each of these affirmed where it was denied, and denied where affirmed.

    >>> _toggled("Cats are not red. Max is a cat and kind.", ["red", "kind"], Grammar())
    'Cats are red. Max is a cat and not kind.'
    """

    def one(found: re.Match[str]) -> str:
        key = found["word"].lower()
        if key not in properties and grammar.singular(key) not in properties:
            return found[0]
        return found["rest"] if found["sign"] else f"not {found['rest']}"

    pattern = r"\b(?P<sign>not )?(?P<rest>(?:an? )?(?P<word>(?!not\b|an?\b)\w+))"
    return _denied_last(re.sub(pattern, one, text))


def _denied_last(text: str) -> str:
    """A list with what is denied at its end: does the "not" of "not red and kind" reach "kind"?

    >>> _denied_last("Max is not red, a cat, and kind.")
    'Max is a cat, kind, and not red.'
    """
    found = re.fullmatch(r"(?P<start>.*\b(?:is|are) )(?P<said>[^.]+)(?P<stop>\.?)", text)
    if not found or re.search(r"\bor\b", found["said"]):
        return text
    parts = sorted(re.split(r",? and |, ", found["said"]), key=lambda part: part.startswith("not "))
    listed = " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
    return found["start"] + listed + found["stop"]


def _shuffled(texts: Sequence[str], is_fact: Sequence[bool], rng: random.Random) -> list[str]:
    """Another order; facts stay behind the rules if they were."""
    facts_last = list(is_fact[: len(is_fact) // 2]) == sorted(is_fact[: len(is_fact) // 2])
    order = rng.sample(range(len(texts)), len(texts))
    if facts_last:
        order.sort(key=lambda i: is_fact[i])
    return [texts[i] for i in order]
