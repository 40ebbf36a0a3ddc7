"""Training sequences: one context, then many statements about it side by side.

Each statement sees the context and itself, at the positions it would have in a prompt of its own,
so the model computes exactly what it computes for single prompts. Beside the answer, a lesson says
what a reader could know at each place: whose premise this is, and which words are reached from the
statement's subject after 0, 1, 2... premises. Those serve the temporary losses of train.py. Knows
nothing of the model.
"""

import random
import re
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from vocabulary import PROMPT

from qkcore.puzzles.generate import STYLES, Premise, Style, mirrored_premises

N_HOPS = 6  # premises followed by the temporary losses: a fact and five rules
IGNORE = -100

_WORDS = list(
    dict.fromkeys(
        w for style in STYLES.values() for w in (*style.names, *style.nouns, *style.adjectives)
    )
)
# What a subject can turn out to be: a number for each word, and for each word with "not".
KIND_OF = {
    (word, is_positive): i
    for i, (is_positive, word) in enumerate((p, w) for p in (True, False) for w in _WORDS)
}
N_KINDS = len(KIND_OF)
Kinds = set[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which contexts to draw: ranges with both ends, and what else to mix in."""

    steps: tuple[int, int]
    distractors: tuple[int, int]
    share_wide: float = 0.0  # of contexts with many more distractors
    n_aside: int = 0  # statements about the adjectives of distractors, at most
    share_told: float = 0.0  # of contexts whose text goes on after each answer, with the proof
    # Once a statement's word is reached, the temporary losses ask for nothing else
    narrows: bool = False


WIDE = (6, 14)  # distractors of a wide context, about as many premises as a PrOntoQA context has


@dataclass(slots=True)
class Lesson:
    """One packed sequence; places are positions in `ids`."""

    ids: list[int]
    # (place of a premise's last word, its subject)
    subjects: list[tuple[int, int]] = field(default_factory=list)
    # (the same place, what is said of the subject)
    objects: list[tuple[int, int]] = field(default_factory=list)
    n_context: int = 0
    # (begin, end) of each statement with its "Answer:"
    spans: list[tuple[int, int]] = field(default_factory=list)
    # (place of the last ":", is true, steps)
    answers: list[tuple[int, bool, int]] = field(default_factory=list)
    # (begin, end) of the text from each answer on
    told: list[tuple[int, int]] = field(default_factory=list)
    # (place at a statement's end, what is reached from its subject, is true)
    tails: list[tuple[int, list[Kinds], bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons padded to one width."""

    ids: Tensor  # (lesson, place)
    positions: Tensor  # (lesson, place)
    mask: Tensor  # (lesson, 1, place, place) True where a place may look
    # (lesson, place) 1 for true, 0 for false, at each prompt's last token, else IGNORE
    answers: Tensor
    steps: Tensor  # (lesson, place) steps of the statement at the same place
    # (lesson, place) the next token where the text goes on after an answer, else IGNORE
    following: Tensor
    # (lesson, place) number of the premise's subject at its last word, else IGNORE
    subjects: Tensor
    objects: Tensor  # (lesson, place) number of what it says, else IGNORE
    tails: Tensor  # (tail, 2) lesson and place at which `reached` should be known
    verdicts: Tensor  # (tail,) 1 where the statement is true, else 0
    reached: Tensor  # (hop, tail, kind) shares of what is reached after that many premises, sum 1


def reached_sets(premises: list[Premise], subject: str) -> list[Kinds]:
    """What is reached from `subject` after 0, 1, ... N_HOPS premises; a dead end stays where it is.

    >>> reached_sets([Premise("Max", "wumpus"), Premise("wumpus", "cold", False)], "Max")[:4]
    [{('Max', True)}, {('wumpus', True)}, {('cold', False)}, {('cold', False)}]
    """
    follows = defaultdict(set)
    for premise in premises:
        follows[premise.subject, True].add((premise.word, premise.is_positive))
    sets = [{(subject, True)}]
    for _ in range(N_HOPS):
        sets.append(set().union(*(follows[kind] or {kind} for kind in sets[-1])))
    return sets


def narrowed(reached: list[Kinds], word: str) -> list[Kinds]:
    """What is reached, and only `word` from where it is.

    >>> last = {("cold", False), ("hot", True)}
    >>> narrowed([{("Max", True)}, {("wumpus", True), ("hot", True)}, last], "cold")[2]
    {('cold', False)}
    """
    return [{kind for kind in kinds if kind[0] == word} or kinds for kinds in reached]


def proof_of(premises: list[Premise], statement: Premise) -> list[Premise]:
    """The premises that lead from the statement's subject to its word, in that order.

    >>> rule, fact = Premise("wumpus", "cold", False), Premise("Max", "wumpus")
    >>> proof_of([rule, fact], Premise("Max", "cold")) == [fact, rule]
    True
    """
    paths = [[premise] for premise in premises if premise.subject == statement.subject]
    for path in paths:  # grows while it is read: breadth first
        if path[-1].word == statement.word:
            return path
        paths += [[*path, premise] for premise in premises if premise.subject == path[-1].word]
    raise ValueError(f"{statement} is not decided")


class Teacher:
    """Draws lessons; words are looked up in the tokenizer once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._id_of: dict[str, int] = {}
        before, rest = PROMPT.split(" {context}")
        middle, after = rest.split(" {statement}")
        self._before, self._middle = tokenizer(before).input_ids, tokenizer(middle).input_ids
        self._after = tokenizer(after).input_ids

    def batches(self, plan: Plan, size: int, n: int, seed: str) -> list[Batch]:
        """`n` batches of `size` lessons.

        Lessons of like length share a batch, the batches come in random order.
        """
        rng = random.Random(seed)
        lessons = sorted(
            (self._draw(plan, rng) for _ in range(size * n)), key=lambda lesson: len(lesson.ids)
        )
        groups = [lessons[i * size : (i + 1) * size] for i in range(n)]
        rng.shuffle(groups)
        return [_batch(group) for group in groups]

    def _draw(self, plan: Plan, rng: random.Random) -> Lesson:
        style = rng.choice(list(STYLES.values()))
        steps = rng.randint(*plan.steps)
        distractors = rng.randint(*(WIDE if rng.random() < plan.share_wide else plan.distractors))
        premises, statements = mirrored_premises(rng, style, steps, distractors)
        more = _rule_statements(rng, premises, statements)
        if plan.n_aside:
            more += _aside_statements(rng, premises, statements, plan.n_aside)
        return self._pack(rng, style, premises, statements + more, plan)

    def _pack(
        self,
        rng: random.Random,
        style: Style,
        premises: list[Premise],
        statements: list[Premise],
        plan: Plan,
    ) -> Lesson:
        lesson = Lesson(ids=list(self._before))
        is_told = plan.share_told > 0 and rng.random() < plan.share_told
        said = {}
        for premise in premises:
            said[premise] = self._tokens(style.sentence(premise, rng))
            lesson.ids += said[premise]
            last_word = len(lesson.ids) - 2
            lesson.subjects.append((last_word, KIND_OF[premise.subject, True]))
            lesson.objects.append((last_word, KIND_OF[premise.word, premise.is_positive]))
        lesson.n_context = len(lesson.ids)
        for statement in statements:
            begin = len(lesson.ids)
            lesson.ids += self._middle + self._tokens(style.sentence(statement, rng)) + self._after
            end = len(lesson.ids)
            reached = reached_sets(premises, statement.subject)
            is_true, steps = _verdict(statement, reached)
            reached = narrowed(reached, statement.word) if plan.narrows else reached
            lesson.answers.append((end - 1, is_true, steps))
            if is_told:  # " true. Max is a wumpus. Every wumpus is cold. Max is cold."
                lesson.ids += [self._id(" true" if is_true else " false"), self._id(".")]
                for premise in (proof := proof_of(premises, statement)):
                    lesson.ids += said[premise]
                conclusion = Premise(statement.subject, statement.word, proof[-1].is_positive)
                lesson.ids += self._tokens(style.sentence(conclusion, rng))
                lesson.told.append((end, len(lesson.ids)))
            lesson.spans.append((begin, len(lesson.ids)))
            places = range(end - len(self._after) - 1, end)
            lesson.tails += [(place, reached, is_true) for place in places]
        return lesson

    def _tokens(self, sentence: str) -> list[int]:
        return [
            self._id("." if word == "." else f" {word}") for word in re.findall(r"\w+|\.", sentence)
        ]

    def _id(self, text: str) -> int:
        if text not in self._id_of:
            (self._id_of[text],) = self._tokenizer(text).input_ids
        return self._id_of[text]


def _verdict(statement: Premise, reached: list[Kinds]) -> tuple[bool, int]:
    """(is true, steps) of a statement that follows or whose denial follows."""
    for hop, kinds in enumerate(reached):
        for is_positive in (True, False):
            if (statement.word, is_positive) in kinds:
                return is_positive == statement.is_positive, hop - 1
    raise ValueError(f"{statement} is not decided within {N_HOPS} premises")


def _rule_statements(
    rng: random.Random, premises: list[Premise], statements: list[Premise]
) -> list[Premise]:
    """Up to two more statements about classes on the two chains, such as "every wumpus is cold"."""
    goal = statements[0].word
    classes = []
    for premise in premises:
        decides = (goal, True), (goal, False)
        is_class = premise.subject[0].islower()
        if is_class and any(
            kind in reached_sets(premises, premise.subject)[-1] for kind in decides
        ):
            classes.append(premise.subject)
    classes = sorted(set(classes))
    return [Premise(c, goal, rng.random() < 0.5) for c in rng.sample(classes, min(2, len(classes)))]


def _aside_statements(
    rng: random.Random, premises: list[Premise], statements: list[Premise], n_most: int
) -> list[Premise]:
    """Statements about adjectives off the chains.

    They hold of one entity and are denied of the other.
    """
    entities = dict.fromkeys(statement.subject for statement in statements)
    ends = [reached_sets(premises, entity)[-1] for entity in entities]
    aside = sorted(
        w
        for w, is_positive in ends[0]
        if (w, not is_positive) in ends[1] and w != statements[0].word
    )
    possible = [Premise(entity, word, rng.random() < 0.5) for word in aside for entity in entities]
    return rng.sample(possible, min(n_most, len(possible)))


def _batch(lessons: list[Lesson]) -> Batch:
    shape = len(lessons), max(len(lesson.ids) for lesson in lessons)
    ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    # 0 in the context, 1, 2, ... in the statements, -1 in the padding
    segment = torch.full(shape, -1)
    answers, steps, following, subjects, objects = (torch.full(shape, IGNORE) for _ in range(5))
    for row, lesson in enumerate(lessons):
        ids[row, : len(lesson.ids)] = torch.tensor(lesson.ids)
        positions[row, : lesson.n_context] = torch.arange(lesson.n_context)
        segment[row, : lesson.n_context] = 0
        for number, (begin, end) in enumerate(lesson.spans, start=1):
            positions[row, begin:end] = torch.arange(
                lesson.n_context, lesson.n_context + end - begin
            )
            segment[row, begin:end] = number
        for place, is_true, n_steps in lesson.answers:
            answers[row, place], steps[row, place] = int(is_true), n_steps
        for begin, end in lesson.told:
            following[row, begin : end - 1] = ids[row, begin + 1 : end]
        for numbers, known in ((subjects, lesson.subjects), (objects, lesson.objects)):
            for place, number in known:
                numbers[row, place] = number
    same, context_seen = segment[:, :, None] == segment[:, None, :], segment[:, None, :] == 0
    mask = (same | (context_seen & (segment[:, :, None] > 0))) & torch.ones(
        shape[1], shape[1]
    ).tril().bool()
    tails, verdicts, reached = _tails(lessons)
    return Batch(
        ids,
        positions,
        mask[:, None],
        answers,
        steps,
        following,
        subjects,
        objects,
        tails,
        verdicts,
        reached,
    )


def _tails(lessons: list[Lesson]) -> tuple[Tensor, Tensor, Tensor]:
    """(tail, 2) lesson and place, (tail,) verdicts, (hop, tail, kind) shares of what is reached."""
    tails = [(row, *tail) for row, lesson in enumerate(lessons) for tail in lesson.tails]
    index: tuple[list[int], list[int], list[int]] = ([], [], [])
    shares = []
    for number, (_, _, by_hop, _) in enumerate(tails):
        for hop, kinds in enumerate(by_hop):
            for kind in kinds:
                for axis, i in zip(index, (hop, number, KIND_OF[kind]), strict=True):
                    axis.append(i)
                shares.append(1 / len(kinds))
    reached = torch.zeros(N_HOPS + 1, len(tails), N_KINDS)
    reached[tuple(torch.tensor(axis) for axis in index)] = torch.tensor(shares)
    return (
        torch.tensor([tail[:2] for tail in tails]),
        torch.tensor([int(tail[3]) for tail in tails]),
        reached,
    )
