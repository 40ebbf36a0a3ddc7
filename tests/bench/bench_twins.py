"""How far does one get on balanced twins without logic?

With surface rules, n-gram classifiers, and cues that compare two subjects:

    python -m tests.bench.bench_twins [--data ../shared/data] [--n 2000] [--seed 1]

Prints accuracies in percent of surface rules on the test puzzles of each published sample and of
its twin; of classifiers that learn from half of the contexts and answer on the others; and, for
pairs of subjects of whom one has the property, how often a cue points at the right one (50 is
guessing). "Shares a rule" is the first step of a proof: a fact about the subject has the word of a
condition that leads to the property. It is no surface rule, and is there for comparison.
"""

import argparse
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from qkcore.puzzles.balance import balance_puzzles
from qkcore.puzzles.public_sets import import_puzzles
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.surface import surface_accuracy
from qkcore.puzzles.twin import twin_report
from tests import ROOT
from tests.puzzles.published_shapes import stem
from tests.puzzles.test_shortcuts import ngram_answers

FOLDERS = {"pararule": "pararule_plus", "prontoqa": "prontoqa_ood"}
MAX_PER_CONTEXT = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a context speaks of a statement's subject and word, by premise, from 0."""

    sentences: list[list[str]]
    facts: list[int]  # about the subject
    ends: list[int]  # that say the word of somebody, be it under a condition


def reading(puzzle: Puzzle) -> Reading:
    sentences = [
        [stem(word) for word in re.findall(r"\w+", sentence) if word.lower() != "the"]
        for sentence in puzzle.context.rstrip(". ").split(". ")
    ]
    subject, word = re.fullmatch(r"(?:The )?(.+) is .*?(\w+)\.", puzzle.statement).groups()
    own = subject.lower().removesuffix(" is").split()
    return Reading(
        sentences,
        [i for i, words in enumerate(sentences) if words[: len(own)] == own],
        [i for i, words in enumerate(sentences) if stem(word) in words[_last_verb(words) :]],
    )


def _last_verb(words: Sequence[str]) -> int:
    return max((i for i, word in enumerate(words) if word in ("is", "are")), default=0)


def _shared(it: Reading) -> int:
    said = {it.sentences[i][-1] for i in it.facts}
    return max((len(said & set(it.sentences[i][:-1])) for i in it.ends), default=0)


# Each cue measures a subject; of two it points at the one that measures more.
CUES: dict[str, Callable[[Reading], float]] = {
    "stands in the context": lambda it: len(set(it.facts) & set(it.ends)),
    "nearest mention": lambda it: -min((abs(i - j) for i in it.facts for j in it.ends), default=99),
    "same place in its kind": lambda it: -abs(min(it.facts) - min(it.ends)),
    "more facts": lambda it: len(it.facts),
    "named first": lambda it: -min(it.facts),
    "shares a rule": _shared,
}


def cue_percents(twin: Sequence[Puzzle]) -> dict[str, float]:
    """Of two subjects that the same word is asked of, how often each cue points at the holder.

    A twin's puzzles come in fours: of the holder and its denial, of the other and its denial.
    """
    pairs = [(reading(one), reading(two)) for one, two in zip(twin[::4], twin[2::4], strict=True)]
    return {
        name: 100 * float(np.mean([np.sign(cue(one) - cue(two)) / 2 + 0.5 for one, two in pairs]))
        for name, cue in CUES.items()
    }


def rule_percents(puzzles: Sequence[Puzzle]) -> dict[str, float]:
    counts = surface_accuracy(puzzles)
    sums = counts[counts["split"] == "test"].groupby("rule", sort=False)[["n", "n_right"]].sum()
    return (100 * sums["n_right"] / sums["n"]).to_dict()


def classifier_percents(puzzles: Sequence[Puzzle], seed: int) -> dict[str, float]:
    """By logistic regression over n-grams, on contexts that it has not seen."""
    groups = sorted({puzzle.group for puzzle in puzzles})
    first = set(random.Random(seed).sample(groups, len(groups) // 2))
    seen = [puzzle for puzzle in puzzles if puzzle.group in first]
    asked = [puzzle for puzzle in puzzles if puzzle.group not in first]
    bare = [[replace(puzzle, context="-") for puzzle in half] for half in (seen, asked)]
    return {
        "n-gram counts": 100 * ngram_answers(seen, asked).mean(),
        "n-grams, present or not": 100 * ngram_answers(seen, asked, only_presence=True).mean(),
        "n-grams of the statement": 100 * ngram_answers(*bare).mean(),
    }


def column(puzzles: Sequence[Puzzle], seed: int) -> dict[str, float]:
    return {"n": len(puzzles), **rule_percents(puzzles), **classifier_percents(puzzles, seed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.resolve().parent / "shared" / "data")
    parser.add_argument("--n", type=int, default=2000, help="puzzles of a twin, at least")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name, folder in FOLDERS.items():
        parent = import_puzzles(name, arguments.data / folder)
        for per_context in range(2, MAX_PER_CONTEXT + 1):
            twin = balance_puzzles(parent, per_context=per_context, seed=arguments.seed)
            if len(twin.puzzles) >= arguments.n:
                break
        print(f"\n{name}, {per_context} of each kind a context")
        print("\n".join(line for line in twin_report(twin) if not line.startswith(" ")))
        table = pd.DataFrame(
            {
                "parent": column(parent, arguments.seed),
                "twin": column(twin.puzzles, arguments.seed) | cue_percents(twin.puzzles),
            }
        )
        print(table.to_string(float_format="{:.1f}".format, na_rep=""))


if __name__ == "__main__":
    main()
