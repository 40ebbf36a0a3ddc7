"""Controlled English to literals: one sentence at a time.

Reads facts ("Max is a wumpus.", "The lion chases the mouse.") and rules ("Every wumpus is not
cold.", "If someone is kind and not rough then they are nice.", "Everything that is a cat or red is
small."). What it cannot read in one way only, it refuses with a `ReadingError` that quotes the
sentence. Knows nothing of what follows from what.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, NoReturn

from qkcore.puzzles.puzzle import PuzzleError

FORMS = (
    '"Max is (not) a cat.", "Max is red and kind.", "The lion chases the mouse.", "Every cat is '
    '(not) red.", "All cats are mammals.", "All red animals are kind.", "Everything that is a cat '
    'and red is kind.", "If someone is a cat and not red then they are kind."'
)
ANYTHING = "?"  # the subject of a rule's literals: whatever the rule is applied to
PERSONAL, ANY_PRONOUN = frozenset(("they", "he", "she")), frozenset(("it", "they", "he", "she"))
INDEFINITE = {  # and what may take it up
    **dict.fromkeys(("something", "anything"), frozenset(("it", "they"))),
    **dict.fromkeys(("someone", "somebody", "anyone", "anybody"), PERSONAL),
}
GENERIC = {"animals": "animal", "people": "person", "persons": "person", "things": "thing"}
QUANTIFIERS = {
    "every": ("is",),
    "each": ("is",),
    "a": ("is",),
    "an": ("is",),
    "all": ("are",),
    "any": ("is", "are"),
}
VERBS = frozenset("is are does do".split())
RESERVED = frozenset("not and or if then the , that who everything everyone".split())
RESERVED = RESERVED.union(VERBS, INDEFINITE, ANY_PRONOUN, QUANTIFIERS)
MAX_RELATION = 20  # words
# Words that change what a sentence says in ways that are not read here.
UNREAD = frozenset(
    """
    can cannot could may might must should would will shall was were been has have had become
    becomes seems am some most many few several more less only unless except either neither nor no
    none never always sometimes usually often rarely both half one ones two three four five six
    seven eight nine ten other others another same such but because since whenever while until
    before after although though whereas so therefore thus hence otherwise else yesterday today
    tomorrow tonight now once soon later currently recently normally generally typically certainly
    surely clearly obviously apparently presumably however moreover furthermore instead meanwhile
    finally first second perhaps maybe possibly probably almost nearly hardly barely also too very
    quite really actually indeed still again of with without within in on at from by to for than as
    about under over between this these those there here i we you me us him them my your his her its
    our their what which whose whom where when why how whoever whatever nothing nobody everybody
    """.split()
)
IRREGULAR = dict(
    pair.split("/")
    for pair in """
    mice/mouse lice/louse geese/goose feet/foot teeth/tooth children/child oxen/ox people/person
    wolves/wolf elves/elf thieves/thief knives/knife wives/wife leaves/leaf loaves/loaf calves/calf
    shelves/shelf sheep/sheep fish/fish deer/deer moose/moose series/series species/species
    """.split()
)


class ReadingError(PuzzleError):
    """A sentence that is not of a form that is read."""


class Literal(NamedTuple):
    """What is said of one subject: a class, a property, or a relation to one named other."""

    subject: str  # a name in lower case, or ANYTHING
    predicate: str  # "wumpus", "cold", "chase the mouse"
    is_positive: bool = True

    def denied(self) -> "Literal":
        """The opposite."""
        return Literal(self.subject, self.predicate, not self.is_positive)


@dataclass(frozen=True, slots=True)
class Formula:
    """Literals joined by one word; a single literal is either."""

    literals: tuple[Literal, ...]
    is_any: bool = False  # "or" instead of "and"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One premise: what holds, and under which condition (None: a fact)."""

    text: str
    conclusion: Formula
    condition: Formula | None = None


