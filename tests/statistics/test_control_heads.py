import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkcore import InputError
from qkcore.statistics.control_heads import control_heads


@given(
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=4),
    st.integers(1, 30),
    st.integers(0, 5),
)
def test_controls_are_different_sets_of_as_many_other_heads_of_the_same_layers(heads, n, seed):
    drawn = control_heads(sorted(heads), n_heads=9, n_draws=n, seed=seed)
    layers = sorted(layer for layer, _ in heads)
    for one in drawn:
        assert sorted(layer for layer, _ in one) == layers
        assert len(set(one)) == len(one)
        assert not set(one) & heads
    assert len({frozenset(one) for one in drawn}) == len(drawn) <= n
    assert drawn == control_heads(sorted(heads), n_heads=9, n_draws=n, seed=seed)


def test_where_there_are_no_more_sets_each_is_taken_once():
    assert len(control_heads([(0, 0)], n_heads=9, n_draws=20)) == 8
    assert len(control_heads([(0, 0), (0, 1)], n_heads=6, n_draws=6)) == 6  # four over two
    assert len(control_heads([(0, 0), (1, 0)], n_heads=4, n_draws=9)) == 9  # three times three
    assert len(control_heads([(0, 0), (1, 0)], n_heads=4, n_draws=8)) == 8


def test_every_other_head_is_drawn_about_as_often():
    drawn = control_heads([(0, 0), (1, 0), (2, 0)], n_heads=9, n_draws=400)
    for layer in range(3):
        times = [sum((layer, head) in one for one in drawn) for head in range(1, 9)]
        # Binomial with n = 400 and p = 1/8: 50 and a standard deviation of 6.6
        assert all(abs(n - 50) < 4 * 6.6 for n in times)


def test_another_seed_draws_others():
    first, second = (control_heads([(0, 0), (1, 0)], 9, 20, seed) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize(
    ("heads", "sentence"),
    [
        ([(2, 0), (2, 1), (2, 2)], "layer 2 has 4 heads; with 3 of them switched off it has no 3"),
        ([(2, 4)], "layer 2 has heads 0 to 3, so there is no L2 H4"),
    ],
)
def test_too_few_heads_are_said_in_a_sentence(heads, sentence):
    with pytest.raises(InputError, match=sentence):
        control_heads(heads, n_heads=4, n_draws=20)
