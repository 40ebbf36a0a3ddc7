"""Controlled English to literals: one sentence at a time.

Reads facts ("Max is a wumpus.", "The lion chases the mouse.") and rules ("Every wumpus is not cold.", "If someone is
kind and not rough then they are nice.", "Everything that is a cat or red is small."). What it cannot read it refuses
with a `ReadingError` that quotes the sentence; it never guesses. Knows nothing of what follows from what.
"""

import re
from dataclasses import dataclass, field

from qkcore.puzzles import PuzzleError

FORMS = (
    '"Max is (not) a cat.", "Max is red and kind.", "The lion chases the mouse.", "Every cat is (not) red.", "All cats '
    'are mammals.", "All red animals are kind.", "Everything that is a cat and red is kind.", "If someone is a cat and '
    'not red then they are kind."'
)
ANYTHING = "?"  # the subject of a rule's literals: whatever the rule is applied to
GENERIC = frozenset("animal animals person people thing things one ones".split())  # nouns that say nothing
PRONOUNS = frozenset("something someone somebody anything anyone it they he she".split())
IRREGULAR = {
    "mice": "mouse",
    "men": "man",
    "women": "woman",
    "children": "child",
    "geese": "goose",
    "feet": "foot",
    "teeth": "tooth",
    "wolves": "wolf",
    "sheep": "sheep",
    "fish": "fish",
    "deer": "deer",
    "people": "person",
}
# Words that change what a sentence says in ways that are not read here.
UNREAD = frozenset(
    "can cannot could may might must should would will shall some most many few only unless except either neither nor "
    "no none never always sometimes usually often but because was were has have had both".split()
)


class ReadingError(PuzzleError):
    """A sentence that is not of a form that is read."""


