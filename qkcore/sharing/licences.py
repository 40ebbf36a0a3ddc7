"""What is known of a puzzle set's licence, and whether its texts may be handed on.

Nobody's lawyer: texts go along where the set is QKScope's own or a licence that permits copies is
named, and nowhere else.
"""

import re
from collections.abc import Mapping, Sequence

GENERATED = re.compile(r"(made-up|everyday)-s\d+-d\d+-\d+-\w+")  # ids that `generate` gives
OUR_LICENCE = "made with QKScope's generator; free to share (Apache-2.0)"
NO_LICENCE = "not stated; ask where the puzzles come from before you hand their texts on"
# Licences that let anybody copy, by their usual names; what follows the name may say more.
PERMITS = re.compile(
    r"(MIT|Apache-2\.0|BSD-[23]-Clause|ISC|CC0(-1\.0)?|CC-BY(-SA)?-[34]\.0|ODC-BY|ODbL|PDDL|"
    r"Unlicense)(?![\w.-])",
    re.IGNORECASE,
)


def licence_of(puzzle_ids: Sequence[str]) -> str:
    """What is known of a set's licence from its puzzles alone.

    >>> licence_of(["made-up-s1-d0-00001-a"]) == OUR_LICENCE, licence_of(["x"]) == NO_LICENCE
    (True, True)
    """
    return OUR_LICENCE if all(map(GENERATED.fullmatch, puzzle_ids)) else NO_LICENCE


def allows_texts(licence: str) -> bool:
    """Whether a set of this licence may be copied with its texts, as far as its name says.

    >>> [allows_texts(one) for one in ("MIT (by A)", "CC-BY-NC-4.0", "no copies", NO_LICENCE)]
    [True, False, False, False]
    """
    return licence == OUR_LICENCE or PERMITS.match(licence.strip()) is not None


def licences_of(
    puzzle_ids: Mapping[str, Sequence[str]], given: Mapping[str, str]
) -> dict[str, str]:
    """The licence of each set: as given, else what its puzzles say.

    Args:
        puzzle_ids: by set.
        given: by set, for any of them.

    >>> licences_of({"a": ["x"], "b": ["y"]}, {"a": "MIT"})["a"]
    'MIT'
    """
    return {name: given.get(name) or licence_of(ids) for name, ids in puzzle_ids.items()}
