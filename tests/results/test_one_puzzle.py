"""What is said of one puzzle, against stored results that are known.

And against numbers that a reader can check.
"""

import numpy as np
import pytest

from qkcore.puzzles.variants import variants
from qkcore.results.answers import exam
from qkcore.results.one_puzzle import answer_rows, effects, grid_frame, own_curve, vote_scores
from qkcore.results.scores import Scores
from qkcore.results.store import ResultStore
from qkcore.results.yardsticks import head_leads, share_below, yardsticks
from qkcore.statistics.marks import leads
from tests.stores import N_HEADS, N_LAYERS, PLANTED, planted_puzzles, planted_scores
from tests.tiny import puzzle

BY_HAND = np.array([[[3.0, 1.0], [0.0, 0.0]], [[1.0, 2.0], [5.0, 1.0]]])  # (layer, head, candidate)


@pytest.fixture(scope="module")
def store(planted_path):
    with ResultStore.open(planted_path) as store:
        yield store


@pytest.fixture(scope="module")
def measures(store):
    return yardsticks(store, "planted-1")


def planted(number):
    puzzles = planted_puzzles()
    qk, logits = planted_scores(puzzles)
    return Scores(puzzles[number], qk[number].reshape(N_LAYERS, N_HEADS, 2), logits[number])


def test_typical_leads_are_those_of_the_scores(measures):
    qk, _ = planted_scores(planted_puzzles())
    expected = np.sqrt(((qk[..., 0] - qk[..., 1]).astype(float) ** 2).mean(axis=0))
    np.testing.assert_allclose(measures.typical.ravel(), expected, rtol=1e-5)


def test_stored_leads_are_of_test_puzzles_only(store, measures):
    puzzles = planted_puzzles()
    qk, logits = planted_scores(puzzles)
    is_test = np.array([one.split == "test" for one in puzzles])
    own = np.sort(np.abs(qk[is_test, 1 * N_HEADS + 2, 0] - qk[is_test, 1 * N_HEADS + 2, 1]))
    np.testing.assert_allclose(head_leads(store, "planted-1", *PLANTED), own, rtol=1e-5)
    np.testing.assert_allclose(
        measures.model_leads, np.sort(np.abs(logits[is_test] @ [1, -1])), rtol=1e-5
    )


def test_the_share_below_counts_smaller_leads():
    stored = np.sort(leads(np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0], [4.0, 0.0]])))
    assert [share_below(stored, lead) for lead in (0.5, 1.0, 3.5, 9.0)] == [0.0, 0.0, 0.75, 1.0]
    assert share_below(np.zeros(0), 1.0) is None


def test_votes_and_heads_answer_as_in_the_exam_of_the_stored_run(store, measures):
    """Two paths to one answer: this puzzle by itself, and the whole run at once."""
    table = exam(store, "planted-1", *PLANTED).set_index("puzzle_id")
    for number, one in enumerate(planted_puzzles()):
        if one.split == "test":
            rows = answer_rows(planted(number), *PLANTED, measures, np.zeros(0)).set_index("who")
            stored = table.loc[one.puzzle_id]
            assert rows["verdict"].tolist() == [
                "right" if stored[f"is_{who}_right"] else "wrong"
                for who in ("model", "head", "vote")
            ]


def test_probabilities_are_shared_among_the_candidates():
    scored = Scores(puzzle(), BY_HAND, np.log(np.array([3.0, 1.0])) + 100)
    np.testing.assert_allclose(scored.probabilities, [0.75, 0.25])


def test_the_grid_marks_right_wrong_and_ties():
    frame = grid_frame(
        Scores(puzzle(answer=0), BY_HAND, np.zeros(2)), np.array([[1.0, 1.0], [0.5, 8.0]]), [(1, 1)]
    )
    assert frame["mark"].tolist() == ["+", "=", "−", "+"]
    assert frame["verdict"].tolist() == ["right", "wrong", "wrong", "right"]
    assert frame["answer"].tolist() == ["true", "cannot decide", "false", "true"]
    assert frame["scaled"].tolist() == [2.0, 0.0, -2.0, 0.5]
    assert frame["name"].tolist() == ["L0 H0", "L0 H1", "L1 H0", "L1 H1"]
    assert frame["is_known_good"].tolist() == [False, False, False, True]


def test_without_a_known_answer_nobody_is_right():
    frame = grid_frame(Scores(puzzle(answer=None), BY_HAND, np.zeros(2)), None)
    assert set(frame["verdict"]) == {""}
    assert frame["mark"].tolist() == ["+", "=", "−", "+"]  # for the first candidate
    assert np.sqrt((frame["scaled"] ** 2).mean()) == pytest.approx(1)


def test_a_head_that_never_varied_is_not_scaled_to_infinity():
    frame = grid_frame(Scores(puzzle(answer=0), BY_HAND, np.zeros(2)), np.zeros((2, 2)))
    assert frame["scaled"].tolist() == [0.0] * 4


def test_without_stored_results_there_is_no_vote_and_no_comparison():
    rows = answer_rows(
        Scores(puzzle(answer=1), BY_HAND, np.array([0.0, 2.0])), 1, 1, None, np.zeros(0)
    )
    assert rows["who"].tolist() == ["the model", "L1 H1"]
    assert rows["verdict"].tolist() == ["right", "wrong"]
    assert rows["lead"].tolist() == [2.0, 4.0]
    assert rows["share_below"].isna().all()


def scored_variants(one, answer_of):
    """Scores in which everybody answers what `answer_of` says of a puzzle."""

    def scored(some):
        logits = np.eye(2)[answer_of(some)]
        return Scores(some, np.broadcast_to(logits, (2, 2, 2)), logits)

    made, _ = variants(one, n_draws=2)
    return scored(one), [(variant, scored(variant.puzzle)) for variant in made]


def test_effects_say_who_flips_and_who_is_right():
    """This reader answers false where it sees the word "not" in the statement, else true."""
    before, after = scored_variants(puzzle(answer=1), lambda some: int(" not " in some.statement))
    table = effects(before, after, 0, 1, None)
    assert table.loc[0, ["kind", "truth", "model", "model_verdict"]].tolist() == [
        "as typed",
        "false",
        "true",
        "wrong",
    ]
    negated = table[table["kind"] == "negated"].iloc[0]
    assert negated[["truth", "model", "head_verdict", "head_flips"]].tolist() == [
        "true",
        "false",
        "wrong",
        True,
    ]
    assert not table.loc[table["kind"] != "negated", "model_flips"].any()
    dropped = table[table["kind"] == "dropped"]
    assert dropped["truth"].tolist() == ["unknown"] * 3
    assert dropped["premise"].tolist() == [0, 1, 2]
    assert (dropped["model_verdict"] == "").all()


def test_the_puzzles_own_curve_is_the_share_of_draws_that_are_right():
    before, after = scored_variants(
        puzzle(answer=1), lambda some: int(len(some.context.split(". ")) < 6)
    )
    curve = own_curve(effects(before, after, 0, 1, None))
    model = curve[curve["who"] == "model"]
    assert model["n_added"].tolist() == [0, 1, 2, 3, 4, 5]
    assert model["n"].tolist() == [1, 2, 2, 2, 2, 2]
    assert model["share_right"].tolist() == [1, 1, 1, 0, 0, 0]


def test_a_planted_vote_prefers_the_planted_head(measures):
    assert measures.voters[0] == PLANTED
    assert vote_scores(planted(0), measures).shape == (2,)
