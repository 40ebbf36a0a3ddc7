"""The contradiction of a statement in controlled English.

Promises that one of a statement and its negation is true and the other false, and that no "not" in
them can be read two ways; refuses everything else. Knows "is" and "are", with and without "not",
alone or joined by "and" or by "or"; knows nothing of words for quantity or of other verbs.
"""

import re
from itertools import pairwise

from qkcore.puzzles.puzzle import PuzzleError

_JOINT = re.compile(r"(, and |, or |, | and | or )")
_CLAUSE = re.compile(r"(?P<lead>.+? (?:is|are)) (?P<predicate>.+)")
_DUAL = {"and": "or", "or": "and"}
# A "not" after the verb does not contradict these: "Every wumpus is not red" says more than "not
# every wumpus is red".
_REFUSED = re.compile(
    r"\b(all|although|any|anyone|anything|because|both|but|each|either|every|everyone|everything|few|if|many|most"
    r"|neither|never|no|nobody|none|nor|nothing|only|some|someone|something|that|then|unless|when|which|while|who)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)


def negate(statement: str) -> str:
    """The statement that is true exactly when this one is false.

    >>> negate("Max is an impus.")
    'Max is not an impus.'
    >>> negate("Wumpuses are not red.")
    'Wumpuses are red.'
    >>> negate("Polly is slow and a numpus.")
    'Polly is not slow or not a numpus.'
    >>> negate("Polly is not a wumpus and Polly is not a shumpus.")
    'Polly is a wumpus or Polly is a shumpus.'
    >>> negate("Sam is a dumpus, a vumpus, or a zumpus.")
    'Sam is not a dumpus, not a vumpus, and not a zumpus.'

    Raises:
        PuzzleError: quoting the statement, when it is not of this form or can be read two ways.
    """
    body = statement.strip()
    pieces = _JOINT.split(body.removesuffix("."))
    joints = pieces[1::2]
    if re.search(r"[.?!;:\n]", body.removesuffix(".")) or _REFUSED.search(body):
        raise _refusal(statement)
    if joints and (joints[-1] == ", " or len({joint.strip(", ") for joint in joints} - {""}) > 1):
        raise _refusal(statement)
    parts = [_opposite(piece, statement) for piece in pieces[::2]]
    if not parts[0][0] or _is_read_two_ways([(lead, not is_not) for lead, is_not, _ in parts]):
        raise _refusal(statement)
    duals = [re.sub(r"and|or", lambda word: _DUAL[word[0]], joint) for joint in joints]
    return _joined(parts, duals) + "." * body.endswith(".")


def _opposite(piece: str, statement: str) -> tuple[str, bool, str]:
    """Subject and verb, whether the piece's opposite has a "not", and the rest.

    Subject and verb are empty where the piece leaves them out.

    >>> _opposite("Max is not red", "")
    ('Max is', False, 'red')
    """
    clause = _CLAUSE.fullmatch(piece)
    predicate = clause["predicate"] if clause else piece
    rest = predicate.removeprefix("not ")
    if not rest.strip() or {"is", "are", "not"} & set(rest.split()):
        raise _refusal(statement)
    return (clause["lead"] if clause else ""), rest == predicate, rest


def _is_read_two_ways(parts: list[tuple[str, bool]]) -> bool:
    # "not a wumpus or a shumpus": does the "not" reach the shumpus?
    return any(
        was_not and not is_not and not lead for (_, was_not), (lead, is_not) in pairwise(parts)
    )


def _joined(parts: list[tuple[str, bool, str]], joints: list[str]) -> str:
    text, subject_and_verb, was_not = "", "", False
    for joint, (lead, is_not, rest) in zip(["", *joints], parts, strict=True):
        subject_and_verb = lead or subject_and_verb
        must_repeat = was_not and not is_not
        text += joint
        text += f"{subject_and_verb} " if lead or must_repeat else ""
        text += f"not {rest}" if is_not else rest
        was_not = is_not
    return text


def _refusal(statement: str) -> PuzzleError:
    return PuzzleError(
        f"cannot negate {statement!r}; it must read 'X is [not] Y' or 'X are [not] Y', parts "
        "joined by 'and' or by 'or'"
    )
