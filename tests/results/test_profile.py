"""A head's profile against plain counting on planted scores."""

import numpy as np
import pytest

from qkcore.results.profile import ANSWER, RIGHT, SAME, SAYS, head_profile
from qkcore.results.store import ResultStore
from qkcore.statistics.evidence import measured
from tests.stores import N_HEADS, planted_puzzles, planted_scores, planted_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = planted_store(tmp_path_factory.mktemp("profile") / "s.duckdb")
    with ResultStore.open(path) as opened:
        yield opened


def test_a_profile_counts_what_the_head_says_to_test_puzzles(store):
    puzzles = planted_puzzles()
    qk, logits = planted_scores(puzzles)
    rows = [number for number, one in enumerate(puzzles) if one.split == "test"]
    said = qk[rows, 2 * N_HEADS + 1].argmax(axis=1)
    answer = np.array([puzzles[row].answer for row in rows])
    found = head_profile(store, "planted-1", 2, 1).set_index(["what", "of"])
    for index, name in enumerate(("true", "false")):
        assert found.loc[(SAYS, name), "share"] == pytest.approx((said == index).mean())
        assert found.loc[(ANSWER, name), "share"] == pytest.approx((answer == index).mean())
        of_answer = said[answer == index] == index
        assert found.loc[(RIGHT, name), "share"] == pytest.approx(of_answer.mean())
        assert found.loc[(RIGHT, name), "n"] == len(of_answer)
    same = said == logits[rows].argmax(axis=1)
    row = found.loc[(SAME, "the model")]
    assert row["share"] == pytest.approx(same.mean())
    groups = np.array([int(puzzles[row].group[1:]) for row in rows])
    by_hand = measured(same, np.unique(groups, return_inverse=True)[1])
    assert (row["low"], row["high"]) == pytest.approx((by_hand.low, by_hand.high))
    assert row["n_groups"] == len(np.unique(groups))


def test_a_profile_of_some_puzzles_counts_those_and_of_none_nothing(store):
    found = head_profile(store, "planted-1", 1, 2, steps=2, distractors=1)
    assert set(found.loc[found["what"] == SAYS, "n"]) == {10}
    assert head_profile(store, "planted-1", 1, 2, steps=9).empty
