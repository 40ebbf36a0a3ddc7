import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pytest

from qkcore.puzzles.surface import SURFACE_RULES
from qkcore.results.answers import exam
from qkcore.results.findings import head_gap
from qkcore.results.parts import Part, read_part, write_part
from qkcore.results.reader import StoreError
from qkcore.results.schema import SCHEMA_VERSION
from qkcore.results.store import ResultStore
from qkcore.statistics.exams import accuracy_by
from qkcore.statistics.marks import choices
from tests.stores import (
    N_HEADS,
    N_LAYERS,
    PLANTED,
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return planted_store(tmp_path_factory.mktemp("store") / "planted.duckdb")


@pytest.fixture
def store(path):
    with ResultStore.open(path) as store:
        yield store


def test_a_part_reads_back_as_it_was_written(tmp_path):
    qk = np.array([[[1, 2, np.nan], [3, 4, np.nan]], [[5, 6, 7], [8, 9, 10]]], dtype=np.float32)
    logits = np.array([[0, 1, np.nan], [2, 3, 4]], dtype=np.float32)
    write_part(tmp_path / "part.parquet", Part(("a", "b"), qk, logits, 2.5))
    part = read_part(tmp_path / "part.parquet")
    assert part.puzzle_ids == ("a", "b")
    assert part.seconds == 2.5
    np.testing.assert_array_equal(part.qk, qk)
    np.testing.assert_array_equal(part.logits, logits)


def test_readers_see_the_old_store_or_the_new_one_while_it_is_published(tmp_path):
    path = planted_store(tmp_path / "s.duckdb", 8)
    puzzles = planted_puzzles(8)
    parts = write_parts(tmp_path / "parts", puzzles, *planted_scores(puzzles))
    expected = [f"run-{number}" for number in range(2)]
    seen, is_over = [], threading.Event()

    def read():
        while not is_over.wait(0.05):
            with ResultStore.open(path) as store:
                runs = store.runs()["run_id"].tolist()
                seen.append((len(runs), [len(store.head_accuracy(run, "test")) for run in runs]))

    with ThreadPoolExecutor(1) as readers:
        reading = readers.submit(read)
        for run_id in expected:
            publish_parts(path, planted_run(puzzles, run_id=run_id), puzzles, parts)
        is_over.set()
    reading.result()  # an error while reading is raised here
    n_runs = [n for n, _ in seen]
    assert n_runs == sorted(n_runs)  # a store that was replaced is not seen again
    assert len(set(n_runs)) > 1
    assert {n for _, rows in seen for n in rows} == {N_LAYERS * N_HEADS}


def test_accuracies_equal_those_counted_from_the_scores_with_plain_duckdb(path, store):
    with duckdb.connect(str(path), read_only=True) as plain:
        rows = plain.execute(
            """
            select p.answer, list(s.qk order by s.candidate, s.layer, s.head), any_value(l.logit)
            from scores s join runs using (run_id) join puzzles p using (puzzle_set, puzzle_id)
            join logits l on l.run_id = s.run_id and l.place = s.place
            where p.split = 'test' and p.steps = 2
            group by p.puzzle_id, p.answer
            """
        ).fetchall()
    halves = [np.array(qk).reshape(2, -1) for _, qk, _ in rows]
    right = np.array([qk[row[0]] > qk[1 - row[0]] for row, qk in zip(rows, halves, strict=True)])
    model = np.array([logits[answer] > logits[1 - answer] for answer, _, logits in rows])
    heads = store.head_accuracy("planted-1", "test", steps=2)
    assert heads["n"].tolist() == [len(rows)] * right.shape[1]
    assert heads["n_right"].tolist() == right.sum(axis=0).tolist()
    assert store.model_accuracy("planted-1", "test", steps=2)["n_right"].tolist() == [model.sum()]


def test_the_planted_head_is_found_on_validation_puzzles(store):
    assert store.best_head("planted-1") == PLANTED


def test_a_filter_on_steps_and_distractors_counts_only_those_puzzles(store):
    whole = store.head_accuracy("planted-1", "test")["n"].iloc[0]
    by_steps = [
        store.head_accuracy("planted-1", "test", steps=steps)["n"].iloc[0] for steps in (1, 2, 3)
    ]
    by_both = [
        store.head_accuracy("planted-1", "test", steps, distractors)["n"].iloc[0]
        for steps in (1, 2, 3)
        for distractors in (0, 1)
    ]
    assert whole == sum(by_steps) == sum(by_both) == 60
    assert store.head_accuracy("planted-1", "test", steps=9).empty


def test_curves_hold_the_head_and_the_model_at_every_number_of_steps(store):
    curves = accuracy_by(exam(store, "planted-1", *PLANTED), ["steps"], ("head", "model"))
    assert curves.groupby("who")["steps"].apply(list).to_dict() == {
        "head": [1, 2, 3],
        "model": [1, 2, 3],
    }
    heads = store.head_accuracy("planted-1", "test", steps=3)
    own = heads[(heads["layer"] == PLANTED[0]) & (heads["head"] == PLANTED[1])]["n_right"].item()
    assert curves[(curves["who"] == "head") & (curves["steps"] == 3)]["n_right"].item() == own


def test_surface_rules_are_counted_on_the_same_puzzles(store):
    puzzles = [p for p in planted_puzzles() if p.split == "test" and p.steps == 2]
    rules = store.surface_accuracy("planted-1", "test", steps=2)
    assert set(rules["rule"]) == set(SURFACE_RULES)
    assert (rules["n"] == len(puzzles)).all()
    majority = rules[rules["rule"] == "majority"]
    assert majority["n_right"].item() == len(puzzles) / 2  # as many true as false


def test_the_surface_rule_is_chosen_on_validation_puzzles(store):
    validation = store.surface_accuracy("planted-1", "validation").set_index("rule")
    assert validation.loc[store.best_rule("planted-1"), "n_right"] == validation["n_right"].max()


def test_the_gap_is_that_of_the_same_puzzles(store):
    puzzles = planted_puzzles()
    qk, logits = planted_scores(puzzles)
    is_test = np.array([puzzle.split == "test" for puzzle in puzzles])
    answer = np.array([puzzle.answer for puzzle in puzzles])
    head = choices(qk[:, PLANTED[0] * N_HEADS + PLANTED[1]]) == answer
    model = choices(logits) == answer
    expected = head[is_test].mean() - model[is_test].mean()
    assert head_gap(store, "planted-1", *PLANTED)["gap"] == pytest.approx(expected)


def test_chance_is_one_over_the_number_of_candidates(store):
    assert store.chance("planted-1", "test") == 0.5
    assert store.chance("planted-1", "test", steps=9) is None


def test_a_second_run_keeps_the_first_and_shares_its_puzzles(tmp_path):
    path = planted_store(tmp_path / "two.duckdb")
    planted_store(path, run_id="planted-2", rope="post")
    with ResultStore.open(path) as store:
        assert sorted(store.runs()["run_id"]) == ["planted-1", "planted-2"]
        assert store.frame("select count(*) as n from store.puzzles")["n"].item() == len(
            planted_puzzles()
        )
        assert (
            len(store.head_accuracy("planted-1", "test"))
            == len(store.head_accuracy("planted-2", "test"))
            == 12
        )


def test_publishing_a_run_again_replaces_it(tmp_path):
    path = planted_store(tmp_path / "again.duckdb")
    planted_store(path)
    with ResultStore.open(path) as store:
        assert len(store.runs()) == 1
        n_scores = store.frame("select count(*) as n from store.scores")["n"].item()
        assert n_scores == 2 * len(planted_puzzles()) * N_LAYERS * N_HEADS


def test_other_puzzles_under_a_name_already_taken_are_refused(tmp_path):
    path = planted_store(tmp_path / "taken.duckdb")
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=r"already holds a puzzle set named 'planted-set'.*--puzzle-set"
    ):
        planted_store(path, n_groups=30, run_id="planted-2")
    assert path.read_bytes() == before


