import torch

from qkcore.scoring.arithmetic import TIE, choices, margins, qk_scores


def test_a_head_prefers_the_candidate_its_query_points_at():
    key = torch.tensor([[[1.0, 0.0]]])  # one layer, one kv head, pointing right
    queries = torch.tensor(
        [[[[2.0, 5.0], [-1.0, 7.0]]]]
    )  # candidate 0 points right, candidate 1 left
    scores = qk_scores(queries, key)
    assert scores.tolist() == [[[2.0, -1.0]]]
    assert choices(scores).tolist() == [[0]]


def test_the_score_is_the_plain_product_without_softmax_or_scale():
    assert qk_scores(torch.full((1, 1, 1, 4), 3.0), torch.full((1, 1, 4), 2.0)).item() == 24.0


def test_neighbouring_heads_share_a_kv_head():
    keys = torch.tensor([[[1.0], [10.0]]])  # two kv heads
    queries = torch.ones(1, 4, 1, 1)
    assert qk_scores(queries, keys).flatten().tolist() == [1.0, 1.0, 10.0, 10.0]


def test_half_precision_states_are_multiplied_in_float32():
    states = torch.full((1, 1, 1, 64), 40.0, dtype=torch.float16)
    assert qk_scores(states, states[:, :, 0]).item() == 64 * 1600.0  # over float16's largest number


def test_the_margin_is_to_the_best_wrong_candidate():
    scores = torch.tensor([5.0, 1.0, 4.0])
    assert margins(scores, 0).item() == 1.0
    assert margins(scores, 1).item() == -4.0


def test_a_tie_is_no_choice_and_not_right():
    scores = torch.tensor([2.0, 2.0, 0.0])
    assert choices(scores).item() == TIE
    assert margins(scores, 0).item() == 0.0