@dataclass(frozen=True, slots=True)
class Literal:
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
class Reader:
    """Reads the sentences of one puzzle; plurals are matched to the singulars that occur in it."""

    singulars: set[str] = field(default_factory=set)

    def sentences(self, text: str) -> list[Sentence]:
        """All sentences of a context.

        Raises:
            ReadingError: quoting the first sentence that cannot be read.
        """
        return [self.sentence(part) for part in split(text)]

    def learn(self, text: str) -> None:
        """Note the words that occur as singular nouns."""
        words = re.findall(r"(?:\b(?:an?|every|each)|\bthe)\s+(\w+)", text.lower())
        self.singulars.update(words)

    def sentence(self, text: str) -> Sentence:
        """One sentence, a question ("Is Max red?") as what it asks."""
        words = _words(text)
        try:
            if not words or UNREAD & set(words):
                raise ReadingError
            return self._sentence(text, words)
        except ReadingError:
            raise ReadingError(f"cannot read {_quoted(text)}; sentences like these are read: {FORMS}") from None

    def _sentence(self, text: str, words: list[str]) -> Sentence:
        if words[0] == "if":
            return self._conditional(text, words)
        if words[0] in ("everything", "everyone", "anything", "anyone") and words[1:3] in (
            ["that", "is"],
            ["who", "is"],
        ):
            at = _index(words, "is", 3)
            condition = self._formula(ANYTHING, words[3:at])
            return Sentence(text, self._formula(ANYTHING, words[at + 1 :]), condition)
        if words[0] in ("every", "each", "all", "any", "a", "an") or self._is_plural_subject(words):
            return self._general(text, words)
        if words[0] == "is" and text.rstrip().endswith("?"):
            subject, rest = self._subject(words[1:])
            return Sentence(text, self._formula(subject, rest))
        return Sentence(text, self._clauses(words))

    def _conditional(self, text: str, words: list[str]) -> Sentence:
        then = _index(words, "then")
        condition = self._clauses(words[1:then], is_rule=True)
        return Sentence(text, self._clauses(words[then + 1 :], is_rule=True), condition)

    def _general(self, text: str, words: list[str]) -> Sentence:
        """Every cat is ...; All red animals are ...; Cats are ..."""
        verb = next((i for i, word in enumerate(words) if word in ("is", "are")), None)
        start = 1 if words[0] in ("every", "each", "all", "any", "a", "an") else 0
        if verb is None or verb <= start:
            raise ReadingError
        noun, before = words[verb - 1], words[start : verb - 1]
        is_list = {",", "and"} & set(before)  # of properties; without a word that says so it may be one of names
        if {"that", "who", "not", "or", "the", "of"} & set(words[start:verb]) or (
            is_list and not start and noun not in GENERIC
        ):
            raise ReadingError
        properties = [word for word in before if word not in (",", "and")]
        kinds = properties if noun in GENERIC else [*properties, self.singular(noun) if words[verb] == "are" else noun]
        if not kinds:
            raise ReadingError
        condition = Formula(tuple(Literal(ANYTHING, kind) for kind in kinds))
        return Sentence(text, self._formula(ANYTHING, words[verb + 1 :], words[verb] == "are"), condition)

    def _is_plural_subject(self, words: list[str]) -> bool:
        return "are" in words and "is" not in words and words[0] not in ("they", "the")

    def _clauses(self, words: list[str], is_rule: bool = False) -> Formula:
        """Max is red and Max is kind; something is red and it chases the mouse; Max is red or not kind."""
        subject, rest = self._subject(words, is_rule)
        if rest[:1] not in (["is"], ["are"]):
            if {"and", "or"} & set(rest):
                return self._mixed_clauses(words, is_rule)
            return Formula((self._relation(subject, rest),))
        if self._restarts(rest[1:], is_rule):
            return self._mixed_clauses(words, is_rule)
        return self._formula(subject, rest[1:], rest[0] == "are" and subject != ANYTHING)

    def _restarts(self, words: list[str], is_rule: bool) -> bool:
        """Does another clause with a verb of its own follow?"""
        return (
            "is" in words
            or "are" in words
            or any(word in ("and", "or") and self._is_relation(words[i + 1 :], is_rule) for i, word in enumerate(words))
        )

    def _is_relation(self, words: list[str], is_rule: bool) -> bool:
        try:
            subject, rest = self._subject(words, is_rule)
            self._relation(subject, rest)
        except ReadingError:
            return False
        return True

    def _mixed_clauses(self, words: list[str], is_rule: bool) -> Formula:
        joints = {word for word in words if word in ("and", "or")}
        if len(joints) != 1:
            raise ReadingError
        (joint,) = joints
        literals: list[Literal] = []
        subject = ""
        for piece in _pieces(words, joint):
            try:
                subject, rest = self._subject(piece, is_rule)
                is_be = rest[:1] in (["is"], ["are"])
                literals.append(self._literal(subject, rest[1:], False) if is_be else self._relation(subject, rest))
            except ReadingError:
                if not subject:  # "... is red and kind" goes on with the subject before it
                    raise
                literals.append(self._literal(subject, piece, False))
        return Formula(tuple(literals), joint == "or")

    def _subject(self, words: list[str], is_rule: bool = False) -> tuple[str, list[str]]:
        """(subject, the words after it)."""
        if not words:
            raise ReadingError
        if words[0] in PRONOUNS:
            if not is_rule:
                raise ReadingError
            return ANYTHING, words[1:]
        verb = next((i for i, word in enumerate(words) if word in ("is", "are", "does", "do")), None)
        if verb is None:  # the verb of a relation is the word before the last name
            verb = len(words) - (3 if words[-2:-1] == ["the"] else 2)
            verb = next((i for i in range(1, len(words)) if words[i + 1 : i + 2] == ["the"]), verb)
        name = words[1:verb] if words[0] == "the" else words[:verb]
        if {"everything", "everyone", "everybody", "nothing", "nobody"} & set(name):
            raise ReadingError
        if verb < 1 or not name or {"not", "and", "or", "a", "an", "the", "that", "of"} & set(name):
            raise ReadingError
        return " ".join(name), words[verb:]

    def _relation(self, subject: str, words: list[str]) -> Literal:
        """chases the mouse; does not chase the mouse; likes Anne."""
        is_positive = words[:2] not in (["does", "not"], ["do", "not"])
        words = words if is_positive else words[2:]
        verb, others = words[:1], words[2:] if words[1:2] == ["the"] else words[1:]
        if (
            not verb
            or not others
            or {"is", "are", "not", "and", "or", "a", "an", "does", "do", "the"} & {*verb, *others}
        ):
            raise ReadingError
        return Literal(subject, f"{_verb(verb[0])} the {' '.join(others)}", is_positive)

    def _formula(self, subject: str, words: list[str], is_plural: bool = False) -> Formula:
        """red; not a cat; a cat and not red; a cat, a dog, or a mouse."""
        joints = {word for word in words if word in ("and", "or")}
        if len(joints) > 1 or (not joints and "," in words):
            raise ReadingError
        joint = joints.pop() if joints else "and"
        literals = tuple(self._literal(subject, piece, is_plural) for piece in _pieces(words, joint))
        # "not red or kind" can be read in two ways, so only the first piece may be denied if all others are too.
        if not literals[0].is_positive and any(literal.is_positive for literal in literals):
            raise ReadingError
        return Formula(literals, joint == "or")

    def _literal(self, subject: str, words: list[str], is_plural: bool) -> Literal:
        is_positive = words[:1] != ["not"]
        words = words if is_positive else words[1:]
        has_article = words[:1] in (["a"], ["an"])
        words = words[1:] if has_article else words
        if len(words) != 1 or words[0] in {"not", "a", "an", "the", "is", "are", ","}:
            raise ReadingError
        return Literal(subject, self.singular(words[0]) if is_plural else words[0], is_positive)

    def singular(self, word: str) -> str:
        """The singular of a word that may be a plural, preferring words that the puzzle uses itself.

        >>> [Reader().singular(word) for word in ("wumpuses", "cats", "nervous", "berries", "mice", "boxes", "cold")]
        ['wumpus', 'cat', 'nervous', 'berry', 'mouse', 'box', 'cold']
        """
        if word in IRREGULAR:
            return IRREGULAR[word]
        if not word.endswith("s") or re.search(r"(us|ss|is)$", word):
            return word
        possible = [word[:-1]]
        if word.endswith("es"):
            possible.append(word[:-2])
        if word.endswith("ies"):
            possible.append(word[:-3] + "y")
        known = [one for one in possible if one in self.singulars]
        if known:
            return known[0]
        if word.endswith("ies") and len(word) > 4:
            return word[:-3] + "y"
        return word[:-2] if re.search(r"([^o]us|ss|x|ch|sh|zz)es$", word) else word[:-1]


