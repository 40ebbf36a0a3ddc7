"""The balanced twin of a puzzle set: its contexts, with statements that no surface rule can judge.

For each context that the solver reads, as many statements of four kinds: "X is P" where that holds
(true), its denial (false), "Y is P" where it does not hold (false), its denial (true). The word is
the same on both sides, so its counts and places tell nothing; pairs are crossed where the context
allows it (Y is Q, X is not), so that names tell nothing either. Every answer is solved once more
from the finished text. Promises that a twin's puzzles keep group and split and name their parent.

Knows nothing of models, of published files, or of which rules it is measured by.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from qkcore.puzzles.contrasts import Contrast, Evenness, choose, contrasts, layout_of
from qkcore.puzzles.english import Grammar, Literal, ReadingError, Sentence
from qkcore.puzzles.logic import parse_puzzle, solve
from qkcore.puzzles.mirror import article_of, mirrored
from qkcore.puzzles.puzzle import SPLITS, Puzzle, PuzzleError, puzzle_set_sha256
from qkcore.puzzles.twin import LeftOut, Twin, parent_of
from qkcore.puzzles.worlds import SAYS, WORLDS, Verdicts, agreement, verdicts

MAX_PER_CONTEXT = 100


def balance_puzzles(
    puzzles: Sequence[Puzzle], world: str | None = None, per_context: int = 2, seed: int = 0
) -> Twin:
    """Make the balanced twin of a set.

    In a closed world, what does not follow does not hold. In an open world, what does not hold must
    be denied by a proof of as many steps. A context in which nothing holds of one and fails for
    another (it may speak of one only) is put beside its mirror image, in which another name stands,
    of whom the opposite holds.

    Steps are those of the proof for X, for Y too: there the same proof breaks off. They are as near
    to those of the parent's puzzles as crossing allows, and 0 (the context holds the statement)
    only where the parent has 0. Distractors are counted where the parent's puzzles state them: the
    premises that none of the four statements needs. In a closed world they stay unknown, for what
    does not follow needs all premises.

    Args:
        puzzles: the parent; true-false or yes-no.
        world: "open" or "closed"; None takes the one in which the solver agrees with more of the
            parent's answers (`Twin.agreed`), open if there are as many.
        per_context: statements of each kind, where the context has as many, 1 to 100. An odd one
            stands for itself; the others are crossed.
        seed: of what is drawn.

    Returns:
        `puzzles`; `world`; `agreed`, how many stored answers the solver gives in each world;
        `n_contexts` of the parent; `n_mirrored`; `left_out`, each other context with the reason.

    Raises:
        PuzzleError: if the puzzles are a twin themselves, or no context can be used; when an
            argument is out of its range.

    >>> from qkcore import Puzzle, balance_puzzles
    >>> context = "Max is big. Rex is shy. If someone is big then they are kind."
    >>> one = Puzzle("p", context, "Max is kind.", ("true", "false"), 0, 1, None, "g", "test")
    >>> for made in balance_puzzles([one], world="closed", per_context=1).puzzles:
    ...     print(made.puzzle_id, made.statement, made.candidates[made.answer])
    g-twin-1 Max is kind. true
    g-twin-2 Max is not kind. false
    g-twin-3 Rex is kind. false
    g-twin-4 Rex is not kind. true
    """
    if world not in (None, *WORLDS):
        raise PuzzleError(f"world {world!r} is not known; it is 'open' or 'closed'")
    if not 1 <= per_context <= MAX_PER_CONTEXT:
        raise PuzzleError(
            f"{per_context} statements of each kind per context: ask for 1 to {MAX_PER_CONTEXT}"
        )
    if parent_of(puzzles) is not None:
        raise PuzzleError("these puzzles are a twin already; balance the set that it was made of")
    solved = [verdicts(puzzle) for puzzle in puzzles]
    agreed = agreement(solved)
    maker = _Maker(world or agreed.world, per_context, seed, puzzle_set_sha256(puzzles))
    by_context: dict[tuple[str, str], list[tuple[Puzzle, Verdicts]]] = {}
    for puzzle, found in zip(puzzles, solved, strict=True):
        by_context.setdefault((puzzle.group, puzzle.context), []).append((puzzle, found))
    made: list[Puzzle] = []
    left_out: list[LeftOut] = []
    for pairs in by_context.values():
        members = [puzzle for puzzle, _ in pairs]
        try:
            for puzzle, found in pairs:
                _check_answer(puzzle, found, maker.world)
            made += maker.statements(members)
        except PuzzleError as error:
            # What could be read instead is many lines long, and the same for each
            reason = str(error).partition("; sentences like these are read")[0]
            left_out.append(LeftOut(members[0].puzzle_id, len(members), reason))
    if not made:
        raise _nothing_made(puzzles, left_out)
    return Twin(_numbered(made), maker.world, agreed, len(by_context), maker.n_mirrored, left_out)


def _check_answer(puzzle: Puzzle, solved: Verdicts, world: str) -> None:
    """Refuse a context whose stored answers are not what the solver finds."""
    found = solved.by(world)
    if None not in (solved.stored, found) and found is not solved.stored:
        raise PuzzleError(
            f"{puzzle.puzzle_id} is {str(found).lower()} as it is read here, while its answer says "
            f"{str(solved.stored).lower()}"
        )


def _nothing_made(puzzles: Sequence[Puzzle], left_out: Sequence[LeftOut]) -> PuzzleError:
    if not left_out:
        return PuzzleError("there are no puzzles to balance")
    return PuzzleError(
        f"no twin can be made: none of the {len(left_out):,} contexts ({len(puzzles):,} puzzles) "
        f"can be used; the first, of {left_out[0].puzzle_id}: {left_out[0].reason}"
    )


def _numbered(puzzles: Sequence[Puzzle]) -> list[Puzzle]:
    """The same puzzles, each with an id made of its group's name."""
    numbers = Counter[str]()
    named = []
    for puzzle in puzzles:
        numbers[puzzle.group] += 1
        named.append(replace(puzzle, puzzle_id=f"{puzzle.group}-twin-{numbers[puzzle.group]}"))
    return named