@dataclass(slots=True)
class Grammar:
    """Reads the sentences of one puzzle.

    The words it uses as singulars tell how to read its plurals.
    """

    singulars: set[str] = field(default_factory=set)
    verbs: set[str] = field(default_factory=set)
    # Animal, person: a class of their own, or "red animals" is just red
    classes: set[str] = field(default_factory=set)

    def learn(self, text: str) -> None:
        """Note how words are used: as singular nouns, as plain verbs, as classes.

        "animal" and "person" are noted where they say more. Those do where something is called one:
        "Tom is an animal.", "All people are kind.", "Cats are animals."
        """
        text = _expanded(
            "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
        )
        self.singulars.update(re.findall(r"\b(?:an?|every|each|is(?: not)?)\s+(?=(\w+))", text))
        self.verbs.update(re.findall(r"\bdo(?:es)? not\s+(\w+)", text))
        before = r"(?:^|[.!?\n]|\b(?:an?|every|each|all|any|not|are|and|or)\s)\s*"
        called = re.findall(before + r"(animals?|persons?|people)\b", text)
        self.classes.update(GENERIC.get(noun, noun) for noun in called)

    def sentences(self, text: str) -> list[Sentence]:
        """All sentences of a context.

        A line that begins with a capital letter may begin a sentence too.

        Raises:
            ReadingError: quoting the first sentence that cannot be read, or that asks instead of
                telling.
        """
        found: list[Sentence] = []
        for part in split(text):
            if "?" in part or re.match(r"(is|are|does|do)\b", part, re.IGNORECASE):
                raise ReadingError(
                    f"cannot take {quoted(part)} as given: it is a question; make it a statement"
                )
            lines = [line.strip() for line in part.splitlines() if line.strip()]
            try:
                found.append(self.sentence(part))
            except ReadingError:
                if len(lines) < 2 or any(line[0].islower() for line in lines):
                    raise
                found += [self.sentence(line) for line in lines]
        return found

    def sentence(self, text: str) -> Sentence:
        """One sentence, a question ("Is Max red?", "Does Max like Anne?") as what it asks.

        >>> Grammar().sentence("All cats are not red.").condition
        Formula(literals=(Literal(subject='?', predicate='cat', is_positive=True),), is_any=False)

        Raises:
            ReadingError: quoting the sentence, when it cannot be read in one way only.
        """
        return _Parser(self, text).sentence()

    def singular(self, word: str) -> str:
        """The singular of a word that may be a plural.

        Words that the puzzle uses itself are preferred.

        >>> plurals = ("wumpuses", "cats", "nervous", "berries", "mice", "boxes", "cold")
        >>> [Grammar().singular(word) for word in plurals]
        ['wumpus', 'cat', 'nervous', 'berry', 'mouse', 'box', 'cold']
        """
        if word in self.singulars:
            return word
        if word in IRREGULAR:
            return IRREGULAR[word]
        if word.endswith("men"):
            return word[:-2] + "an"
        return word if re.search(r"(us|ss|is|[^s])$", word) else _without_s(word, self.singulars)

    def plain_verb(self, word: str) -> str:
        """A verb without its ending, so that "watches" and "does not watch" agree.

        >>> [Grammar().plain_verb(word) for word in ("chases", "watches", "sees", "tries", "goes")]
        ['chase', 'watch', 'see', 'try', 'go']
        """
        return _without_s(word, self.verbs)


