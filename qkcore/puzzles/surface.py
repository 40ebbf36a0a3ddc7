"""Surface rules: rules that read no logic, scored on the same puzzles as heads.

A rule reads the text of one puzzle, never its answer, steps, group or id. Two things are learnt,
both from the validation puzzles alone: the majority answer, which also stands in where a rule has
no opinion (an undecided rule counted as wrong would make the floor under the heads look lower than
it is); and whether a rule has to be turned round, because it is wrong on more than half of the
true-false puzzles that it has an opinion on. Heads are never turned round: the comparison favours
the rules.

Knows English only as far as "is", "are", "not" and plural endings; knows nothing of models or of
proofs.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from qkcore.puzzles.puzzle import Puzzle

NO_OPINION = -1
VERDICTS = (("true", "false"), ("yes", "no"))
_LEFT_OUT = frozenset({"a", "an", "the"})
_NO_SUBJECT = frozenset(
    "all animal each every everyone everything if is it people someone something that then they "
    "thing".split()
)


@dataclass(frozen=True, slots=True)
class SurfaceRule:
    """A rule: call it with a puzzle for the index of its candidate, or -1 for no opinion."""

    judge: Callable[[Puzzle], bool | None]  # true-false and yes-no puzzles: is the statement true?
    pick: Callable[[Puzzle], int] = lambda puzzle: NO_OPINION  # puzzles with other candidates

    def __call__(self, puzzle: Puzzle) -> int:
        """The index of the candidate that the rule names, -1 for no opinion."""
        if not _is_verdict(puzzle.candidates):
            return self.pick(puzzle)
        verdict = self.judge(puzzle)
        if verdict is None:
            return NO_OPINION
        return [text.lower() in ("true", "yes") for text in puzzle.candidates].index(verdict)


def surface_choices(puzzles: Sequence[Puzzle]) -> np.ndarray:
    """The candidate that each rule names, after learning from the validation puzzles among these.

    A set without validation puzzles leaves rules as they are written, and the majority is the first
    candidate.

    Returns:
        (puzzle, rule) int8 index into the puzzle's candidates, rules in the order of
        `SURFACE_RULES`.
    """
    said = [[rule(p) for rule in SURFACE_RULES.values()] for p in puzzles]
    opinions = np.array(said, dtype=np.int8).reshape(len(puzzles), len(SURFACE_RULES))
    is_of_two = _column(_is_verdict(p.candidates) for p in puzzles).astype(bool)
    is_judged = (opinions != NO_OPINION) & is_of_two

    validation = [(row, p) for row, p in enumerate(puzzles) if p.split == "validation"]
    known = [(row, p.candidates, p.answer) for row, p in validation if p.answer is not None]
    rows = [row for row, _, _ in known]
    is_wrong = is_judged[rows] & (opinions[rows] != _column(answer for _, _, answer in known))
    is_turned = 2 * is_wrong.sum(axis=0) > is_judged[rows].sum(axis=0)
    choices = np.where(is_judged & is_turned, 1 - opinions, opinions)

    is_own = _have_own_candidates(puzzles)
    seen: Counter[str | int] = Counter(
        answer if is_own[row] else candidates[answer] for row, candidates, answer in known
    )
    majority = _column(
        _majority(range(len(p.candidates)) if own else p.candidates, seen)
        for p, own in zip(puzzles, is_own, strict=True)
    )
    return np.where(choices == NO_OPINION, majority, choices).astype(np.int8)


def surface_accuracy(puzzles: Sequence[Puzzle]) -> pd.DataFrame:
    """How often each rule is right, at every difficulty.

    Puzzles whose answer nobody knows are left out.

    Returns:
        rule, split, steps, distractors (missing where the puzzles state none), n, n_right.

    >>> from qkcore import generate_puzzles, surface_accuracy
    >>> counts = surface_accuracy(generate_puzzles(steps=2, distractors=0, n=40))
    >>> test = counts[counts["split"] == "test"].set_index("rule")
    >>> test.loc["contains not", ["n", "n_right"]].tolist()
    [20, 10]
    """
    puzzles = [puzzle for puzzle in puzzles if puzzle.answer is not None]
    columns = ["split", "steps", "distractors"]
    cells = pd.DataFrame(
        [[getattr(p, column) for column in columns] for p in puzzles], columns=columns
    )
    cells = cells.astype({"steps": "Int64", "distractors": "Int64"})
    answers = np.array([puzzle.answer for puzzle in puzzles], dtype=np.int8)
    is_right = pd.DataFrame(
        surface_choices(puzzles) == answers[:, None], columns=list(SURFACE_RULES)
    )
    by_cell = is_right.groupby([cells[column] for column in columns], dropna=False)
    counts = by_cell.sum().assign(n=by_cell.size()).reset_index()
    counts = counts.melt([*columns, "n"], var_name="rule", value_name="n_right")
    return counts[["rule", *columns, "n", "n_right"]].astype({"n": "int64", "n_right": "int64"})


def _column(values: Iterable[int]) -> np.ndarray:
    return np.fromiter(values, dtype=np.int8)[:, None]


def _is_verdict(candidates: tuple[str, ...]) -> bool:
    """Are the candidates true and false, or yes and no?

    >>> _is_verdict(("No", "Yes")), _is_verdict(("red", "blue"))
    (True, False)
    """
    return any(sorted(pair) == sorted(map(str.lower, candidates)) for pair in VERDICTS)


def _have_own_candidates(puzzles: Sequence[Puzzle]) -> list[bool]:
    """Whether each puzzle's candidates are those of no other group: options, not verdicts.

    Their texts tell nothing of another group's puzzles, and to count them would be to learn the
    validation puzzles by heart; what can be commonest is a place.
    """
    groups: dict[frozenset[str], set[str]] = {}
    for puzzle in puzzles:
        groups.setdefault(frozenset(puzzle.candidates), set()).add(puzzle.group)
    return [
        not _is_verdict(p.candidates) and len(groups[frozenset(p.candidates)]) == 1 for p in puzzles
    ]


def _majority(candidates: Sequence[str] | range, seen: Counter[str | int]) -> int:
    """The candidate (or place) that is most often the answer, the first of equals.

    >>> _majority(("true", "false"), Counter(false=3, true=2))
    1
    """
    times = [seen[one] for one in candidates]
    return times.index(max(times))


# Words


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[tuple[str, ...], ...]:
    """Each sentence's words, singular and without articles.

    >>> _sentences("Max isn't an impus. All impuses are red.")
    (('max', 'is', 'not', 'impus'), ('all', 'impus', 'is', 'red'))
    """
    text = re.sub(r"n['’]t\b|(?<=can)not\b", " not", text.lower().replace("can't", "can not"))
    sentences = (re.findall(r"\w+", part) for part in re.split(r"[.!?;\n]", text))
    return tuple(
        tuple(_singular(word) for word in words if word not in _LEFT_OUT)
        for words in sentences
        if words
    )


def _singular(word: str) -> str:
    """A word without its plural ending.

    >>> [_singular(word) for word in ("wumpuses", "cats", "glass", "is", "are")]
    ['wumpus', 'cat', 'glass', 'is', 'is']
    """
    if word == "are":
        return "is"
    if re.search(r"(s|x|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^sui]s$", word) else word


def _words(text: str) -> list[str]:
    return [word for sentence in _sentences(text) for word in sentence]


def _joined(words: Sequence[str]) -> str:
    """Words between spaces, so that "red" is not found inside "bored"."""
    return f" {' '.join(words)} "


def _is_negative(statement: str) -> bool:
    return "not" in _words(statement)


def _mentions(puzzle: Puzzle) -> list[tuple[bool, tuple[str, ...]]]:
    """Where the context has the statement's last word.

    For each place: is it without "not" right before it, and the words before that.

    >>> from qkcore.puzzles.puzzle import Puzzle
    >>> texts = ("Impuses are not red.", "Max is red.")
    >>> _mentions(Puzzle("1", *texts, ("true", "false"), 1, None, None, "1", "test"))
    [(False, ('impus', 'is'))]
    """
    wanted = _words(puzzle.statement)[-1:]
    found = []
    for sentence in _sentences(puzzle.context):
        for place, word in enumerate(sentence):
            if [word] == wanted:
                is_positive = sentence[:place][-1:] != ("not",)
                found.append((is_positive, sentence[: place - (not is_positive)]))
    return found


# The rules


def _contains_not(puzzle: Puzzle) -> bool:
    return not _is_negative(puzzle.statement)


def _phrase_occurs(puzzle: Puzzle) -> bool | None:
    """Is "is (not) P" of "X is (not) P" in the context?

    Be it with "is" or "are", singular or plural.
    """
    words = _words(puzzle.statement)
    if "is" not in words[1:-1]:
        return None
    phrase = _joined(words[words.index("is", 1) :])
    return any(phrase in _joined(sentence) for sentence in _sentences(puzzle.context))


def _subject_frequency(puzzle: Puzzle) -> bool | None:
    """Of the premises "S is P" and "T is not P", believe the one with the more frequent subject.

    How often the context names it counts.
    """
    counts = Counter(_words(puzzle.context))
    most = {True: 0, False: 0}
    for is_positive, before in _mentions(puzzle):
        subjects = [word for word in before if word not in _NO_SUBJECT]
        most[is_positive] = max([most[is_positive], *(counts[word] for word in subjects[-1:])])
    if most[True] == most[False]:
        return None
    return (most[True] > most[False]) != _is_negative(puzzle.statement)


def _last_mention(puzzle: Puzzle) -> bool | None:
    mentions = _mentions(puzzle)
    return mentions[-1][0] != _is_negative(puzzle.statement) if mentions else None


def _word_overlap(puzzle: Puzzle) -> bool:
    return set(_words(puzzle.statement)) <= set(_words(puzzle.context))


def _length(puzzle: Puzzle) -> bool:
    """Is the statement no longer than the premises are on average, in words?"""
    sentences = _sentences(puzzle.context)
    return len(_words(puzzle.statement)) * len(sentences) <= sum(map(len, sentences))


def _largest(measure: Callable[[str, str], float]) -> Callable[[Puzzle], int]:
    """A pick: the one candidate that measures most.

    The measure is given context and candidate as words between spaces.
    """

    def pick(puzzle: Puzzle) -> int:
        context = _joined(_words(puzzle.context))
        values = [measure(context, _joined(_words(text))) for text in puzzle.candidates]
        return values.index(max(values)) if values.count(max(values)) == 1 else NO_OPINION

    return pick


SURFACE_RULES: dict[str, Callable[[Puzzle], int]] = {
    "majority": SurfaceRule(lambda puzzle: None),
    "contains not": SurfaceRule(_contains_not),
    "phrase occurs": SurfaceRule(_phrase_occurs),
    "subject frequency": SurfaceRule(_subject_frequency, _largest(str.count)),
    "last mention": SurfaceRule(_last_mention, _largest(str.rfind)),
    "word overlap": SurfaceRule(
        _word_overlap, _largest(lambda c, text: len(set(c.split()) & set(text.split())))
    ),
    "length": SurfaceRule(_length, _largest(lambda _, text: len(text.split()))),
}
