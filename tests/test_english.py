from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkcore.english import ANYTHING, Formula, Literal, Reader, ReadingError, split
from qkcore.logic import parse_puzzle, solve
from qkcore.puzzles import PuzzleError


def read(text):
    reader = Reader()
    reader.learn(text)
    return reader.sentence(text)


def said(*literals, is_any=False):
    return Formula(tuple(Literal(*literal) for literal in literals), is_any)


@pytest.mark.parametrize(
    ("text", "conclusion"),
    [
        ("Max is an impus.", said(("max", "impus"))),
        ("Max is not metallic.", said(("max", "metallic", False))),
        ("max isn't metallic", said(("max", "metallic", False))),
        ("Polly is slow and a numpus.", said(("polly", "slow"), ("polly", "numpus"))),
        ("Polly is not slow or not a numpus.", said(("polly", "slow", False), ("polly", "numpus", False), is_any=True)),
        ("Polly is a cat, a dog, or a cow.", said(("polly", "cat"), ("polly", "dog"), ("polly", "cow"), is_any=True)),
        ("Sally is not red and Sally is not kind.", said(("sally", "red", False), ("sally", "kind", False))),
        ("The bald eagle is kind.", said(("bald eagle", "kind"))),
        ("The lion chases the mouse.", said(("lion", "chase the mouse"))),
        ("The lion does not chase the mouse.", said(("lion", "chase the mouse", False))),
        ("The bald eagle likes the sea lion.", said(("bald eagle", "like the sea lion"))),
        ("Is Max a cat?", said(("max", "cat"))),
    ],
)
def test_facts(text, conclusion):
    sentence = read(text)
    assert sentence.condition is None
    assert sentence.conclusion == conclusion


@pytest.mark.parametrize(
    ("text", "condition", "conclusion"),
    [
        ("Every impus is not cold.", said((ANYTHING, "impus")), said((ANYTHING, "cold", False))),
        ("Wumpuses are tumpuses.", said((ANYTHING, "wumpus")), said((ANYTHING, "tumpus"))),
        ("All wumpuses are not nervous.", said((ANYTHING, "wumpus")), said((ANYTHING, "nervous", False))),
        (
            "Lorpuses are zumpuses and brimpuses.",
            said((ANYTHING, "lorpus")),
            said((ANYTHING, "zumpus"), (ANYTHING, "brimpus")),
        ),
        ("Kind animals are furry.", said((ANYTHING, "kind")), said((ANYTHING, "furry"))),
        ("All red, kind people are big.", said((ANYTHING, "red"), (ANYTHING, "kind")), said((ANYTHING, "big"))),
        ("All red cats are kind.", said((ANYTHING, "red"), (ANYTHING, "cat")), said((ANYTHING, "kind"))),
        (
            "Everything that is wooden and a numpus is a tumpus.",
            said((ANYTHING, "wooden"), (ANYTHING, "numpus")),
            said((ANYTHING, "tumpus")),
        ),
        (
            "Everything that is a cat, red, or kind is not a dog.",
            said((ANYTHING, "cat"), (ANYTHING, "red"), (ANYTHING, "kind"), is_any=True),
            said((ANYTHING, "dog", False)),
        ),
        (
            "If something is small and not awful then it is lovely.",
            said((ANYTHING, "small"), (ANYTHING, "awful", False)),
            said((ANYTHING, "lovely")),
        ),
        ("If someone is a baker, then they are kind.", said((ANYTHING, "baker")), said((ANYTHING, "kind"))),
        ("If something likes the cat then it is red.", said((ANYTHING, "like the cat")), said((ANYTHING, "red"))),
        ("If something is red then it chases the dog.", said((ANYTHING, "red")), said((ANYTHING, "chase the dog"))),
        ("If Max is red then Max is kind.", said(("max", "red")), said(("max", "kind"))),
    ],
)
def test_rules(text, condition, conclusion):
    sentence = read(text)
    assert sentence.condition == condition
    assert sentence.conclusion == conclusion


@pytest.mark.parametrize(
    "text",
    [
        "No fish can fly.",
        "Not all cats are red.",
        "Only cats are red.",
        "Some cats are red.",
        "Max was red.",
        "Max is very red.",
        "Max is a big cat.",
        "Max is not a cat or a dog.",
        "Max is red and kind or big.",
        "Tom and Anna are cats.",
        "Max, a cat, is red.",
        "Every cat that is red is kind.",
        "If someone is kind they are red.",
        "Max is red if Max is kind.",
        "Everyone is red.",
        "It is red.",
        "Max is red; Anna is not.",
        "Max",
        "is",
        "Max is",
        "x -> y",
    ],
)
def test_what_cannot_be_read_is_quoted_and_refused(text):
    with pytest.raises(ReadingError) as refusal:
        read(text)
    assert f'cannot read "{text}"' in str(refusal.value)
    assert "Every cat is" in str(refusal.value) or "signs other than" in str(refusal.value)


def test_plurals_find_the_singular_that_the_puzzle_uses():
    assert solve(parse_puzzle("All horses are boxes. Max is a horse.", "Max is a box.")).verdict is True
    assert solve(parse_puzzle("Wolves are kind. Max is a wolf.", "Max is kind.")).verdict is True


def test_sentences_are_split_at_full_stops_and_question_marks():
    assert split("  Max is red.  Is Max kind?\nMax is a cat ") == ["Max is red.", "Is Max kind?", "Max is a cat"]


@given(st.text(max_size=80), st.text(max_size=40))
def test_any_text_is_read_or_refused(context, statement):
    with suppress(PuzzleError):  # any other exception fails the test
        solve(parse_puzzle(context, statement))