@dataclass(slots=True)
class _Parser:
    """One sentence, being read.

    Every method raises `ReadingError` where the words are not of its form.
    """

    grammar: Grammar
    text: str
    words: list[str] = field(default_factory=list)  # in lower case
    # Those of them that are written with a capital letter
    capitals: set[str] = field(default_factory=set)
    antecedent: str | None = None  # whom "it" or "they" is about
    pronouns: frozenset[str] = ANY_PRONOUN  # which of them may be

    def sentence(self) -> Sentence:
        """What the sentence says, whatever its form."""
        self.words, self.capitals = _words(self.text)
        unread = [word for word in self.words if word in UNREAD or re.search(r"n['’]t$", word)]
        if unread or not self.words:
            self.refuse(f" because of {unread[0]!r}" if unread else "")
        first, words = self.words[0], self.words
        if first == "if":
            return self.conditional(words)
        if words[1:2] in (["that"], ["who"]):
            return self.everything(words)
        if first in QUANTIFIERS or ("are" in words and "is" not in words and first != "the"):
            return self.general(words)
        if first in ("is", "does"):
            return Sentence(self.text, self.asked(words))
        return Sentence(self.text, self.clauses(words))

    def refuse(self, reason: str = "") -> NoReturn:
        raise ReadingError(
            f"cannot read {quoted(self.text)}{reason}; sentences like these are read: {FORMS}"
        )

    def conditional(self, words: list[str]) -> Sentence:
        """Read "If someone is a cat then they are kind" or "If Max is red, he is kind"."""
        commas = [i for i, word in enumerate(words) if word == ","]
        if words.count("then") == 1:
            then = words.index("then")
            end = then - 1 if words[then - 1] == "," else then
        elif commas and "then" not in words:
            then = end = commas[-1]
        else:
            self.refuse()
        condition = self.clauses(words[1:end], may_bind=True)
        if self.antecedent is None:
            subjects = {literal.subject for literal in condition.literals}
            has_one = len(subjects) == 1 and all(
                " " not in literal.predicate for literal in condition.literals
            )
            self.antecedent = subjects.pop() if has_one else None
        conclusion = self.clauses(words[then + 1 :])
        is_about_anything = ANYTHING in {literal.subject for literal in conclusion.literals}
        if (
            condition.is_any
            and is_about_anything
            and {one.subject for one in condition.literals} != {ANYTHING}
        ):
            # "if someone is red or Max is big then they are kind": who is, if Max is big?
            self.refuse()
        return Sentence(self.text, conclusion, condition)

    def everything(self, words: list[str]) -> Sentence:
        """Read "Everything that is a cat and red is kind"."""
        verbs = [i for i, word in enumerate(words) if word == "is"]
        if (
            words[0] not in ("everything", "everyone", "anything", "anyone")
            or len(verbs) != 2
            or verbs[0] != 2
        ):
            self.refuse()
        condition = self.predicates(ANYTHING, words[3 : verbs[1]])
        return Sentence(self.text, self.predicates(ANYTHING, words[verbs[1] + 1 :]), condition)

    def general(self, words: list[str]) -> Sentence:
        """Read "Every cat is ...", "All red animals are ..." or "Cats are ..."."""
        start = 1 if words[0] in QUANTIFIERS else 0
        at = next((i for i, word in enumerate(words) if word in VERBS), 0)
        verb, before = words[at], words[start : at - 1]
        if at <= start or verb not in QUANTIFIERS.get(words[0], ("are",)):
            self.refuse()
        noun = self.noun(words[at - 1], is_plural=verb == "are")
        is_list = "and" in before or ("," in before and not start)
        # "cats and dogs are ..." is about either, "red and big people" not
        if is_list and noun not in GENERIC.values():
            self.refuse()
        pieces = self.pieces(before, "and") if before else []
        kinds = [self.plain(word) for piece in pieces for word in piece]
        if noun not in GENERIC.values() or noun in self.grammar.classes:
            kinds.append(noun)
        if not kinds:
            self.refuse()
        condition = Formula(tuple(Literal(ANYTHING, kind) for kind in kinds))
        return Sentence(
            self.text, self.predicates(ANYTHING, words[at + 1 :], verb == "are"), condition
        )

    def asked(self, words: list[str]) -> Formula:
        """Read "Is Max a cat or red?" or "Does the lion chase the mouse?"."""
        verb, *rest = words
        # "is Max not red?": what is a yes?
        if "not" in rest or (verb == "does" and len(rest) > MAX_RELATION):
            self.refuse()
        if verb == "does":
            return Formula(
                (self.only([self.relation_from(rest[:i], rest[i:]) for i in range(1, len(rest))]),)
            )
        ends = [i for i, word in enumerate(rest) if word in ("a", "an")]
        joints = [i for i, word in enumerate(rest) if word in ("and", "or", ",")]
        at = min(ends + [i - 1 for i in [*joints, len(rest)]])
        return self.clauses([*rest[:at], "is", *rest[at:]])

    def clauses(self, words: list[str], may_bind: bool = False) -> Formula:
        """Read what may be several clauses.

        "Max is red and Max is kind", "something is red and it chases the mouse", or "Max is red or
        not kind".
        """
        joint = self.joint(words)
        literals: list[Literal] = []
        subject, copula = "", ""
        for piece in self.pieces(words, joint):
            at = next((i for i, word in enumerate(piece) if word in VERBS), None)
            # "... is red and kind" goes on with the subject
            if copula and at is None and self.is_predicate(piece):
                self.check_reach(literals[-1:], piece)
                literals.append(self.predicate(subject, piece, copula == "are"))
            elif at is not None and piece[at] in ("is", "are"):
                # "the cats are red" is about many
                if piece[at] == "are" and piece[:at] not in ([], ["they"]):
                    self.refuse()
                subject = self.subject(piece[:at], subject, may_bind)
                copula = piece[at]
                literals.append(self.predicate(subject, piece[at + 1 :], copula == "are"))
            else:
                literals.append(self.relation(piece, subject, may_bind))
                subject, copula = literals[-1].subject, ""
            may_bind = may_bind and self.antecedent is None
        return Formula(tuple(literals), joint == "or")

    def predicates(self, subject: str, words: list[str], is_plural: bool = False) -> Formula:
        """Read "red", "not a cat", "a cat and not red" or "a cat, a dog, or a mouse"."""
        joint = self.joint(words)
        literals: list[Literal] = []
        for piece in self.pieces(words, joint):
            self.check_reach(literals[-1:], piece)
            literals.append(self.predicate(subject, piece, is_plural))
        return Formula(tuple(literals), joint == "or")

    def check_reach(self, before: list[Literal], piece: list[str]) -> None:
        # "not a cat or red": does the "not" reach the red?
        if before and not before[0].is_positive and piece[:1] != ["not"]:
            self.refuse()

    def predicate(self, subject: str, words: list[str], is_plural: bool) -> Literal:
        """Read one predicate: [not] [a] word."""
        if not self.is_predicate(words):
            self.refuse()
        return Literal(subject, self.noun(words[-1], is_plural), words[0] != "not")

    def is_predicate(self, words: list[str]) -> bool:
        rest = words[1:] if words[:1] == ["not"] else words
        return len(rest) - (rest[:1] in (["a"], ["an"])) == 1 and rest[-1] not in RESERVED

    def relation(self, words: list[str], subject: str, may_bind: bool) -> Literal:
        """Read "the lion chases the mouse", "it does not chase the mouse" or "chases Anne"."""
        if len(words) > MAX_RELATION:
            self.refuse()
        bind = partial(self.subject, subject_before=subject, may_bind=may_bind)
        ways = []
        for i in range(len(words)):
            name, rest = words[:i], words[i:]
            if rest[0] in ("does", "do"):
                is_denied = rest[1:2] == ["not"] and (rest[0] == "does" or name == ["they"])
                if is_denied:
                    ways.append(self.relation_from(name, rest[2:], bind, is_positive=False))
            elif name or subject:
                ways.append(self.relation_from(name, rest, bind, has_ending=name != ["they"]))
        return self.only(ways)

    def relation_from(
        self,
        name: list[str],
        words: list[str],
        bind: Callable[[list[str]], str] | None = None,
        has_ending: bool = False,
        is_positive: bool = True,
    ) -> Literal | None:
        """This way of cutting a clause into a name, a verb and another name; None if it is none."""
        has_article = words[1:2] == ["the"]
        other = words[2:] if has_article else words[1:]
        if (
            not self.is_name(other, has_article)
            or words[0] in self.capitals
            or words[0] in RESERVED
        ):
            return None
        # "cats like mice" is no fact about one called Cats
        if bool(re.search(r"[^su]s$", words[0])) is not has_ending:
            return None
        try:
            who = (bind or self.subject)(name)
        except ReadingError:
            return None
        verb = self.grammar.plain_verb(words[0]) if has_ending else words[0]
        return Literal(who, f"{verb} the {' '.join(other)}", is_positive)

    def only(self, ways: list[Literal | None]) -> Literal:
        """The one way that is one."""
        read = [way for way in ways if way is not None]
        if len(read) != 1:
            self.refuse()
        return read[0]

    def subject(self, words: list[str], subject_before: str = "", may_bind: bool = False) -> str:
        """Read whom a clause is about.

        A name; something, which later words may take up; it, which takes it up; nothing, to go on
        with the last.
        """
        if not words and subject_before:
            return subject_before
        if len(words) == 1 and words[0] in INDEFINITE and may_bind:
            self.antecedent, self.pronouns = ANYTHING, INDEFINITE[words[0]]
            return ANYTHING
        if len(words) == 1 and words[0] in self.pronouns and self.antecedent:
            return self.antecedent
        name = words[1:] if words[:1] == ["the"] else words
        if not self.is_name(name, len(name) < len(words) or len(name) == 1):
            self.refuse()
        return " ".join(name)

    def is_name(self, words: list[str], has_sign: bool) -> bool:
        """Is this a name?

        Without "the" before it, or all of the sentence in lower case, capital letters show it.
        """
        is_shown = (
            has_sign or set(words) <= self.capitals or (len(words) == 1 and not self.capitals)
        )
        return bool(words) and is_shown and not RESERVED & set(words)

    def noun(self, word: str, is_plural: bool) -> str:
        return self.grammar.singular(self.plain(word)) if is_plural else self.plain(word)

    def plain(self, word: str) -> str:
        if word in RESERVED:
            self.refuse()
        return word

    def joint(self, words: list[str]) -> str:
        joints = {"and", "or"} & set(words)
        if len(joints) > 1 or (not joints and "," in words):
            self.refuse()
        return joints.pop() if joints else "and"

    def pieces(self, words: list[str], joint: str) -> list[list[str]]:
        """Words cut at the joint and at commas; "a, b, and c" has three pieces."""
        pieces: list[list[str]] = [[]]
        for before, word in zip(["", *words], words, strict=False):
            if word == "," or (word == joint and before != ","):
                pieces.append([])
            elif word != joint:
                pieces[-1].append(word)
        if not all(pieces):
            self.refuse()
        return pieces


