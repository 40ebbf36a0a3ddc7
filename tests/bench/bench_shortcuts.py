"""How far does one get on generated puzzles without logic?

With surface rules, order cues and n-gram classifiers:

    python -m tests.bench.bench_shortcuts [--n 6000] [--seeds 1 2 3] [--out shortcuts.json]

Prints accuracies in percent on test puzzles. "z" counts standard errors from 50 %, with a context's
four statements taken as one observation: a cue that ties the entity to the polarity is right on all
four of them or on none. With 0 steps the statement is a premise, so whatever compares it with the
context reads the answer there; the order cues and the presence of n-grams do.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qkcore.puzzles.generate import STYLES, generate_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.surface import SURFACE_RULES, surface_choices
from tests.puzzles.test_shortcuts import ngram_answers

DISTRACTORS = range(6)


@dataclass(frozen=True, slots=True)
class Reading:
    """Places (from 0, by premise) of what a cue may look at, and the sentences as words."""

    sentences: list[list[str]]
    own: list[int]  # premises about the statement's entity
    other: list[int]  # premises about the other entity
    positive: int  # the premise that ends in "is P"
    negative: int  # the one that ends in "is not P"


def reading(puzzle: Puzzle) -> Reading:
    names = {name for style in STYLES.values() for name in style.names}
    sentences = [
        re.findall(r"\w+", sentence) for sentence in puzzle.context.rstrip(".").split(". ")
    ]
    entity, *_, goal = re.findall(r"\w+", puzzle.statement)
    ends = [i for i, words in enumerate(sentences) if words[-1] == goal]
    by_polarity = {"not" in sentences[i]: i for i in ends}
    own = [i for i, words in enumerate(sentences) if words[0] == entity]
    other = [i for i, words in enumerate(sentences) if words[0] in names - {entity}]
    return Reading(sentences, own, other, by_polarity[False], by_polarity[True])


def _nearest(it: Reading) -> bool | None:
    distances = [min(abs(place - i) for i in it.own) for place in (it.positive, it.negative)]
    return None if distances[0] == distances[1] else distances[0] < distances[1]


def _other_adjectives(it: Reading) -> bool | None:
    nots = [sum("not" in it.sentences[i] for i in places) for places in (it.own, it.other)]
    return None if nots[0] == nots[1] else nots[0] < nots[1]


def _letters(it: Reading) -> bool | None:
    """Does the name share more letters with the premise "is P"?"""
    own = set(it.sentences[it.own[0]][0].lower())
    shared = [len(own & set("".join(it.sentences[i]).lower())) for i in (it.positive, it.negative)]
    return None if shared[0] == shared[1] else shared[0] > shared[1]


def _lone_words(it: Reading) -> bool | None:
    """Is the lone premise nearer to the entity exactly if it is nearer to "is P"?

    Lone is the one whose words occur nowhere else.
    """
    counts = Counter(words[-1].removesuffix("es") for words in it.sentences)
    lone = [i for i, words in enumerate(it.sentences) if counts[words[-1].removesuffix("es")] == 1]
    if not lone:
        return None
    pairs = ((it.own[0], it.other[0]), (it.positive, it.negative))
    nearer = [abs(lone[0] - one) < abs(lone[0] - two) for one, two in pairs]
    return nearer[0] == nearer[1]


# Each cue believes that the statement's entity is P (True), is not P (False), or does not know
# (None).
CUES: dict[str, Callable[[Reading], bool | None]] = {
    "nearest to the entity": _nearest,
    "first entity, first polarity": lambda it: (
        (min(it.own) < min(it.other)) == (it.positive < it.negative)
    ),
    "last entity, last polarity": lambda it: (
        (max(it.own) > max(it.other)) == (it.positive > it.negative)
    ),
    "first entity is P": lambda it: min(it.own) < min(it.other),
    "last entity is P": lambda it: max(it.own) > max(it.other),
    "P follows the entity": lambda it: it.positive > max(it.own),
    "first polarity": lambda it: it.positive < it.negative,
    "longer P premise": lambda it: len(it.sentences[it.positive]) > len(it.sentences[it.negative]),
    "odd count of not": lambda it: sum(words.count("not") for words in it.sentences) % 2 == 1,
    "odd count of premises": lambda it: len(it.sentences) % 2 == 1,
    "entity first by alphabet": lambda it: it.sentences[it.own[0]] < it.sentences[it.other[0]],
    "alphabets agree": lambda it: (
        (it.sentences[it.own[0]][0] < it.sentences[it.other[0]][0])
        == (it.sentences[it.positive] < it.sentences[it.negative])
    ),
    "fewer other denials": _other_adjectives,
    "shared letters": _letters,
    "distractor placement": _lone_words,
}


def cue_outcomes(puzzles: Sequence[Puzzle]) -> dict[str, list[tuple[str, bool]]]:
    """Of each cue: group and is-right, for the puzzles on which it has a belief."""
    outcomes = defaultdict(list)
    for puzzle in puzzles:
        it, is_negative = reading(puzzle), " not " in puzzle.statement
        for name, cue in CUES.items():
            belief = cue(it)
            if belief is not None:
                outcomes[name].append(
                    (puzzle.group, (belief != is_negative) == (puzzle.answer == 0))
                )
    return outcomes


def rule_outcomes(puzzles: Sequence[Puzzle]) -> dict[str, list[tuple[str, bool]]]:
    is_right = surface_choices(puzzles) == np.array([[puzzle.answer] for puzzle in puzzles])
    tested = [i for i, puzzle in enumerate(puzzles) if puzzle.split == "test"]
    return {
        rule: [(puzzles[i].group, bool(is_right[i, column])) for i in tested]
        for column, rule in enumerate(SURFACE_RULES)
    }


def summary(outcomes: Sequence[tuple[str, bool]]) -> dict[str, float]:
    """n, accuracy in percent, and its z by group."""
    sums = defaultdict(float)
    for group, is_right in outcomes:
        sums[group] += is_right - 0.5
    spread = np.sqrt(sum(value**2 for value in sums.values()))
    n, excess = len(outcomes), sum(sums.values())
    accuracy = 100 * (0.5 + excess / n) if n else float("nan")
    return {"n": n, "accuracy": accuracy, "z": excess / spread if spread else 0.0}


def rules_and_cues(style: str, n: int, seed: int) -> list[dict]:
    """A row for each rule, or cue, and number of steps; n test puzzles each."""
    rows = []
    for steps in range(7):
        puzzles = generate_puzzles(steps, DISTRACTORS, 2 * n // len(DISTRACTORS), seed, style)
        tested = [puzzle for puzzle in puzzles if puzzle.split == "test"]
        for kind, found in (("rule", rule_outcomes(puzzles)), ("cue", cue_outcomes(tested))):
            rows += [
                {"style": style, "kind": kind, "name": name, "steps": steps, **summary(outcomes)}
                for name, outcomes in found.items()
            ]
    return rows


def classifier(style: str, seed: int, steps: range, only_presence: bool, n: int) -> dict:
    puzzles = generate_puzzles(
        steps, DISTRACTORS, -(-2 * n // (len(steps) * len(DISTRACTORS))), seed, style
    )
    seen, asked = ([p for p in puzzles if p.split == split] for split in ("validation", "test"))
    is_right = ngram_answers(seen, asked, only_presence)
    return {
        "style": style,
        "features": "presence" if only_presence else "counts",
        "steps": f"{steps[0]} to {steps[-1]}",
        "seed": seed,
        "n_validation": len(seen),
        **summary(
            [(puzzle.group, bool(right)) for puzzle, right in zip(asked, is_right, strict=True)]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=6000, help="test puzzles at each number of steps")
    parser.add_argument(
        "--n-classifier", type=int, default=5000, help="validation puzzles for each classifier"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, help="write all rows as JSON")
    arguments = parser.parse_args()

    rows = [
        row for style in STYLES for row in rules_and_cues(style, arguments.n, arguments.seeds[0])
    ]
    table = pd.DataFrame(rows)
    for (style, kind), part in table.groupby(["style", "kind"], sort=False):
        print(
            f"\n{style}, {kind}s: accuracy (z) at 0 to 6 steps; at most {part['n'].max():,} test "
            "puzzles each"
        )
        cells = part.assign(
            cell=[f"{a:.1f} ({z:+.1f})" for a, z in zip(part["accuracy"], part["z"], strict=True)]
        )
        print(
            cells.pivot(index="name", columns="steps", values="cell")
            .reindex(part["name"].unique())
            .to_string()
        )

    fits = [
        classifier(style, seed, steps, only_presence, arguments.n_classifier)
        for style in STYLES
        for steps in (range(7), range(1, 7), range(1))
        for only_presence in (False, True)
        for seed in arguments.seeds
    ]
    print("\nlogistic regression over word 1- to 3-grams of the prompt")
    print(pd.DataFrame(fits).to_string(index=False, float_format="{:.2f}".format))
    if arguments.out:
        arguments.out.write_text(
            json.dumps({"rules_and_cues": rows, "classifiers": fits}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
