"""What follows from a puzzle's context: forward chaining over what qkcore.english reads.

Sound and not complete: `solve` says true or false only with a proof by applying rules forwards. What would need a
proof by cases or by contradiction comes out as unknown, never wrongly. Steps are the rules applied in the shortest
such proof, as PrOntoQA counts hops.
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass
from itertools import count

from qkcore.english import ANYTHING, Formula, Literal, Reader, ReadingError, Sentence
from qkcore.puzzles import PuzzleError

__all__ = ["LogicError", "ReadingError", "Solution", "Theory", "parse_puzzle", "solve"]


class LogicError(PuzzleError):
    """A context that says two opposite things, or cannot be decided under a closed world."""


@dataclass(frozen=True, slots=True)
class Theory:
    """A context and a statement, read."""

    premises: tuple[Sentence, ...]
    statement: Formula


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer, and how it comes about."""

    verdict: bool | None  # None: unknown
    proof: tuple[str, ...]  # the premises used, in the context's order; empty when unknown
    steps: int | None  # rules applied in the proof; None when unknown


@dataclass(frozen=True, slots=True)
class _Proof:
    applied: frozenset[tuple[int, str]]  # (premise, subject it was applied to): the rules
    facts: frozenset[int]  # premises taken as they stand


@dataclass(frozen=True, slots=True)
class _Rule:
    premise: int
    condition: tuple[Literal, ...]
    conclusion: Literal


def parse_puzzle(context: str, statement: str) -> Theory:
    """Read a puzzle.

    Raises:
        ReadingError: quoting the sentence that could not be read, with the forms that can.

    >>> theory = parse_puzzle("Max is a cat. All cats are mammals.", "Max is a mammal.")
    >>> solve(theory)
    Solution(verdict=True, proof=('Max is a cat.', 'All cats are mammals.'), steps=1)
    """
    reader = Reader()
    reader.learn(f"{context} {statement}")
    premises = tuple(reader.sentences(context))
    asked = reader.sentences(statement)
    if len(asked) != 1 or asked[0].condition is not None:
        raise ReadingError(f"the statement must say one thing about somebody, found {statement.strip()!r}")
    return Theory(premises, asked[0].conclusion)


def solve(theory: Theory, closed_world: bool = False) -> Solution:
    """Decide a theory's statement.

    Args:
        closed_world: what cannot be shown is false, and "not" in a condition holds where the context does not state the
            opposite. That is how PARARULE-Plus labels its puzzles; were derived facts to count against a "not" too
            (stratified negation), 8 of the 670 puzzles of its samples would come out otherwise.

    Raises:
        LogicError: when the context says of somebody both that something holds and that it does not; under a closed
            world also when it holds an "or" that cannot be decided.
    """
    rules, is_partial = _rules(theory)
    if closed_world and is_partial:
        raise LogicError('a context with "or" in what holds cannot be decided under a closed world')
    known = _chain(rules, _subjects(theory), closed_world)
    _check_consistent(known, theory)
    return _solution(theory, known, closed_world)


def _rules(theory: Theory) -> tuple[list[_Rule], bool]:
    """Rules with one conclusion and an "and" condition each, and whether some sentence said more than they do."""
    rules, is_partial = [], False
    for number, sentence in enumerate(theory.premises):
        condition = sentence.condition
        if sentence.conclusion.is_any and len(sentence.conclusion.literals) > 1:
            is_partial = True  # "X is a cat or a dog": nothing is concluded from that
            continue
        ways = [()] if condition is None else [condition.literals]
        if condition is not None and condition.is_any:
            ways = [(literal,) for literal in condition.literals]
        rules += [_Rule(number, way, conclusion) for way in ways for conclusion in sentence.conclusion.literals]
    return rules, is_partial


def _subjects(theory: Theory) -> list[str]:
    formulas = [theory.statement]
    for sentence in theory.premises:
        formulas += [formula for formula in (sentence.conclusion, sentence.condition) if formula is not None]
    return sorted({literal.subject for formula in formulas for literal in formula.literals} - {ANYTHING})