def split(text: str) -> list[str]:
    """A text's sentences.

    >>> split("Max is red.  Is Max kind? Max is a cat")
    ['Max is red.', 'Is Max kind?', 'Max is a cat']
    """
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part.strip()]


def _words(text: str) -> tuple[list[str], set[str]]:
    """The words in lower case, commas between, and those of them that have a capital letter."""
    body = unicodedata.normalize("NFC", text).strip().rstrip(".!?").strip()
    words = re.findall(r"\w+(?:['’-]\w+)*|\S", _expanded(body))
    if not all(re.match(r"[\w,]", word) for word in words):
        raise ReadingError(
            f"cannot read {quoted(text)}: it holds signs other than letters, commas and a full stop"
        )
    capitals = [word for word in re.findall(r"\w+(?:['’-]\w+)*", body) if word[0].isupper()]
    return words, set(map(str.lower, capitals))


def _expanded(text: str) -> str:
    """In lower case, with "isn't" and "they're" written out.

    >>> _expanded("Max isn't red. If they're kind, it's big.")
    'max is not red. if they are kind, it is big.'
    """
    text = re.sub(r"\b(is|are|does|do)n['’]t\b", r"\1 not", text.lower())
    return re.sub(
        r"\bthey['’]re\b",
        "they are",
        re.sub(r"\b(it|he|she|someone|something)['’]s\b", r"\1 is", text),
    )


def _without_s(word: str, known: set[str]) -> str:
    """A word without its "s" or "es", preferring a known word."""
    possible = [word[:-1]]
    if word.endswith("es"):
        possible.append(word[:-2])
    if word.endswith("ies"):
        possible.append(word[:-3] + "y")
    seen = [one for one in possible if one in known]
    if seen:
        return seen[0]
    if word.endswith("ies") and len(word) > 4:
        return possible[-1]
    has_es = re.search(r"([^o]us|ss|x|ch|sh|zz|[^o]o)es$", word) and len(word) > 3
    return word[:-2] if has_es else word[:-1]


def quoted(text: str) -> str:
    """A sentence as messages quote it: on one line, and not at length."""
    text = " ".join(text.split())
    return f'"{text[:120]}{"…" if len(text) > 120 else ""}"'
