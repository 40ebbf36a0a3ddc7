"""Puzzles worth a look, each by what it shows; in words that the bundled model knows."""

from qkcore.asking.links import Shared


def _example(
    context: str,
    statement: str,
    answer: int | None,
    candidates: tuple[str, ...] = ("true", "false"),
) -> Shared:
    return Shared(context, statement, candidates, answer, model="", rope="", template="")


EXAMPLES = {
    "Two steps": _example(
        "Every wumpus is a tumpus. Max is a wumpus. Tumpuses are not cold. Rex is a lempus. "
        "Lempuses are cold.",
        "Max is cold.",
        1,
    ),
    "No step: the context says it": _example(
        "Sally is bitter. Alex is not bitter.", "Alex is bitter.", 1
    ),
    "Three steps and a distractor": _example(
        "Each yumpus is a dumpus. Wren is a yumpus. All dumpuses are zumpuses. Stella is a "
        "grimpus. Zumpuses are happy. Every grimpus is a brimpus. Brimpuses are vumpuses. Each "
        "vumpus is not happy. Lorpuses are sunny.",
        "Wren is happy.",
        0,
    ),
    "Everyday words": _example(
        "If someone is a baker then they are kind. Anne is a baker. Paul is a pilot. If someone is "
        "a pilot then they are not kind. If someone is kind then they are quiet. If someone is not "
        "kind then they are not quiet.",
        "Anne is quiet.",
        0,
    ),
    "Nothing follows": _example("Max is a wumpus. Every tumpus is cold.", "Max is cold.", None),
    "Three candidates": _example(
        "Max is a wumpus. Every wumpus is a tumpus. Tumpuses are not cold.",
        "Max is cold.",
        1,
        ("true", "false", "unknown"),
    ),
    "Yes or no, which the bundled model never learned": _example(
        "Max is a wumpus. Every wumpus is cold.", "Is Max cold?", 0, ("yes", "no")
    ),
}