def split(text: str) -> list[str]:
    """A text's sentences.

    >>> split("Max is red.  Is Max kind? Max is a cat")
    ['Max is red.', 'Is Max kind?', 'Max is a cat']
    """
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part.strip()]


def _words(text: str) -> list[str]:
    """Lower-case words, commas between; anything else is not read."""
    body = text.strip().rstrip(".!?").strip().lower()
    if not re.fullmatch(r"[\w\s,'’-]*", body):
        raise ReadingError(f"cannot read {_quoted(text)}: it holds signs other than letters, commas and a full stop")
    body = re.sub(r"\b(is|are|does|do)n['’]t\b", r"\1 not", body).replace(", then ", " then ")
    return re.findall(r"[\w'’-]+|,", body)


def _pieces(words: list[str], joint: str) -> list[list[str]]:
    """Words cut at the joint and at commas; "a, b, and c" has three pieces."""
    pieces: list[list[str]] = [[]]
    for i, word in enumerate(words):
        if word == joint or (word == "," and joint in words[i:]):
            if pieces[-1] or word == ",":
                pieces.append([])
            continue
        pieces[-1].append(word)
    if not all(pieces):
        raise ReadingError
    return pieces


def _index(words: list[str], word: str, start: int = 0) -> int:
    if word not in words[start:]:
        raise ReadingError
    return words.index(word, start)


def _verb(word: str) -> str:
    """A verb without its ending, so that "chases" and "does not chase" agree.

    >>> _verb("chases"), _verb("chase"), _verb("sees"), _verb("needs")
    ('chase', 'chase', 'see', 'need')
    """
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f'"{text[:120]}{"…" if len(text) > 120 else ""}"'