def test_parts_of_other_puzzles_are_refused_and_the_store_stays(tmp_path):
    path = planted_store(tmp_path / "kept.duckdb")
    before = path.read_bytes()
    puzzles = planted_puzzles()
    parts = write_parts(tmp_path / "parts", puzzles[:60], *planted_scores(puzzles[:60]))
    with pytest.raises(StoreError, match="do not hold the puzzles of this run"):
        publish_parts(path, planted_run(puzzles, run_id="x"), puzzles, parts)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_reader_keeps_seeing_the_store_it_opened_while_a_writer_replaces_it(tmp_path):
    path = planted_store(tmp_path / "live.duckdb")
    with ResultStore.open(path) as before:
        planted_store(path, run_id="planted-2")
        assert before.runs()["run_id"].tolist() == ["planted-1"]
        with ResultStore.open(path) as after:
            assert len(after.runs()) == 2


def test_a_reader_can_neither_write_nor_reach_other_files(store, tmp_path):
    for sql in [
        "delete from store.runs",
        f"copy (select 1) to '{tmp_path}/x.csv'",
        "select * from read_text('/etc/hosts')",
    ]:
        with pytest.raises(duckdb.Error):
            store.frame(sql)


def test_a_missing_store_says_how_to_make_one(tmp_path):
    with pytest.raises(
        StoreError, match=r"no result store at .*none\.duckdb; make one with `python -m qkcore"
    ):
        ResultStore.open(tmp_path / "none.duckdb").__enter__()


