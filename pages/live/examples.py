"""Puzzles worth a look, each by what it shows; in words that the bundled model knows."""

from qkcore.asking.links import typed_puzzle

EXAMPLES = {
    "Two steps": typed_puzzle(
        "Every wumpus is a tumpus. Max is a wumpus. Tumpuses are not cold. Rex is a lempus. "
        "Lempuses are cold.",
        "Max is cold.",
        answer=1,
    ),
    "No step: the context says it": typed_puzzle(
        "Sally is bitter. Alex is not bitter.", "Alex is bitter.", answer=1
    ),
    "Three steps and a distractor": typed_puzzle(
        "Each yumpus is a dumpus. Wren is a yumpus. All dumpuses are zumpuses. Stella is a "
        "grimpus. Zumpuses are happy. Every grimpus is a brimpus. Brimpuses are vumpuses. Each "
        "vumpus is not happy. Lorpuses are sunny.",
        "Wren is happy.",
        answer=0,
    ),
    "Everyday words": typed_puzzle(
        "If someone is a baker then they are kind. Anne is a baker. Paul is a pilot. If someone is "
        "a pilot then they are not kind. If someone is kind then they are quiet. If someone is not "
        "kind then they are not quiet.",
        "Anne is quiet.",
        answer=0,
    ),
    "Nothing follows": typed_puzzle("Max is a wumpus. Every tumpus is cold.", "Max is cold."),
    "Three candidates": typed_puzzle(
        "Max is a wumpus. Every wumpus is a tumpus. Tumpuses are not cold.",
        "Max is cold.",
        ("true", "false", "unknown"),
        answer=1,
    ),
    "Yes or no, which the bundled model never learned": typed_puzzle(
        "Max is a wumpus. Every wumpus is cold.", "Is Max cold?", ("yes", "no"), 0
    ),
}
