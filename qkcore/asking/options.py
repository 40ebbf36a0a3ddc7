"""Options of a multiple-choice prompt: a letter and a text each, a line each.

As in arXiv 2410.02343: the model is shown all options and says a letter. Knows nothing of templates
or tokens.
"""

import string
from collections.abc import Sequence

ROLES = ("answer", "options")  # who has the query: each candidate after the cue, or the cue itself


def roles_named(name: str) -> str:
    r"""The roles of a template that a run names; stores of any age can be asked.

    >>> roles_named("default"), roles_named("{context} {statement}\n{options}\nAnswer:")
    ('answer', 'options')
    """
    return "options" if "{options}" in name else "answer"


def letters(candidates: Sequence[str]) -> tuple[str, ...]:
    """What names each candidate, in their order; no more than there are letters.

    >>> letters(("red", "blue"))
    ('A', 'B')
    """
    return tuple(string.ascii_uppercase[: len(candidates)])


def listed(candidates: Sequence[str]) -> str:
    r"""The options as a prompt shows them.

    >>> listed(("Max is red.", "Max is blue."))
    'A. Max is red.\nB. Max is blue.'
    """
    return "\n".join(_lines(candidates))


def ends_of_lines(candidates: Sequence[str], start: int) -> tuple[tuple[int, int], ...]:
    """(option) the characters (start, end) of each line; the end of the line is part of it.

    Args:
        candidates: all of them.
        start: where in the text the first line begins.

    >>> ends_of_lines(("red", "blue"), 10)
    ((10, 17), (17, 25))
    """
    places = []
    for line in _lines(candidates):
        places.append((start, start + len(line) + 1))
        start = places[-1][1]
    return tuple(places)


def _lines(candidates: Sequence[str]) -> list[str]:
    named = zip(letters(candidates), candidates, strict=True)
    return [f"{letter}. {candidate}" for letter, candidate in named]
