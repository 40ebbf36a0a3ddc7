from collections import Counter

import numpy as np
import pytest

from qkcore.statistics.marks import choices
from qkcore.statistics.votes import centred, majority_vote, spreads, weighted_vote


def scores_of(n_puzzles=120, n_heads=4, seed=0):
    """(puzzle, head, candidate) small whole numbers, so ties abound.

    Every third puzzle has two candidates of four.
    """
    scores = (
        np.random.default_rng(seed).integers(-2, 3, size=(n_puzzles, n_heads, 4)).astype(np.float32)
    )
    scores[::3, :, 2:] = np.nan
    return scores


@pytest.mark.parametrize("n_heads", [1, 2, 3, 10])
def test_the_majority_is_what_a_ballot_says(n_heads):
    said = choices(scores_of(n_heads=n_heads))
    for row, answer in zip(said.tolist(), majority_vote(said, 4).tolist(), strict=True):
        ballot = Counter(choice for choice in row if choice != -1).most_common()
        is_decided = ballot and (len(ballot) == 1 or ballot[0][1] > ballot[1][1])
        assert answer == (ballot[0][0] if is_decided else -1)


def test_heads_that_all_abstain_give_no_answer():
    assert majority_vote(np.full((2, 3), -1), 3).tolist() == [-1, -1]


def test_the_weighted_vote_adds_each_heads_score_over_its_puzzles_mean_in_units_of_its_spread():
    scores, scales = scores_of(), np.array([1.0, 2.0, 0.5, 4.0])
    voted = weighted_vote(scores, scales)
    for puzzle, sums in zip(scores.tolist(), voted.tolist(), strict=True):
        n = sum(value == value for value in puzzle[0])
        for candidate in range(n):
            said = [
                (own[candidate] - sum(own[:n]) / n) / scale
                for own, scale in zip(puzzle, scales.tolist(), strict=True)
            ]
            assert sums[candidate] == pytest.approx(sum(said), abs=1e-6)
        assert np.isnan(sums[n:]).all()


def test_with_two_candidates_the_weighted_vote_is_the_sum_of_scaled_margins():
    scores, scales = np.random.default_rng(1).normal(size=(50, 3, 2)), np.array([0.1, 1.0, 10.0])
    by_margins = ((scores[:, :, 0] - scores[:, :, 1]) / scales).sum(axis=1)
    assert (
        choices(weighted_vote(scores, scales)).tolist() == np.where(by_margins > 0, 0, 1).tolist()
    )


def test_a_spread_is_the_root_mean_square_of_what_is_left_without_the_mean():
    scores = scores_of()
    for head, spread in enumerate(spreads(scores)):
        squares = []
        for puzzle in scores[:, head].tolist():
            known = [value for value in puzzle if value == value]
            squares += [(value - sum(known) / len(known)) ** 2 for value in known]
        assert spread == pytest.approx((sum(squares) / len(squares)) ** 0.5)


def test_a_head_without_spread_has_no_vote():
    scores = np.array([[[3.0, 3.0], [0.0, 1.0]], [[5.0, 5.0], [1.0, 0.0]]])
    assert spreads(scores)[0] == 0
    assert choices(weighted_vote(scores, spreads(scores))).tolist() == [1, 0]
    assert choices(weighted_vote(scores[:, :1], spreads(scores[:, :1]))).tolist() == [
        -1,
        -1,
    ]


def test_an_offset_that_a_head_adds_to_all_candidates_of_a_puzzle_changes_nothing():
    scores = scores_of()
    moved = scores + np.random.default_rng(2).integers(-50, 50, size=(*scores.shape[:2], 1))
    assert weighted_vote(moved, spreads(moved)) == pytest.approx(
        weighted_vote(scores, spreads(scores)), nan_ok=True
    )


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e37])
def test_heads_vote_alike_however_large_their_scores_are(scale):
    scores = np.random.default_rng(3).normal(size=(40, 3, 2)).astype(np.float32)
    large = (scores * np.float32(scale)).astype(np.float32)
    expected = choices(weighted_vote(scores, spreads(scores)))
    assert choices(weighted_vote(large, spreads(large))).tolist() == expected.tolist()


def test_centred_scores_of_a_puzzle_add_up_to_nothing():
    assert np.nansum(centred(scores_of()), axis=-1) == pytest.approx(np.zeros((120, 4)), abs=1e-5)
