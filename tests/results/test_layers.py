"""What the layers of planted runs say, against counting by hand."""

from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.layers import layer_curves, lost_on_the_way, passage_of
from qkcore.results.store import ResultStore
from qkcore.statistics.lost import Growth
from qkcore.statistics.passage import beyond_rule_sentence, outcome
from tests.stores import (
    N_HEADS,
    N_LAYERS,
    plant_layers,
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)

PUZZLES = planted_puzzles(240)
ANSWER = np.array([puzzle.answer for puzzle in PUZZLES])
IS_TEST = np.array([puzzle.split == "test" for puzzle in PUZZLES])
STEPS = np.array([puzzle.steps for puzzle in PUZZLES])


def lens_of(is_right: np.ndarray, answer: np.ndarray = ANSWER, lean: float = 3.0) -> np.ndarray:
    """(puzzle, layer, candidate) logits of (puzzle, layer) booleans, leaning to the second."""
    said = np.where(is_right, answer[:, None], 1 - answer[:, None])
    return (np.eye(2)[said] + np.array([0.0, lean])).astype(np.float32)


def store_with(path, is_right, puzzles=PUZZLES, lean=3.0, **layers):
    """A planted run whose lens is right where it is said; its last layer is the model's answer."""
    answer = np.array([puzzle.answer for puzzle in puzzles])
    lens = lens_of(is_right, answer, lean)
    qk = planted_scores(puzzles)[0]
    run = planted_run(puzzles)
    publish_parts(
        path, run, puzzles, write_parts(path.with_suffix(".parts"), puzzles, qk, lens[:, -1])
    )
    plant_layers(path, puzzles, lens, **layers)
    return path


@pytest.fixture(scope="module")
def is_right():
    """(puzzle, layer): layer 0 guesses, 1 is right on nine in ten, the output on seven of ten."""
    rng = np.random.default_rng(0)
    middle = rng.random(len(PUZZLES)) < 0.9
    output = middle & (rng.random(len(PUZZLES)) < 0.75)
    return np.stack([rng.random(len(PUZZLES)) < 0.5, middle, output], axis=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory, is_right):
    probe = np.where(IS_TEST[:, None], ANSWER[:, None].repeat(2, axis=1), -1)
    probe[np.flatnonzero(IS_TEST)[:40]] = -1  # left out
    path = store_with(
        tmp_path_factory.mktemp("layers") / "s.duckdb",
        is_right,
        probe=probe.repeat(2, axis=1)[:, :3],
    )
    return ResultStore.kept(path)


@pytest.mark.parametrize("steps", [None, 2, (1, 3)])
def test_curves_are_the_shares_that_one_counts(store, is_right, steps):
    curves = layer_curves(store, "planted-1", steps).set_index(["who", "layer"])
    wanted = [1, 2, 3] if steps is None else np.atleast_1d(steps)
    rows = IS_TEST & np.isin(STEPS, wanted)
    for layer in (1, 2):  # where all guess, any offset may be the best
        own = curves.loc[("calibrated lens", layer)]
        assert own["accuracy"] == pytest.approx(is_right[rows, layer].mean())
        assert (own["n"], own["n_right"]) == (rows.sum(), is_right[rows, layer].sum())
        assert own["low"] < own["accuracy"] < own["high"]
        raw = curves.loc[("lens", layer)]
        assert raw["accuracy"] == pytest.approx((ANSWER[rows] == 1).mean())  # it leans
        assert raw["auc"] == own["auc"]
    probed = rows & (np.cumsum(IS_TEST) > 40)
    assert curves.loc[("probe", 1), "n"] == probed.sum()
    assert curves.loc[("probe", 1), "accuracy"] == 1
    assert curves.loc[("control probe", 1), "accuracy"] == pytest.approx(
        (ANSWER[probed] == 0).mean()
    )


def test_the_lens_at_the_last_layer_is_the_model(store):
    curves = layer_curves(store, "planted-1").set_index("who")
    last = curves[curves["layer"] == 2]
    columns = ["n", "n_right", "n_groups", "accuracy", "low", "high", "auc"]
    for lens, model in (("calibrated lens", "calibrated model"), ("lens", "model")):
        assert last.loc[lens, columns].tolist() == curves.loc[model, columns].tolist()
    own = store.model_accuracy("planted-1", "test", is_calibrated=True).iloc[0]
    assert curves.loc["calibrated model", ["accuracy", "low", "high"]].tolist() == (
        own[["accuracy", "low", "high"]].tolist()
    )


