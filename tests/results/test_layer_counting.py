"""What was read after each layer comes out of the store as it went in; older stores have none."""

from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from qkcore.results.export import export
from qkcore.results.publish import add_layers, collect, publish
from qkcore.results.raw import lens_logits, lens_offsets, model_logits, probe_choices
from qkcore.results.schema import ADDED_TABLES
from qkcore.results.store import ResultStore
from qkcore.sharing.excerpt import copy_runs
from qkcore.statistics.calibration import offsets
from qkcore.statistics.probes import ProbeChoices
from tests.stores import planted_puzzles, planted_run, planted_scores, planted_store, write_parts

TABLES = ("lens", "probes")
N_GROUPS = 140  # 280 puzzles: more than one chunk


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """(run, puzzles, answers with lens and probes) of the planted run, in five layers."""
    puzzles = planted_puzzles(N_GROUPS)
    run = planted_run(puzzles, n_layers=5, head_layers=(1, 2, 4))
    parts = write_parts(tmp_path_factory.mktemp("parts"), puzzles, *planted_scores(puzzles))
    plain, rng = collect(run, puzzles, parts), np.random.default_rng(0)
    lens = rng.normal(size=(len(puzzles), 5, 2)).astype(np.float32)
    lens[:, -1] = plain.logits
    said, control = rng.integers(-1, 2, size=(2, len(puzzles), 5)).astype(np.int8)
    probes = ProbeChoices(np.arange(5), said, control, 77, np.array([1e-3, 1e-2, 1e-1, 1, 10.0]))
    return run, puzzles, replace(plain, lens=lens, probes=probes)


@pytest.fixture
def path(answers, tmp_path):
    publish(tmp_path / "s.duckdb", *answers)
    return tmp_path / "s.duckdb"


def assert_holds(path, answers):
    run, _, found = answers
    with ResultStore.open(path) as store:
        assert store.has_layers(run.run_id)
        layers, lens = lens_logits(store, run.run_id)
        assert layers.tolist() == [0, 1, 2, 3, 4]
        assert np.array_equal(lens, found.lens)
        assert np.array_equal(lens[:, -1], model_logits(store, run.run_id))
        probes = probe_choices(store, run.run_id)
        assert np.array_equal(probes.choices, found.probes.choices)
        assert np.array_equal(probes.controls, found.probes.controls)
        assert probes.strengths.tolist() == found.probes.strengths.tolist()
        assert probes.n_validation == 77
        is_validation = (found.puzzles["split"] == "validation").to_numpy()
        own = lens_offsets(store, run.run_id)
        for layer in range(5):
            expected = offsets(found.lens[is_validation, layer], found.answer[is_validation])
            assert own[layer].tolist() == expected.tolist()
        assert own[-1].tolist() == store.model_offset(run.run_id).tolist()


def test_lens_and_probes_come_out_as_they_went_in(path, answers):
    assert_holds(path, answers)


def test_a_copy_of_the_run_has_them_too(path, answers, tmp_path):
    copy_runs(path, tmp_path / "copy.duckdb", [answers[0].run_id])
    assert_holds(tmp_path / "copy.duckdb", answers)


def test_lens_and_probes_are_exported_a_row_a_logit_and_a_row_a_layer(path, answers, tmp_path):
    run, puzzles, found = answers
    with ResultStore.open(path) as store:
        export(store, run.run_id, "parquet", tmp_path / "out")
    lens, probes = (pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in TABLES)
    assert len(lens) == found.lens.size
    assert lens["puzzle_id"].iloc[::10].tolist() == [puzzle.puzzle_id for puzzle in puzzles]
    by_row = lens["logit"].to_numpy().reshape(found.lens.shape)
    assert np.array_equal(by_row, found.lens)
    assert probes["layer"].tolist() == [0, 1, 2, 3, 4]


def test_they_can_be_added_to_a_run_and_leave_its_other_tables(answers, tmp_path):
    run, puzzles, found = answers
    path = tmp_path / "later.duckdb"
    publish(path, run, puzzles, replace(found, lens=None, probes=None))
    before = of_table(path, "runs"), of_table(path, "head_scores")
    with ResultStore.open(path) as store:
        assert not store.has_layers(run.run_id)
    for _ in range(2):
        add_layers(path, run, found)
        assert_holds(path, answers)
    assert (of_table(path, "runs"), of_table(path, "head_scores")) == before


def of_table(path, table):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"select * from {table} order by all").fetchall()


@pytest.fixture
def old_path(tmp_path):
    """A store that was written before there were such tables."""
    path = planted_store(tmp_path / "old.duckdb", n_groups=N_GROUPS)
    with duckdb.connect(str(path)) as connection:
        for table in ADDED_TABLES:
            connection.execute(f"drop table {table}")
        connection.execute("checkpoint")
    return path


def test_an_older_store_has_none_and_says_so(old_path):
    with ResultStore.open(old_path) as store:
        assert not store.has_layers("planted-1")
        assert not store.has_ablations("planted-1")
        layers, lens = lens_logits(store, "planted-1")
        assert (len(layers), lens.shape) == (0, (0, 0, 2))
        assert lens_offsets(store, "planted-1").shape == (0, 2)
        assert probe_choices(store, "planted-1") is None


def test_an_older_store_is_copied_and_added_to_all_the_same(old_path, answers, tmp_path):
    copy_runs(old_path, tmp_path / "copy.duckdb", ["planted-1"])
    with ResultStore.open(tmp_path / "copy.duckdb") as store:
        assert store.runs()["run_id"].tolist() == ["planted-1"]
    run, _, found = answers
    add_layers(old_path, run, found)
    with ResultStore.open(old_path) as store:
        assert store.has_layers(run.run_id)
