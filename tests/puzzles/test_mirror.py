"""Mirror images: all premises once more, of somebody else, of whom the opposite holds."""

import random
import re

import pytest

from qkcore.puzzles.mirror import article_of, mirrored
from qkcore.puzzles.puzzle import PuzzleError
from tests.puzzles.published_shapes import chained

CONTEXT = (
    "Every wumpus is an impus. Impuses are not red. Each impus is loud. Every dumpus is cold. "
    "Max is a wumpus."
)


@pytest.mark.parametrize("seed", range(8))
def test_what_held_of_one_name_holds_of_one_and_its_opposite_of_the_other(seed):
    known = chained(mirrored(CONTEXT, random.Random(seed)), closed_world=False)
    said = {}
    for name, word, is_so in known:
        if word in ("red", "loud"):
            said.setdefault(name, {})[word] = is_so
    assert sorted(said.values(), key=lambda one: one["red"]) == [
        {"red": False, "loud": True},
        {"red": True, "loud": False},
    ]


def test_facts_stay_last_and_rules_are_shuffled():
    sentences = mirrored(CONTEXT, random.Random(1)).split(". ")
    assert len(sentences) == 10
    assert [bool(re.match(r"[A-Z][a-z]+ is a", one)) for one in sentences] == [False] * 8 + [
        True
    ] * 2
    assert mirrored(CONTEXT, random.Random(1)) != mirrored(CONTEXT, random.Random(2))


def test_either_word_may_stand_in_either_half():
    firsts = {
        mirrored(CONTEXT, random.Random(seed)).count("Max is a wumpus.") for seed in range(20)
    }
    assert firsts == {0, 1}


def test_articles_follow_their_words_and_plurals_stay_plural():
    text = mirrored("Each impus is a numpus. Impuses are kind. Max is an impus.", random.Random(2))
    for article, noun in re.findall(r"\b(an?) (\w+)", text):
        assert article == ("an" if noun[0] in "aeiou" else "a")
    assert len(re.findall(r"uses are (?:not )?kind", text)) == 2


def test_in_a_list_what_is_denied_comes_last_so_that_it_can_be_read():
    """Of "not loud and an owl" nobody knows whether the "not" reaches the owl."""
    listed = "Each cat is loud and an owl. Owls are mild. Max is red, a cat, and kind."
    text = mirrored(listed, random.Random(5))
    assert re.search(r"is an? \w+ and not loud\.", text)
    assert re.search(r"is an? \w+, not red, and not kind\.", text)


def test_a_class_that_stands_in_the_plural_alone_still_has_an_article():
    assert article_of("rompus", "Gorpuses are rompuses. Max is a gorpus.") == "a "
    assert article_of("gorpus", "Every gorpus is red.") == "a "
    assert article_of("nervous", "Every gorpus is nervous.") == ""


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ("The bald eagle is red. All red animals are kind.", "'bald eagle' is more than one word"),
        (" ".join(f"Every {x}{y} is red." for x in "bcdfgk" for y in "abcdef"), "more than there"),
    ],
)
def test_a_context_that_has_no_mirror_image_is_refused_with_the_reason(context, words):
    with pytest.raises(PuzzleError, match=words):
        mirrored(context, random.Random(0))
