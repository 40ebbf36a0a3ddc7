"""How long it will take: what a pass costs by itself is not counted for every puzzle."""

from types import SimpleNamespace

import pytest

from qkcore.protocol import estimate
from qkcore.protocol.sets import PuzzleSet
from qkcore.puzzles.generate import generate_puzzles
from tests.protocol.test_sets import small


@pytest.fixture
def made_up(monkeypatch):
    """64 puzzles of 10 tokens; a pass takes 0.5 s, and a token 1 ms more."""
    monkeypatch.setattr(estimate, "prompts_of", lambda lm, puzzles: puzzles)
    monkeypatch.setattr(estimate, "_tokens", lambda prompts: 10 * len(prompts))
    monkeypatch.setattr(
        estimate, "_spent", lambda lm, one, sample, *others: 0.5 + 0.001 * 10 * len(sample)
    )
    return PuzzleSet("made-up", "generated", tuple(generate_puzzles(1, 0, n=64)), False)


def test_a_sample_grows_as_long_as_there_is_time(made_up):
    def pace(seconds):
        return estimate._pace(None, made_up, small(), None, seconds)

    n = len(made_up.puzzles)
    assert pace(60) == pytest.approx((0.5 + 0.01 * n) / (10 * n))  # all puzzles in one pass
    assert pace(0) == pytest.approx((0.5 + 0.01 * 16) / 160)


def test_no_more_control_heads_are_counted_than_a_layer_has(made_up):
    heads = SimpleNamespace(geometry=SimpleNamespace(n_heads=2))
    asked = small()
    assert asked.ablation.n_controls == 2
    n_test = sum(one.split == "test" for one in made_up.puzzles)
    share = min(asked.ablation.n_test, n_test) / len(made_up.puzzles)
    assert estimate._switching(heads, made_up, asked, 100.0) == pytest.approx(100 * share * 2)
