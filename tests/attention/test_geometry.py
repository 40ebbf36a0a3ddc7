import torch

from qkcore.attention.geometry import Geometry

FOUR_HEADS = Geometry("llama", 1, 4, 2, None, None, None, None)


def test_neighbouring_heads_share_a_kv_head():
    assert [FOUR_HEADS.kv_head(head) for head in range(4)] == [0, 0, 1, 1]


def test_keys_by_head_are_those_of_each_heads_kv_head_on_any_axis():
    keys = torch.arange(2 * 3 * 5).reshape(2, 3, 5)  # (kv head, token, dim)
    for axis, moved in ((0, keys), (1, keys.transpose(0, 1))):
        found = FOUR_HEADS.keys_by_head(moved, axis).movedim(axis, 0)
        for head in range(4):
            assert torch.equal(found[head], keys[FOUR_HEADS.kv_head(head)])
