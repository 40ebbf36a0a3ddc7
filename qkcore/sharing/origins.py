"""Where a store's puzzles come from: which published set, QKScope's generator, or nobody knows.

Told by the puzzles themselves (origins.toml), whatever their set and its files are called: by their
contexts, or, of a set that is kept without texts, by ids that only `qkscope import` gives. A twin
is of its parent's origin. Knows nothing of licences.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qkcore.results.reader import Reader

ORIGINS = Path(__file__).with_name("origins.toml")
OURS, UNKNOWN = "generator", ""  # beside the names of sets.toml
N_SIGNS = 8  # of a context's hash
# Ids that `generate` gives, to a twin's puzzles and to those in another order of options too.
GENERATED = r"(made-up|everyday)(-o\d+)?-s\d+-d\d+-\d+-(\w+|twin-\d+)(~\d+)?"
IMPORTED = {  # ids that `import` gives, behind the file's name
    "prontoqa_ood": r".+/(in_context_example\d+|test_example)/(true|false)(~\d+)?",
    "pararule_plus": r".+/line\d+/question\d+(~\d+)?",
}

Origins = Mapping[str, int]  # by origin: how many puzzles


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a published set's contexts."""

    words: frozenset[str]
    n_sentences: int  # at least
    needs: re.Pattern[str]
    contexts: frozenset[str]  # first signs of hashes

    def has(self, context: str) -> bool:
        """Whether this could be a context of the set: its words, as many of them, and no others."""
        text = context.lower()
        return (
            bool(self.words)
            and text.count(".") >= self.n_sentences
            and self.needs.search(text) is not None
            and self.words.issuperset(re.findall(r"[^\W_]+", text))
        )


@cache
def known_sets() -> dict[str, Known]:
    """Of each published set what origins.toml says."""
    rows = tomllib.loads(ORIGINS.read_text(encoding="utf-8"))
    return {
        name: Known(
            frozenset(row.get("words", "").split()),
            row.get("sentences", 0),
            re.compile(row.get("needs", "")),
            frozenset(row["contexts"].split()),
        )
        for name, row in rows.items()
    }


def origin_of(puzzle_id: str, group: str, context: str | None) -> str:
    """Where a puzzle comes from.

    Args:
        puzzle_id: its id.
        group: its group; `import` names it by the context's hash, and a twin keeps it.
        context: None where it is not kept.

    >>> origin_of("made-up-s1-d0-00001-a", "", "Max is a wumpus.")
    'generator'
    >>> origin_of("set/line1/question2", "", None), origin_of("a", "", "Alice is a baker.")
    ('pararule_plus', '')
    """
    if re.fullmatch(GENERATED, puzzle_id):
        return OURS
    signs = group.removeprefix("context-")[:N_SIGNS] if group.startswith("context-") else ""
    for name, known in known_sets().items():
        if signs in known.contexts or (context is not None and known.has(context)):
            return name
    if context is None:
        for name, ids in IMPORTED.items():
            if re.fullmatch(ids, puzzle_id):
                return name
    return UNKNOWN


def origins(store: Reader) -> dict[str, Origins]:
    """The origins of each puzzle set of a store, by name."""
    found: dict[str, Counter[str]] = {}
    rows = store.large(
        """
        select puzzle_set, "group", context, count(*) as n,
               min(puzzle_id) filter (where not is_generated) as puzzle_id,
               count(*) filter (where is_generated) as n_generated
        from (
            select *, regexp_full_match(puzzle_id, $generated) as is_generated from store.puzzles
        )
        group by puzzle_set, "group", context
        order by puzzle_set
        """,
        generated=GENERATED,
    )
    for row in rows.to_pylist():
        of_set = found.setdefault(row["puzzle_set"], Counter())
        of_set[OURS] += row["n_generated"]
        if left := row["n"] - row["n_generated"]:
            of_set[origin_of(row["puzzle_id"], row["group"] or "", row["context"])] += left
    for twin, parent in parents(store).items():
        if found[twin][UNKNOWN] and parent in found:
            found[twin] = found[parent]
    return {name: dict(+of_set) for name, of_set in found.items()}


def parents(store: Reader) -> dict[str, str]:
    """By twin, the puzzle set that it balances, of those whose parent the store has."""
    rows = store.frame(
        """
        select distinct twin.puzzle_set, parent.puzzle_set as parent
        from store.runs twin join store.runs parent on twin.twin_of = parent.puzzle_set_sha256
        """
    )
    return dict(zip(rows["puzzle_set"], rows["parent"], strict=True))