@dataclass(slots=True)
class _Maker:
    """Makes a context's statements, one context after another."""

    world: str
    per_context: int
    seed: int
    parent: str
    n_mirrored: int = 0
    # By split: were only the whole set even, its halves would be uneven in opposite ways, and what
    # was learnt on one would be wrong on the other.
    evenness: dict[str, Evenness] = field(
        default_factory=lambda: {split: Evenness() for split in SPLITS}
    )

    @property
    def is_closed(self) -> bool:
        return self.world == "closed"

    def statements(self, members: Sequence[Puzzle]) -> list[Puzzle]:
        """The twin's puzzles for one context, not yet numbered.

        Raises:
            PuzzleError: saying why there are none.
        """
        first = members[0]
        if {SAYS.get(word.lower()) for word in first.candidates} != {True, False}:
            listed = ", ".join(map(repr, first.candidates))
            raise PuzzleError(f"its candidates ({listed}) are neither true-false nor yes-no")
        rng = random.Random(f"{self.seed} {first.group} {first.context}")
        context, premises, found = self._contrasts(first.context, rng)
        steps = [puzzle.steps for puzzle in members if puzzle.steps is not None]
        chosen = choose(
            found, self.per_context, steps, layout_of(premises), self.evenness[first.split], rng
        )
        if not chosen:
            raise PuzzleError(
                "nothing that takes a step to show holds of one subject and fails for another"
            )
        made: list[Puzzle] = []
        counts_distractors = not self.is_closed and any(
            puzzle.distractors is not None for puzzle in members
        )
        for one in chosen:
            n_unused = len(premises) - len(one.proof) if counts_distractors else None
            asked = replace(first, context=context, distractors=n_unused, parent=self.parent)
            made += self._four_kinds(asked, one)
        self.n_mirrored += context != first.context
        return made

    def _contrasts(
        self, context: str, rng: random.Random
    ) -> tuple[str, list[Sentence], list[Contrast]]:
        """The context to ask about, as text and read, and its contrasts."""
        premises = _read(context)
        found = contrasts(premises, self.is_closed)
        if found:
            return context, premises, found
        beside = mirrored(context, rng)
        try:
            premises = _read(beside)
        except ReadingError as error:  # "is not a cat and red": does the "not" reach the red?
            raise PuzzleError(
                f"beside its mirror image it can no longer be read: {error}"
            ) from None
        return beside, premises, contrasts(premises, self.is_closed)

    def _four_kinds(self, asked: Puzzle, one: Contrast) -> Iterator[Puzzle]:
        """What holds and its denial, what does not hold and its denial; each solved once more."""
        says = [SAYS[word.lower()] for word in asked.candidates]
        for subject, holds in ((one.holder, True), (one.other, False)):
            literal = Literal(subject, one.predicate)
            affirmed, denied = (
                _statement(said, asked.context) for said in (literal, literal.denied())
            )
            # The denial teaches the grammar no other word, so the premises are read once for both
            theory = parse_puzzle(asked.context, affirmed)
            opposite = replace(theory, statement=Grammar().sentence(denied).conclusion)
            for statement, read, said, verdict in (
                (affirmed, theory, literal, holds),
                (denied, opposite, literal.denied(), not holds),
            ):
                is_right = solve(read, self.is_closed).verdict is verdict
                if read.statement.literals != (said,) or not is_right:
                    raise PuzzleError(f"{statement!r} reads another way beside this context")
                answer = says.index(verdict)
                yield replace(asked, statement=statement, answer=answer, steps=one.steps)


def _read(context: str) -> list[Sentence]:
    grammar = Grammar()
    grammar.learn(context)
    return grammar.sentences(context)


def _statement(literal: Literal, context: str) -> str:
    """A literal in words, the name written as the context writes it.

    >>> _statement(Literal("bald eagle", "red", False), "The bald eagle is big.")
    'The bald eagle is not red.'
    >>> _statement(Literal("max", "impus"), "Max is a wumpus. Wumpuses are impuses.")
    'Max is an impus.'
    """
    subject = re.escape(literal.subject)
    written = re.search(rf"\b(the )?{subject}\b", context, re.IGNORECASE)
    name = written[0] if written else literal.subject
    sign = "" if literal.is_positive else "not "
    article = article_of(literal.predicate, context)
    return f"{name[0].upper()}{name[1:]} is {sign}{article}{literal.predicate}."
