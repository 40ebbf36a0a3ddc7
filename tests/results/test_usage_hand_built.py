"""Verdicts on transformers that were built by hand, from their weights to the sentence."""

import pytest

from qkcore.results.effects import ablation_effects, usage_of
from qkcore.results.store import ResultStore
from tests.scoring.hand_built import ablated

# Not "resample": of two that back each other up, it has one say another puzzle's answer aloud
KINDS = ("mean", "zero", "knock-out")
RIGHT = {
    "carried": "used",
    "unused": "readable but not used",
    "backed up": "used together",
    "shared": "used by others too",
}
AFTER = {"carried": (0.5, 0.5), "unused": (1, 1), "backed up": (1, 0.5)}  # accuracy; with k of 1, 2


@pytest.fixture(scope="module", params=RIGHT)
def one(request, tmp_path_factory):
    """A model's name, its store and its run."""
    path = tmp_path_factory.mktemp("built") / "s.duckdb"
    return request.param, path, ablated(request.param, path, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_verdict_is_what_the_weights_say(one, kind):
    name, path, run_id = one
    with ResultStore.open(path) as store:
        found = usage_of(store, run_id, kind)
        table = ablation_effects(store, run_id, kind)
    assert found.name == RIGHT[name], found.sentence
    accuracy = table[table["measure"] == "accuracy"].set_index("k")
    assert (accuracy["before"] == 1).all()
    if name in AFTER:
        assert accuracy["after"].tolist() == pytest.approx(AFTER[name], abs=0.15)
        assert accuracy["control_median"].tolist() == [0, 0]
