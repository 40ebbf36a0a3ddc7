"""What a recording makes of states that a model changes after rotary."""

import pytest
import torch

from qkcore.attention.recording import recording

ROW, HEADS, TOKENS, DIMS = 2, 3, 5, 4
EVERY = torch.arange(TOKENS).expand(ROW, -1)


@pytest.fixture
def given():
    return torch.randn(ROW, HEADS, TOKENS, DIMS, generator=torch.Generator().manual_seed(0))


def recorded(given, change, is_strict):
    """A layer whose rotary turns the sign, and whose states are changed after it."""
    with recording(EVERY, EVERY, is_strict) as opened:
        query, key = -given, -2 * given
        opened.note_rotation("query", given, query, token_axis=2)
        opened.note_rotation("key", 2 * given, key, token_axis=2)
        opened.note_layer(0, change(query), change(key), scaling=1.0)
    return opened


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("change", [lambda states: states, torch.clone, lambda s: s.view(s.shape)])
def test_states_that_stay_as_they_were_rotated_are_known_before_it(given, change, is_strict):
    found = recorded(given, change, is_strict)
    assert torch.equal(found.pre_queries[0], given)
    assert torch.equal(found.pre_keys[0], 2 * given)
    assert torch.equal(found.queries[0], -given)


@pytest.mark.parametrize("change", [lambda s: s * 1.5, lambda s: s.roll(1, dims=1)])
def test_states_that_are_changed_into_others_are_not_known_before_rotary(given, change):
    found = recorded(given, change, is_strict=False)
    assert (found.pre_queries[0], found.pre_keys[0]) == (None, None)


def test_a_change_in_place_is_seen_by_a_strict_recording(given):
    found = recorded(given, lambda states: states.mul_(1.5), is_strict=True)
    assert (found.pre_queries[0], found.pre_keys[0]) == (None, None)


def test_the_same_memory_in_another_shape_is_not_the_same_state():
    square = torch.randn(ROW, TOKENS, TOKENS, DIMS, generator=torch.Generator().manual_seed(0))
    found = recorded(square, lambda states: states.transpose(1, 2), is_strict=False)
    assert (found.pre_queries[0], found.pre_keys[0]) == (None, None)
