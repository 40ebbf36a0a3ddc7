"""What a store says of heads switched off, against plain DuckDB and NumPy on its table."""

import duckdb
import numpy as np
import pytest

from qkcore.results.effects import ablated, ablation_effects, control_changes, usage_of
from qkcore.results.raw import model_logits, puzzle_rows
from qkcore.results.store import ResultStore
from tests.ablated import ablated_store, plant
from tests.stores import PLANTED, planted_store

RUN = "planted-1"


@pytest.fixture(scope="module")
def used_path(tmp_path_factory):
    """A run whose planted head the model uses; the same heads were knocked out too."""
    path = ablated_store(tmp_path_factory.mktemp("effects") / "used.duckdb")
    with ResultStore.open(path) as store:
        plain = model_logits(store, RUN)
    plant(path, RUN, np.stack([plain] * 4), [(PLANTED,)] + [((1, 0),)] * 3, kind="knock-out")
    plant(path, RUN, np.stack([plain] * 2), [((2, 2),), ((2, 1),)], chosen_by="named")
    return path


@pytest.fixture
def used(used_path):
    """The store, open."""
    with ResultStore.open(used_path) as store:
        yield store


def by_hand(path, draw: int, k: int = 1) -> np.ndarray:
    """(puzzle, candidate) logits, from the table alone."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "select logit from ablations where k = ? and draw = ? and kind = 'mean' and "
            "chosen_by = 'top' order by first_place",
            [k, draw],
        ).fetchall()
    return np.concatenate([row[0] for row in rows]).reshape(-1, 2)


def test_it_says_which_heads_were_switched_off_and_how(used):
    found = ablated(used, RUN)
    assert found.to_dict("split")["data"] == [
        ["best", "mean", 1, 20],
        ["best", "mean", 3, 20],
        ["best", "knock-out", 1, 3],
        ["named", "mean", 1, 1],
    ]


def test_effects_are_those_of_the_raw_logits_on_test_puzzles(used, used_path):
    table = ablation_effects(used, RUN)
    assert table["k"].unique().tolist() == [1, 3]
    puzzles, plain = puzzle_rows(used, RUN), model_logits(used, RUN)
    is_test = (puzzles["split"] == "test").to_numpy()
    answer = puzzles["answer"].to_numpy()[is_test]
    shares = [
        (logits[is_test].argmax(axis=1) == answer).mean()
        for logits in (plain, *(by_hand(used_path, draw) for draw in range(21)))
    ]
    own = table[(table["k"] == 1) & (table["measure"] == "accuracy")].iloc[0]
    assert own["heads"] == "L1 H2"
    assert (own["n"], own["n_groups"], own["n_controls"]) == (is_test.sum(), is_test.sum() / 2, 20)
    assert own["before"] == pytest.approx(shares[0])
    assert own["after"] == pytest.approx(shares[1])
    assert own["change"] == pytest.approx(shares[1] - shares[0])
    assert own["change_low"] < own["change"] < own["change_high"] < 0
    changes = np.array(shares[2:]) - shares[0]
    assert own["control_median"] == pytest.approx(np.median(changes))
    assert own["control_low"] == pytest.approx(np.quantile(changes, 0.05))
    assert own["n_as_harmful"] == 0
    assert own["p"] == pytest.approx(1 / 21)
    controls = control_changes(used, RUN, "accuracy")
    assert controls[controls["k"] == 1]["change"].tolist() == pytest.approx(changes.tolist())


def test_a_used_head_is_used_and_an_idle_one_is_not(used, tmp_path):
    assert usage_of(used, RUN).name == "used"
    assert usage_of(used, RUN).sentence.startswith("Used: without L1 H2 the model's AUC is ")
    with ResultStore.open(ablated_store(tmp_path / "idle.duckdb", "idle")) as store:
        found = usage_of(store, RUN)
    assert found.name == "readable but not used"
    assert "Without 3 heads the AUC changes by" in found.sentence


def test_other_ways_and_other_heads_are_asked_by_name(used):
    cut = ablation_effects(used, RUN, kind="knock-out")
    assert set(cut["kind"]) == {"knock-out"}
    assert (cut["change"] == 0).all()
    assert usage_of(used, RUN, kind="knock-out").name == "readable but not used"
    named = ablation_effects(used, RUN, heads_of="named")
    assert named["heads"].unique().tolist() == ["L2 H2"]
    assert usage_of(used, RUN, heads_of="named").name == "too little to say"  # one control
    assert ablation_effects(used, RUN, kind="zero").empty
    assert usage_of(used, RUN, kind="zero") is None


def test_only_puzzles_that_all_were_asked_count(tmp_path):
    path = planted_store(tmp_path / "some.duckdb", n_groups=60)
    with ResultStore.open(path) as store:
        plain, puzzles = model_logits(store, RUN), puzzle_rows(store, RUN)
    off = np.stack([plain] * 4)
    test = np.flatnonzero(puzzles["split"] == "test")
    off[0, test[:10]] = np.nan
    off[2, test[8:12]] = np.nan
    plant(path, RUN, off, [(PLANTED,)] + [((1, 0),)] * 3)
    with ResultStore.open(path) as store:
        table = ablation_effects(store, RUN)
        assert set(table["n"]) == {len(test) - 12}
    off[:, test] = np.nan
    plant(path, RUN, off, [(PLANTED,)] + [((1, 0),)] * 3, kind="zero")
    with ResultStore.open(path) as store:
        assert ablation_effects(store, RUN, "zero").empty
        assert usage_of(store, RUN, "zero") is None


def test_a_run_without_and_a_store_from_before_say_nothing(tmp_path):
    path = planted_store(tmp_path / "none.duckdb")
    for _ in range(2):
        with ResultStore.open(path) as store:
            assert ablated(store, RUN).empty
            assert ablation_effects(store, RUN).empty
            assert control_changes(store, RUN, "auc").empty
            assert usage_of(store, RUN) is None
        with duckdb.connect(str(path)) as connection:
            connection.execute("drop table if exists ablations")