def test_the_best_head_of_a_layer_is_chosen_on_validation_and_reported_on_test(store):
    qk = planted_scores(PUZZLES)[0].reshape(len(PUZZLES), N_LAYERS, N_HEADS, 2)
    right = qk.argmax(axis=-1) == ANSWER[:, None, None]
    best = right[~IS_TEST].mean(axis=0).argmax(axis=1)
    heads = layer_curves(store, "planted-1").query("who == 'best head'")
    assert heads["head"].tolist() == best.tolist()
    tested = [right[IS_TEST, layer, head].mean() for layer, head in enumerate(best)]
    assert heads["accuracy"].tolist() == pytest.approx(tested)


def test_rivals_stand_in_the_same_table(store):
    curves = layer_curves(store, "planted-1").set_index("who")
    rule = store.best_rule("planted-1")
    rules = store.surface_accuracy("planted-1", "test").set_index("rule")
    assert curves.loc["surface rule", "accuracy"] == rules.loc[rule, "accuracy"]
    assert curves.loc["majority", "accuracy"] == rules.loc["majority", "accuracy"]
    assert pd.isna(curves.loc["majority", "layer"])


def test_lost_and_found_are_counted_in_all_and_by_steps(store, is_right):
    losses = lost_on_the_way(store, "planted-1")
    assert losses["layer"].tolist() == [1] * 4
    assert pd.isna(losses["steps"].iloc[0])
    for row in losses.to_dict("records"):
        rows = IS_TEST if pd.isna(row["steps"]) else IS_TEST & (row["steps"] == STEPS)
        middle, end = is_right[rows, 1], is_right[rows, 2]
        assert row["n"] == rows.sum()
        assert row["lost"] == pytest.approx((middle & ~end).mean())
        assert row["found"] == pytest.approx((~middle & end).mean())
        assert row["net"] == pytest.approx(row["middle_accuracy"] - row["output_accuracy"])
        assert row["lost_low"] <= row["lost"] <= row["lost_high"]


def test_the_way_of_a_planted_answer_is_said(store):
    passage = passage_of(store, "planted-1")
    assert (passage.first_lens, passage.first_probe, passage.middle) == (1, 0, 1)
    assert (passage.head, passage.head_layer) == ("L1 H2", 1)
    assert outcome(passage)[0] == "lost on the way"
    assert isinstance(passage.growth, Growth)
    assert passage.beyond_rule == 0  # the probe, which is always right; the rules know nothing


def test_a_lens_that_is_no_better_than_a_rule_is_not_beyond_it(tmp_path):
    puzzles = [replace(puzzle, statement=f"X is {'not ' * puzzle.answer}P.") for puzzle in PUZZLES]
    is_right = np.ones((len(puzzles), 3), dtype=bool)
    is_right[::3, 2] = False
    with ResultStore.open(store_with(tmp_path / "s.duckdb", is_right, puzzles)) as store:
        passage = passage_of(store, "planted-1")
    assert passage.first_lens == 0
    assert passage.beyond_rule is None
    assert "At no layer is lens or probe ahead" in beyond_rule_sentence(passage)


def test_the_middle_layer_is_chosen_on_validation_not_on_test(tmp_path):
    rng = np.random.default_rng(1)
    share = np.where(IS_TEST[:, None], [0.99, 0.7, 0.6], [0.7, 0.95, 0.6])
    path = store_with(tmp_path / "s.duckdb", rng.random((len(PUZZLES), 3)) < share)
    with ResultStore.open(path) as store:
        assert lost_on_the_way(store, "planted-1")["layer"].iloc[0] == 1


def test_a_loss_that_grows_with_steps_is_found_in_a_store(tmp_path):
    rng = np.random.default_rng(2)
    middle = rng.random(len(PUZZLES)) < 0.97
    lost = rng.random(len(PUZZLES)) < np.array([0, 0.05, 0.3, 0.55])[STEPS]
    is_right = np.stack([middle, middle, middle & ~lost], axis=1)
    with ResultStore.open(store_with(tmp_path / "s.duckdb", is_right)) as store:
        growth = passage_of(store, "planted-1").growth
        assert growth.lost.low > 0
        assert growth.net.low > 0
        assert growth.lost.low < 0.25 < growth.lost.high


