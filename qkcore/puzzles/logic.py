"""What follows from a puzzle's context: forward chaining over what qkcore.puzzles.english reads.

Sound and not complete: `solve` says true or false only with a proof that applies rules forwards.
What would need a proof by cases or by contradiction comes out as unknown, never wrongly; a context
that contradicts itself only by such a proof goes unnoticed. An "or" that holds gives its last part
once all the others are denied, and nothing else.

Steps are the rules applied in the proof that applies the fewest: a rule counts once for each
subject it is applied to, however many parts its condition has and however often its conclusion is
used; taking a premise as it stands and joining parts with "and" or "or" count nothing. So PrOntoQA
counts hops.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from qkcore.puzzles.english import (
    ANYTHING,
    Formula,
    Grammar,
    Literal,
    ReadingError,
    Sentence,
    quoted,
    split,
)
from qkcore.puzzles.puzzle import PuzzleError

# literals looked at in search of a proof with fewer steps; beyond, the best so far is taken
MAX_TRIED = 100_000
MAX_PARTS = 30  # of an "or" that holds; from a longer one nothing is concluded


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


class _Rule(NamedTuple):
    premise: int
    condition: tuple[Literal, ...]  # all of them; none: a fact
    conclusion: Literal


class _Application(NamedTuple):
    rule: _Rule
    subject: str
    needs: tuple[Literal, ...]


def parse_puzzle(context: str, statement: str) -> Theory:
    """Read a puzzle.

    Raises:
        ReadingError: quoting the sentence that could not be read, with the forms that can.

    >>> theory = parse_puzzle("Max is a cat. All cats are mammals.", "Max is a mammal.")
    >>> solve(theory)
    Solution(verdict=True, proof=('Max is a cat.', 'All cats are mammals.'), steps=1)
    """
    grammar = Grammar()
    grammar.learn(context)
    grammar.learn(statement)
    premises = tuple(grammar.sentences(context))
    asked = [grammar.sentence(sentence) for sentence in split(statement)]
    if len(asked) != 1 or asked[0].condition is not None:
        raise ReadingError(
            f"the statement must say one thing about somebody, found {quoted(statement)}"
        )
    _check_names([*premises, *asked])
    return Theory(premises, asked[0].conclusion)


def solve(theory: Theory, closed_world: bool = False) -> Solution:
    """Decide a theory's statement.

    Args:
        theory: from `parse_puzzle`.
        closed_world: what cannot be shown is false (which takes no steps), and "not" in a condition
            holds where the context does not state the opposite. That is how PARARULE-Plus labels
            its puzzles; were derived facts to count against a "not" too (stratified negation), 8 of
            the 670 puzzles of its samples would come out otherwise. It settles every rule, in
            circles too.

    Raises:
        LogicError: when the context says of somebody both that something holds and that it does not
            (found by the same forward chaining); under a closed world also when it holds an "or"
            that cannot be decided.
    """
    rules, subjects = list(_rules(theory, closed_world)), _subjects(theory)
    chain = _Chain(rules, subjects, _scope(rules, theory.statement, subjects), closed_world)
    chain.run()
    if chain.opposites:
        used = chain.applied(chain.opposites)
        raise LogicError(
            f"the context contradicts itself about {chain.opposites[0].subject!r}: "
            f"{' '.join(_texts(theory, used))}"
        )
    verdict, goals = _verdict(theory.statement, chain, closed_world)
    if verdict is None:
        return Solution(None, (), None)
    used = min((_shortest(chain, goal) for goal in goals), key=_steps)
    return Solution(verdict, _texts(theory, used), _steps(used))


def _check_names(sentences: list[Sentence]) -> None:
    """Refuse a word that is a name in one place and a class or property in another.

    "The lion is big. Lions are brave.": is the lion one of them? "Max is Bob. Bob is red.": are
    there two?
    """
    said = [(one, literal) for one in sentences for literal in _literals(one)]
    names = {literal.subject for _, literal in said}
    for sentence, literal in said:
        if literal.predicate in names:
            raise ReadingError(
                f"cannot read {quoted(sentence.text)}: {literal.predicate!r} is also the name of "
                "somebody in this puzzle; give them another name"
            )


def _literals(sentence: Sentence) -> tuple[Literal, ...]:
    condition = sentence.condition.literals if sentence.condition else ()
    return sentence.conclusion.literals + condition


def _subjects(theory: Theory) -> list[str]:
    literals = [literal for sentence in theory.premises for literal in _literals(sentence)]
    return sorted(
        {literal.subject for literal in (*literals, *theory.statement.literals)} - {ANYTHING}
    )


def _rules(theory: Theory, closed_world: bool) -> Iterator[_Rule]:
    """Rules with one conclusion and an "and" condition each."""
    for number, sentence in enumerate(theory.premises):
        literals, condition = sentence.conclusion.literals, sentence.condition
        is_open = sentence.conclusion.is_any and len(literals) > 1
        if is_open and closed_world:
            raise LogicError(
                f"cannot decide under a closed world what {quoted(sentence.text)} leaves open; "
                "drop it"
            )
        ways: list[tuple[Literal, ...]] = [()]
        if condition is not None and condition.is_any:
            ways = [(literal,) for literal in condition.literals]
        elif condition is not None:
            ways = [tuple(dict.fromkeys(condition.literals))]
        for way in ways:
            if not is_open:
                yield from (_Rule(number, way, literal) for literal in literals)
            elif len(literals) <= MAX_PARTS:
                for literal in literals:
                    others = (one.denied() for one in literals if one != literal)
                    yield _Rule(number, (*way, *others), literal)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which literals may matter; the others need not be derived."""

    predicates: set[str]  # of any subject: a contradiction may hang on them
    asked: set[str]  # of some subjects: the statement may hang on them
    subjects: set[str]

    def __contains__(self, literal: Literal) -> bool:
        predicate = literal.predicate
        return predicate in self.predicates or (
            predicate in self.asked and literal.subject in self.subjects
        )


