import torch

from qkcore.scoring.arithmetic import qk_scores


def test_a_head_prefers_the_candidate_its_query_points_at():
    key = torch.tensor([[[1.0, 0.0]]])  # one layer, one head, pointing right
    # Candidate 0 points right, candidate 1 left.
    queries = torch.tensor([[[[2.0, 5.0], [-1.0, 7.0]]]])
    scores = qk_scores(queries, key)
    assert scores.tolist() == [[[2.0, -1.0]]]


def test_the_score_is_the_plain_product_without_softmax_or_scale():
    assert qk_scores(torch.full((1, 1, 1, 4), 3.0), torch.full((1, 1, 4), 2.0)).item() == 24.0


def test_half_precision_states_are_multiplied_in_float32():
    states = torch.full((1, 1, 1, 64), 40.0, dtype=torch.float16)
    assert qk_scores(states, states[:, :, 0]).item() == 64 * 1600.0  # over float16's largest number