def _chain(rules: list[_Rule], subjects: list[str], closed_world: bool) -> dict[Literal, _Proof]:
    """All that follows, each with a shortest proof (Knuth's generalisation of Dijkstra's algorithm)."""
    known: dict[Literal, _Proof] = {}
    stated = {rule.conclusion for rule in rules if not rule.condition}
    order = count()
    agenda: list[tuple[int, int, Literal, _Proof]] = []
    waiting: dict[Literal, list[tuple[_Rule, str, set[Literal]]]] = defaultdict(list)

    def conclude(rule: _Rule, subject: str) -> None:
        proofs = [known[literal] for literal in _bound(rule.condition, subject) if literal in known]
        applied = frozenset().union(*(proof.applied for proof in proofs))
        facts = frozenset().union(*(proof.facts for proof in proofs))
        if rule.condition:
            applied |= {(rule.premise, subject)}
        else:
            facts |= {rule.premise}
        (conclusion,) = _bound((rule.conclusion,), subject)
        heapq.heappush(agenda, (len(applied), next(order), conclusion, _Proof(applied, facts)))

    for rule in rules:
        for subject in subjects if _is_general(rule) else [""]:
            open_ = set(_bound(rule.condition, subject))
            if closed_world:
                open_ = {one for one in open_ if one.is_positive or one.denied() in stated}
            if not open_:
                conclude(rule, subject)
            for literal in open_:
                waiting[literal].append((rule, subject, open_))
    while agenda:
        _, _, literal, proof = heapq.heappop(agenda)
        if literal in known:
            continue
        known[literal] = proof
        for rule, subject, open_ in waiting.pop(literal, []):
            open_.discard(literal)
            if not open_:
                conclude(rule, subject)
    return known


def _is_general(rule: _Rule) -> bool:
    return any(literal.subject == ANYTHING for literal in (*rule.condition, rule.conclusion))


def _bound(literals: tuple[Literal, ...], subject: str) -> list[Literal]:
    return [Literal(subject, one.predicate, one.is_positive) if one.subject == ANYTHING else one for one in literals]


def _check_consistent(known: dict[Literal, _Proof], theory: Theory) -> None:
    for literal, proof in known.items():
        if literal.is_positive and literal.denied() in known:
            used = _texts(theory, [proof, known[literal.denied()]])
            raise LogicError(
                f"the context contradicts itself: {literal.subject!r} would be {literal.predicate!r} and not, by "
                + " ".join(used)
            )


def _texts(theory: Theory, proofs: list[_Proof]) -> tuple[str, ...]:
    numbers = {number for proof in proofs for number in proof.facts | {premise for premise, _ in proof.applied}}
    return tuple(theory.premises[number].text for number in sorted(numbers))


def _solution(theory: Theory, known: dict[Literal, _Proof], closed_world: bool) -> Solution:
    """The statement's verdict from its literals'; one that decides an "or" or "and" alone is the proof."""
    nothing = _Proof(frozenset(), frozenset())
    found: list[tuple[bool | None, _Proof]] = []
    for literal in theory.statement.literals:
        if literal in known:
            found.append((True, known[literal]))
        elif literal.denied() in known:
            found.append((False, known[literal.denied()]))
        else:
            found.append((not literal.is_positive, nothing) if closed_world else (None, nothing))
    decisive = theory.statement.is_any  # one true literal decides an "or", one false an "and"
    alone = [proof for verdict, proof in found if verdict is decisive]
    if alone:
        proofs, verdict = [min(alone, key=lambda proof: len(proof.applied))], decisive
    elif all(verdict is not None for verdict, _ in found):
        proofs, verdict = [proof for _, proof in found], not decisive
    else:
        return Solution(None, (), None)
    applied = frozenset().union(*(proof.applied for proof in proofs))
    return Solution(verdict, _texts(theory, proofs), len(applied))