def _scope(rules: list[_Rule], statement: Formula, subjects: list[str]) -> _Scope:
    concluded = {(rule.conclusion.predicate, rule.conclusion.is_positive) for rule in rules}
    clashing = {
        predicate
        for predicate, is_positive in concluded
        if (predicate, not is_positive) in concluded
    }
    links = any(literal.subject != ANYTHING for rule in rules for literal in rule.condition)
    links |= any(rule.condition and rule.conclusion.subject != ANYTHING for rule in rules)
    asked = {literal.subject for literal in statement.literals}
    needed = _needed(rules, {literal.predicate for literal in statement.literals})
    return _Scope(_needed(rules, clashing), needed, set(subjects) if links else asked)


def _needed(rules: list[_Rule], predicates: set[str]) -> set[str]:
    """These predicates, and those that may lead to them."""
    leading: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        leading[rule.conclusion.predicate].update(literal.predicate for literal in rule.condition)
    needed, open_ = set(predicates), list(predicates)
    while open_:
        new = leading[open_.pop()] - needed
        needed |= new
        open_ += new
    return needed


@dataclass(slots=True)
class _Chain:
    """All that follows from some rules as far as it may matter, and what shows it.

    That is every application of a rule. Knuth's generalisation of Dijkstra's algorithm: literals
    come in the order of the rules used to reach them, so the cheapest application that gives a
    literal never rests on that literal.
    """

    rules: list[_Rule]
    subjects: list[str]
    scope: _Scope
    closed_world: bool
    # How many rules were used to reach it, repeats counted
    known: dict[Literal, int] = field(default_factory=dict)
    ways: dict[Literal, list[_Application]] = field(default_factory=lambda: defaultdict(list))
    # Two that contradict each other, if there are any
    opposites: list[Literal] = field(default_factory=list)
    _agenda: list[tuple[int, int, Literal]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)
    _stated: set[Literal] = field(default_factory=set)
    _applied: set[tuple[int, str]] = field(default_factory=set)

    def run(self) -> None:
        """Fill `known` and `ways`, or stop at the first two `opposites`.

        The literals of fewest rules come first.
        """
        waiting: dict[Literal, list[int]] = defaultdict(list)
        self._stated = {rule.conclusion for rule in self.rules if not rule.condition}
        for number, rule in enumerate(self.rules):
            for literal in rule.condition:
                waiting[literal].append(number)
            has_positive = any(literal.is_positive for literal in rule.condition)
            may_fail = self.closed_world and not has_positive
            if may_fail or not rule.condition:
                self._try(number, self._all_subjects(rule))
        while self._agenda and not self.opposites:
            cost, _, literal = heapq.heappop(self._agenda)
            if literal in self.known:
                continue
            self.known[literal] = cost
            if literal.denied() in self.known:
                self.opposites = [literal, literal.denied()]
            for number in waiting.get(literal, ()):  # a condition about this subject by name
                self._try(number, self._all_subjects(self.rules[number]))
            for number in waiting.get(literal._replace(subject=ANYTHING), ()):
                self._try(number, [literal.subject])

    def _all_subjects(self, rule: _Rule) -> list[str]:
        is_general = ANYTHING in {one.subject for one in (*rule.condition, rule.conclusion)}
        return self.subjects if is_general else [""]

    def _try(self, number: int, subjects: list[str]) -> None:
        rule = self.rules[number]
        for subject in subjects:
            needs = [_bound(literal, subject) for literal in rule.condition]
            conclusion = _bound(rule.conclusion, subject)
            if conclusion not in self.scope or (number, subject) in self._applied:
                continue
            if not all(self._holds(literal) for literal in needs):
                continue
            self._applied.add((number, subject))
            derived = tuple(literal for literal in needs if literal in self.known)
            way = _Application(rule, subject, derived)
            self.ways[conclusion].append(way)
            heapq.heappush(self._agenda, (self.cost(way), next(self._order), conclusion))

    def _holds(self, literal: Literal) -> bool:
        by_failure = (
            self.closed_world and not literal.is_positive and literal.denied() not in self._stated
        )
        return by_failure or literal in self.known

    def applied(self, goals: Iterable[Literal]) -> list[_Application]:
        """The way that uses the fewest rules, repeats counted, for each goal and what it needs."""
        found: dict[Literal, _Application] = {}
        open_ = list(goals)
        while open_:
            literal = open_.pop()
            if literal not in found:
                found[literal] = min(self.ways[literal], key=self.cost)
                open_ += found[literal].needs
        return list(found.values())

    def cost(self, way: _Application) -> int:
        return bool(way.rule.condition) + sum(self.known[literal] for literal in way.needs)


