import numpy as np
import pytest
import torch

from qkcore.statistics.marks import TIE, choices, leads, margins


def test_the_margin_is_to_the_best_wrong_candidate():
    scores = np.array([5.0, 1.0, 4.0])
    assert margins(scores, 0) == 1.0
    assert margins(scores, 1) == -4.0


def test_a_tie_is_no_choice_and_not_right():
    scores = np.array([2.0, 2.0, 0.0])
    assert choices(scores) == TIE
    assert margins(scores, 0) == 0.0


def test_choices_are_those_of_torch_where_no_two_are_best():
    scores = np.random.default_rng(0).integers(0, 3, size=(200, 3)).astype(np.float32)  # many ties
    best = torch.tensor(scores).topk(2, dim=-1)
    expected = torch.where(best.values[:, 0] > best.values[:, 1], best.indices[:, 0], TIE)
    assert choices(scores).tolist() == expected.tolist()


@pytest.mark.parametrize("shape", [(50,), (6, 4), (5, 3, 2)])
def test_margins_of_many_are_those_of_each_whatever_candidates_it_lacks(shape):
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(*shape, 4)).astype(np.float32)
    answer = rng.integers(0, 2, size=shape)
    scores[..., 3][rng.random(shape) < 0.5] = np.nan
    scores[..., 2][np.isnan(scores[..., 3]) & (rng.random(shape) < 0.5)] = np.nan
    found = margins(scores, answer)
    assert found.dtype == np.float32
    for place in np.ndindex(shape):
        own = [one for one in scores[place].tolist() if one == one]
        right = own.pop(answer[place])
        assert found[place] == np.float32(right) - np.float32(max(own))
        assert (found[place] > 0) == (choices(scores[place]) == answer[place])


def test_a_lead_is_the_size_of_the_margin_where_there_are_two_candidates():
    scores = np.random.default_rng(2).normal(size=(40, 2))
    assert np.array_equal(leads(scores), np.abs(margins(scores, 0)))


def test_huge_scores_keep_their_order_and_equal_ones_are_a_tie():
    scores = np.array(
        [[1e38, 3e38], [-3e38, 3e38], [3e38, 3e38], [-3e38, np.nan]], dtype=np.float32
    )
    assert choices(scores).tolist() == [1, 1, -1, 0]