def test_a_file_that_is_not_duckdb_is_refused(tmp_path):
    (tmp_path / "text.duckdb").write_text("hello " * 1000)
    with pytest.raises(StoreError, match=r"text\.duckdb is not a DuckDB file"):
        ResultStore.open(tmp_path / "text.duckdb").__enter__()


def test_a_store_cut_short_is_called_damaged(tmp_path):
    path = planted_store(tmp_path / "cut.duckdb", n_groups=600)
    path.write_bytes(path.read_bytes()[:300_000])

    def read_it_all():
        with ResultStore.open(path) as store:
            store.frame("select sum(qk), count(*) from store.scores")
            store.frame("select sum(len(context)) from store.puzzles")

    with pytest.raises(StoreError, match=r"cut\.duckdb is damaged or cut short"):
        read_it_all()


def test_a_store_that_another_program_holds_is_said_to_be_open_there(tmp_path):
    path = planted_store(tmp_path / "held.duckdb")
    code = (
        f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('open', flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="is open in another program"):
            ResultStore.open(path).__enter__()
        other.kill()


def test_changes_that_another_program_left_beside_the_store_are_not_lost(tmp_path):
    """A write-ahead log beside the old file would make the new one unreadable."""
    path = planted_store(tmp_path / "wal.duckdb")
    code = (
        f"import duckdb, os; c = duckdb.connect({str(path)!r}); c.execute('create table t (x "
        "integer)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "wal.duckdb.wal").exists()
    with pytest.raises(
        StoreError, match=r"has left changes .* in wal\.duckdb\.wal; open the store once"
    ):
        planted_store(path, run_id="planted-2")
    duckdb.connect(str(path)).close()
    planted_store(path, run_id="planted-2")
    with ResultStore.open(path) as store:
        assert len(store.runs()) == 2


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    path = planted_store(tmp_path / "s.duckdb")
    (tmp_path / ".s.duckdb.12345.tmp").write_bytes(b"half")
    planted_store(path)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="is a folder; name a file in it"):
        ResultStore.open(tmp_path).__enter__()


def test_a_duckdb_file_that_is_no_store_is_refused(tmp_path):
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute("create table t (x integer)")
    with pytest.raises(StoreError, match="not a QKScope store"):
        ResultStore.open(tmp_path / "other.duckdb").__enter__()


def test_another_schema_version_is_named(tmp_path):
    path = planted_store(tmp_path / "future.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute("update meta set schema_version = 99")
    with pytest.raises(
        StoreError, match=f"schema version 99, this QKScope reads version {SCHEMA_VERSION}"
    ):
        ResultStore.open(path).__enter__()
