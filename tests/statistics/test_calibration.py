from itertools import pairwise, product

import numpy as np
import pytest
from scipy import stats

from qkcore.statistics.calibration import balance_weights, calibrated, offsets, pairwise_auc
from qkcore.statistics.marks import choices
from qkcore.statistics.metrics import auc, balanced_accuracy


def accuracy(said: np.ndarray, answer: np.ndarray) -> np.ndarray:
    return (said == answer.reshape(-1, *[1] * (said.ndim - 1))).mean(axis=0)


def leaning(n: int, n_candidates: int, lean: float, seed: int = 0):
    """(puzzle, candidate) scores that know the answer somewhat and lean to the first candidate."""
    rng = np.random.default_rng(seed)
    answer = rng.integers(0, n_candidates, n)
    scores = rng.normal(size=(n, n_candidates))
    scores[np.arange(n), answer] += 1.5
    scores[:, 0] += lean
    return scores, answer


def every_cut(scores: np.ndarray, answer: np.ndarray) -> float:
    """The best accuracy of any offset of the second of two candidates, tried one by one."""
    evidence = np.unique(scores[:, 0] - scores[:, 1])
    cuts = [evidence[0] - 1, *(np.mean(pair) for pair in pairwise(evidence)), evidence[-1] + 1]
    return max(accuracy(choices(scores + np.array([0, cut])), answer) for cut in cuts)


@pytest.mark.parametrize("seed", range(20))
def test_with_two_candidates_no_offset_is_better(seed):
    rng = np.random.default_rng(seed)
    scores, answer = leaning(int(rng.integers(2, 40)), 2, rng.normal() * 3, seed)
    scores = scores.round(int(rng.integers(0, 3)))  # with and without equal scores
    said = calibrated(scores, offsets(scores, answer))
    assert accuracy(said, answer) == every_cut(scores, answer)


def test_a_model_that_says_one_thing_to_all_is_as_good_as_it_orders_the_puzzles():
    scores, answer = leaning(4000, 2, lean=50.0)
    assert accuracy(choices(scores), answer) == pytest.approx(0.5, abs=0.02)
    unseen, its_answer = leaning(20_000, 2, lean=50.0, seed=1)
    said = calibrated(unseen, offsets(scores, answer))
    # The difference of two scores is a normal of standard deviation sqrt(2), 1.5 from the cut
    theory = stats.norm.cdf(1.5 / np.sqrt(2))
    assert accuracy(said, its_answer) == pytest.approx(theory, abs=0.01)


def test_the_offset_is_the_middle_of_the_widest_interval_of_best_ones():
    evidence = np.array([0.0, 1.0, 2.0, 10.0, 11.0])
    scores = np.stack([evidence, np.zeros(5)], axis=1)
    # One wrong whether the cut is at 0.5 or anywhere from 2 to 10
    assert offsets(scores, np.array([1, 0, 1, 0, 0])).tolist() == [0.0, 6.0]


def test_an_offset_beyond_all_puzzles_is_taken_only_where_nothing_else_is_as_good():
    scores = np.array([[1.0, 0.0], [3.0, 0.0]])
    assert offsets(scores, np.array([0, 0])).tolist() == [0.0, -1.0]  # always the first
    assert offsets(scores, np.array([1, 1])).tolist() == [0.0, 5.0]  # always the second
    assert offsets(scores, np.array([0, 1])).tolist() == [0.0, -1.0]  # either end: the lower one
    assert offsets(scores, np.array([1, 0])).tolist() == [0.0, 2.0]
    one = np.array([[4.0, 0.0]])
    assert calibrated(one, offsets(one, np.array([1]))) == 1


def test_heads_are_calibrated_together_as_each_alone():
    rng = np.random.default_rng(2)
    scores, answer = rng.normal(size=(60, 300, 2)).astype(np.float32), rng.integers(0, 2, 60)
    together = offsets(scores, answer)
    alone = np.array([offsets(scores[:, head], answer) for head in range(300)])
    assert (together == alone).all()