def _bound(literal: Literal, subject: str) -> Literal:
    return literal._replace(subject=subject) if literal.subject == ANYTHING else literal


def _verdict(
    statement: Formula, chain: _Chain, closed_world: bool
) -> tuple[bool | None, list[list[Literal]]]:
    """The verdict, and what to prove for it: all literals of one of these lists."""
    true: list[list[Literal]] = []
    false: list[list[Literal]] = []
    for literal in statement.literals:
        if literal in chain.known:
            true.append([literal])
        elif literal.denied() in chain.known:
            false.append([literal.denied()])
        elif closed_world:
            (false if literal.is_positive else true).append([])
    one, all_ = (true, false) if statement.is_any else (false, true)
    if one:  # one true literal decides an "or", one false an "and"
        return statement.is_any, one
    if len(all_) == len(statement.literals):
        return not statement.is_any, [[literal for goal in all_ for literal in goal]]
    return None, []


def _shortest(chain: _Chain, goals: list[Literal]) -> list[_Application]:
    """The applications that prove all goals in the fewest steps.

    A search, where sharing rules could save some.
    """
    best = chain.applied(goals)
    if len(goals) == 1 and all(len(way.needs) < 2 for way in _relevant(chain, goals)):
        return best  # a path, and the shortest
    begun: list[tuple[dict[Literal, _Application], list[Literal]]] = [({}, list(goals))]
    left = MAX_TRIED
    while begun and left > 0:
        chosen, open_ = _forced(chain, *begun.pop())
        left -= 1 + len(chosen) + len(open_)
        if _steps_at_least(chain, chosen, open_) >= _steps(best):
            continue
        if open_:
            ways = sorted(chain.ways[open_[0]], key=chain.cost, reverse=True)
            begun += [({**chosen, open_[0]: way}, [*open_[1:], *way.needs]) for way in ways]
        elif _is_founded(chosen):
            best = list(chosen.values())
    return best


def _relevant(chain: _Chain, goals: list[Literal]) -> list[_Application]:
    """Every application that some proof of the goals may use."""
    seen, open_ = set(goals), list(goals)
    found: list[_Application] = []
    while open_:
        ways = chain.ways[open_.pop()]
        found += ways
        new = {literal for way in ways for literal in way.needs} - seen
        seen |= new
        open_ += new
    return found


def _forced(
    chain: _Chain, chosen: dict[Literal, _Application], open_: list[Literal]
) -> tuple[dict[Literal, _Application], list[Literal]]:
    """Choose for all open literals that are premises or leave no choice."""
    chosen, kept = dict(chosen), []
    open_ = list(open_)
    while open_:
        literal = open_.pop()
        ways = chain.ways[literal]
        ways = [way for way in ways if not way.rule.condition][:1] or ways
        if literal in chosen:
            continue
        if len(ways) > 1:
            kept.append(literal)
        else:
            chosen[literal] = ways[0]
            open_ += ways[0].needs
    return chosen, list(dict.fromkeys(kept))


def _steps_at_least(
    chain: _Chain, chosen: dict[Literal, _Application], open_: list[Literal]
) -> int:
    """The steps chosen, and one for each open literal that shares its rules with none before it."""
    used = {_step(way) for way in chosen.values() if way.rule.condition}
    n_steps = len(used)
    for literal in open_:
        steps = {_step(way) for way in chain.ways[literal]}
        if not steps & used:
            n_steps += 1
            used |= steps
    return n_steps


def _is_founded(chosen: dict[Literal, _Application]) -> bool:
    """Does no literal rest on itself?"""
    open_ = dict(chosen)
    founded: set[Literal] = set()
    while True:
        new = {literal for literal, way in open_.items() if founded.issuperset(way.needs)}
        if not new:
            return not open_
        founded |= new
        open_ = {literal: way for literal, way in open_.items() if literal not in new}


def _step(way: _Application) -> tuple[int, str]:
    return way.rule.premise, way.subject


def _steps(used: list[_Application]) -> int:
    return len({_step(way) for way in used if way.rule.condition})


def _texts(theory: Theory, used: list[_Application]) -> tuple[str, ...]:
    numbers = sorted({way.rule.premise for way in used})
    return tuple(theory.premises[number].text for number in numbers)
