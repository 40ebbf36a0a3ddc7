"""Evidence that a store keeps: the same as worked out, and never older than the runs it is of."""

import duckdb
import pytest

from qkcore.puzzles.puzzle import puzzle_set_sha256
from qkcore.results.kept import kept
from qkcore.results.migrate import migrate
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import (
    evidence_of,
    left_over,
    twin_run,
    twin_runs,
    verdict_of,
    worked_out,
)
from qkcore.sharing.excerpt import copy_runs
from tests.results.test_verdicts import asked, said_to
from tests.stores import planted_puzzles, planted_run, planted_store, publish_parts, write_parts


def publish_set(path, name, puzzles, seed=0, kind="word"):
    run = planted_run(puzzles, run_id=name, puzzle_set=f"{name}-set")
    parts = write_parts(path.with_suffix(f".{name}"), puzzles, *said_to(puzzles, kind, seed))
    publish_parts(path, run, puzzles, parts)


@pytest.fixture
def with_twin(tmp_path):
    """A run of a head that reads one word, then a run on the twin: in the order people make them.

    Returns the path, and the verdict before the twin was there.
    """
    path, puzzles = tmp_path / "s.duckdb", asked(is_twin=False)
    publish_set(path, "run", puzzles)
    with ResultStore.open(path) as store:
        before = verdict_of(store, "run")
    publish_set(path, "twin", asked(is_twin=True, parent=puzzle_set_sha256(puzzles)), seed=1)
    return path, before


def test_what_is_kept_is_what_is_worked_out(with_twin):
    path, _ = with_twin
    with ResultStore.open(path) as store:
        rows = kept(store)
        assert set(rows) == {"run", "twin"}
        for run_id, row in rows.items():
            assert row.evidence == worked_out(store, run_id)
            assert row.evidence is not None


def test_a_twin_that_comes_later_is_part_of_its_parents_evidence(with_twin):
    path, before = with_twin
    with ResultStore.open(path) as store:
        assert kept(store)["run"].twin_run == "twin"
        assert "on the balanced twin" in verdict_of(store, "run").sentence
        assert "on the balanced twin" not in before.sentence
        assert left_over(store, "run")["step"].iloc[-1] == "on the balanced twin"


def test_a_run_on_the_twin_that_is_scored_again_changes_its_parents_evidence(with_twin):
    path, _ = with_twin
    with ResultStore.open(path) as store:
        first = evidence_of(store, "run").twin
    parent = puzzle_set_sha256(asked(is_twin=False))
    publish_set(path, "twin", asked(is_twin=True, parent=parent), seed=2, kind="logical")
    with ResultStore.open(path) as store:
        again = evidence_of(store, "run").twin
        assert again == worked_out(store, "run").twin
    assert again.head.value > first.head.value + 0.2


def test_a_copy_without_the_twin_knows_nothing_of_it(with_twin, tmp_path):
    path, before = with_twin
    copy_runs(path, tmp_path / "copy.duckdb", ["run"])
    with ResultStore.open(tmp_path / "copy.duckdb") as store:
        assert kept(store)["run"].twin_run is None
        assert verdict_of(store, "run") == before
    copy_runs(path, tmp_path / "both.duckdb", ["run", "twin"])
    with ResultStore.open(tmp_path / "both.duckdb") as store:
        assert kept(store)["run"].twin_run == "twin"


def test_evidence_that_is_stale_is_not_believed(with_twin):
    path, before = with_twin
    with duckdb.connect(str(path)) as connection:
        connection.execute("update evidence set twin_run = null where run_id = 'run'")
        connection.execute("update evidence set evidence = null where run_id = 'run'")
    with ResultStore.open(path) as store:
        assert verdict_of(store, "run").sentence != before.sentence
        assert evidence_of(store, "run") == worked_out(store, "run")


def test_a_store_of_an_earlier_build_is_read_and_can_be_completed(with_twin, tmp_path):
    path, _ = with_twin
    with ResultStore.open(path) as store:
        now = evidence_of(store, "run")
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop table evidence")
    with ResultStore.open(path) as store:
        assert kept(store) == {}
        assert evidence_of(store, "run") == now
    copy_runs(path, tmp_path / "copy.duckdb", ["run", "twin"])
    with ResultStore.open(tmp_path / "copy.duckdb") as store:
        assert kept(store)["run"].evidence == now
    assert sorted(migrate(path)) == ["run", "twin"]
    with ResultStore.open(path) as store:
        assert kept(store)["run"].evidence == now
    with pytest.raises(StoreError, match="nothing to do"):
        migrate(path)


def test_publishing_completes_what_an_earlier_build_left_out(tmp_path):
    path = planted_store(tmp_path / "s.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop table evidence")
    planted_store(path, run_id="planted-2", puzzle_set="second", n_groups=48)
    with ResultStore.open(path) as store:
        assert set(kept(store)) == {"planted-1", "planted-2"}


def test_a_run_without_test_puzzles_is_kept_as_one_without_evidence(tmp_path):
    puzzles = [one for one in planted_puzzles() if one.split == "validation"]
    publish_set(tmp_path / "s.duckdb", "run", puzzles)
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        assert kept(store) == {"run": (None, None)}
        assert verdict_of(store, "run") is None


def test_twins_of_all_runs_at_once_are_those_of_each(with_twin, family_path):
    for path in (with_twin[0], family_path):
        with ResultStore.open(path) as store:
            found = twin_runs(store)
            assert found == {run: twin_run(store, run) for run in store.runs()["run_id"]}
    assert found["planted-1"] is None