def test_balanced_weights_choose_the_offset_of_the_best_balanced_accuracy():
    rng = np.random.default_rng(3)
    answer = (rng.random(300) < 0.1).astype(int)
    scores = np.stack([rng.normal(size=300) + 0.8 * (answer == 0), np.zeros(300)], axis=1)

    def balanced(cut):
        said = calibrated(scores, np.array([0.0, cut]))
        right = np.bincount(answer[said == answer], minlength=2)
        return float(balanced_accuracy(right, np.bincount(answer)))

    plain, weighted = (
        offsets(scores, answer)[1],
        offsets(scores, answer, balance_weights(answer))[1],
    )
    cuts = np.linspace(-4, 5, 3000)
    assert balanced(weighted) >= max(map(balanced, cuts)) - 1e-9
    assert balanced(weighted) > balanced(plain) + 0.05
    assert balance_weights(answer).mean() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(4))
def test_with_three_candidates_a_grid_of_offsets_finds_nothing_better(seed):
    scores, answer = leaning(40, 3, lean=4.0, seed=seed)
    grid = np.linspace(-3, 9, 61)
    best = max(
        accuracy(choices(scores + np.array([0, b, c])), answer) for b, c in product(grid, grid)
    )
    found = offsets(scores, answer)
    assert found[0] == 0
    assert accuracy(calibrated(scores, found), answer) >= best - 1 / 40


def test_many_candidates_gain_by_calibration_on_unseen_puzzles():
    scores, answer = leaning(1500, 4, lean=6.0)
    unseen, its_answer = leaning(3000, 4, lean=6.0, seed=1)
    fair, its_fair_answer = leaning(3000, 4, lean=0.0, seed=2)
    ceiling = accuracy(choices(fair), its_fair_answer)
    said = calibrated(unseen, offsets(scores, answer))
    assert accuracy(choices(unseen), its_answer) < ceiling - 0.2
    assert accuracy(said, its_answer) == pytest.approx(ceiling, abs=0.025)


def test_puzzles_of_two_and_of_four_candidates_share_their_offsets():
    scores, answer = leaning(800, 4, lean=6.0, seed=4)
    has_two = np.arange(800) % 2 == 0
    answer = np.where(has_two, answer % 2, answer)
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(800, 4)) + 2 * (np.arange(4) == answer[:, None]) + [6.0, 0, 0, 0]
    scores[has_two, 2:] = np.nan
    found = offsets(scores, answer)
    assert np.isfinite(found).all()
    said = calibrated(scores, found)
    assert said[has_two].max() <= 1
    assert (said == answer)[has_two].mean() > 0.8
    assert (said == answer)[~has_two].mean() > 0.65


def test_scores_too_large_for_squares_are_calibrated_too():
    scores = np.array([[3e30, 1e30], [5e30, 1e30]], dtype=np.float32)
    assert calibrated(scores, offsets(scores, np.array([1, 0]))).tolist() == [1, 0]


def test_without_puzzles_there_is_nothing_to_add():
    assert offsets(np.zeros((0, 5, 2)), np.zeros(0, dtype=int)).tolist() == [[0, 0]] * 5


# Areas


def test_with_two_candidates_the_area_is_that_of_the_roc_curve():
    rng = np.random.default_rng(6)
    scores, answer = rng.integers(0, 6, (80, 7, 2)).astype(float), rng.integers(0, 2, 80)
    known = auc((scores[..., 0] - scores[..., 1]).T, answer == 0)
    assert pairwise_auc(scores, answer) == pytest.approx(known)


def test_the_area_of_three_candidates_is_a_count_of_pairs_of_puzzles():
    rng = np.random.default_rng(7)
    scores, answer = rng.integers(0, 4, (40, 3)).astype(float), rng.integers(0, 3, 40)
    areas = []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        evidence = scores[:, one] - scores[:, other]
        wins = [
            (mine > its) + (mine == its) / 2
            for mine in evidence[answer == one]
            for its in evidence[answer == other]
        ]
        areas.append(np.mean(wins))
    assert pairwise_auc(scores, answer) == pytest.approx(np.mean(areas))


def test_an_offset_changes_no_area():
    scores, answer = leaning(200, 3, lean=0.0)
    assert pairwise_auc(scores + np.array([9, 0, -4]), answer) == pytest.approx(
        pairwise_auc(scores, answer)
    )


def test_answers_that_never_occur_have_no_area():
    scores = np.random.default_rng(8).normal(size=(10, 4, 3))
    assert np.isnan(pairwise_auc(scores, np.zeros(10, dtype=int))).all()
    assert pairwise_auc(scores, np.array([0, 2] * 5)).shape == (4,)
    scores[:, :, 2] = np.nan
    assert not np.isnan(pairwise_auc(scores, np.array([0, 1] * 5))).any()