def test_where_all_guess_nothing_is_claimed(tmp_path):
    rng, names = np.random.default_rng(3), []
    path = store_with(tmp_path / "s.duckdb", rng.random((len(PUZZLES), 3)) < 0.5)
    for draw in range(16):
        with duckdb.connect(str(path)) as connection:
            for table in ("lens", "lens_offsets", "probes"):
                connection.execute(f"delete from {table}")
        rng = np.random.default_rng(draw)
        said = np.where(IS_TEST[:, None], rng.integers(0, 2, (len(PUZZLES), 8)), -1)
        logits = rng.normal(size=(len(PUZZLES), 8, 2)).astype(np.float32)
        plant_layers(path, PUZZLES, logits, probe=said, control=said[:, ::-1])
        with ResultStore.open(path) as store:
            names.append(outcome(passage_of(store, "planted-1"))[0])
    assert names.count("not readable") >= 14


def imbalanced(n_groups: int = 200) -> list[Puzzle]:
    """Three puzzles a context, of which the last one alone is false."""
    return [
        Puzzle(
            puzzle_id=f"g{group}-{number}",
            context=f"Context {group}.",
            statement=f"Statement {number}.",
            candidates=("true", "false"),
            answer=number // 2,
            steps=None,
            distractors=None,
            group=f"g{group}",
            split="test" if group % 2 else "validation",
        )
        for group in range(n_groups)
        for number in range(3)
    ]


def test_where_answers_are_imbalanced_all_is_balanced(tmp_path):
    puzzles = imbalanced()
    answer = np.array([puzzle.answer for puzzle in puzzles])
    rng = np.random.default_rng(4)
    knows = rng.random(len(puzzles)) < 0.9
    is_right = np.stack([answer == 0, knows, answer == 0], axis=1)  # it ends with the commonest
    test = np.array([puzzle.split == "test" for puzzle in puzzles])
    with ResultStore.open(store_with(tmp_path / "s.duckdb", is_right, puzzles)) as store:
        curves = layer_curves(store, "planted-1").set_index(["who", "layer"])
        by_answer = [knows[test & (answer == one)].mean() for one in (0, 1)]
        assert curves.loc[("calibrated lens", 1), "accuracy"] == pytest.approx(np.mean(by_answer))
        heads = store.head_accuracy("planted-1", "test").set_index(["layer", "head"])
        best = curves.loc[("best head", 1)]
        assert best["accuracy"] == heads.loc[(1, best["head"]), "balanced_accuracy"]
        passage = passage_of(store, "planted-1")
        assert (passage.first_lens, passage.middle) == (1, 1)
        assert outcome(passage)[0] == "lost on the way"
        assert passage.growth == "the puzzles do not say how many steps they take"
        assert len(lost_on_the_way(store, "planted-1")) == 1


def test_a_run_without_lens_or_a_store_without_the_tables_has_no_layers(tmp_path):
    path = planted_store(tmp_path / "s.duckdb")
    for _ in range(2):
        with ResultStore.open(path) as store:
            assert layer_curves(store, "planted-1").empty
            assert lost_on_the_way(store, "planted-1").empty
            assert passage_of(store, "planted-1") is None
        with duckdb.connect(str(path)) as connection:
            for table in ("lens", "lens_offsets", "probes"):
                connection.execute(f"drop table if exists {table}")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_run_of_one_split_alone_says_what_can_be_said(split, tmp_path, is_right):
    kept = [index for index, puzzle in enumerate(PUZZLES) if puzzle.split == split]
    puzzles = [PUZZLES[index] for index in kept]
    path = store_with(tmp_path / "s.duckdb", is_right[kept], puzzles, lean=0.0)
    with ResultStore.open(path) as store:
        assert lost_on_the_way(store, "planted-1").empty
        curves, passage = layer_curves(store, "planted-1"), passage_of(store, "planted-1")
        if split == "validation":
            assert curves.empty
            assert passage is None
        else:
            assert set(curves["who"]) >= {"calibrated lens", "model"}
            assert outcome(passage)[0] == "no middle"


def test_heads_on_a_twin_are_those_that_the_set_has_chosen(tmp_path):
    path = planted_store(tmp_path / "s.duckdb", n_groups=240)
    other = planted_puzzles(120)
    scores = planted_scores(other, seed=9)
    run = planted_run(other, run_id="twin", puzzle_set="twin-set")
    publish_parts(path, run, other, write_parts(tmp_path / "twin", other, *scores))
    plant_layers(path, other, np.repeat(scores[1][:, None], 3, axis=1), run_id="twin")
    with ResultStore.open(path) as store:
        own = store.head_counts("planted-1", "validation")
        best = own.loc[own.groupby("layer")["accuracy"].idxmax(), "head"].tolist()
        there = layer_curves(store, "twin", None, "planted-1").query("who == 'best head'")
        assert there["head"].tolist() == best
        assert (there["n"] == sum(puzzle.split == "test" for puzzle in other)).all()
