"""A store of schema 3 is brought up to date from its raw scores, or left as it is."""

import re

import duckdb
import pytest

from qkcore.__main__ import main
from qkcore.results.migrate import migrate
from qkcore.results.publish import RUN_TABLES
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from tests.messy import messy_store, records
from tests.stores import planted_store

# Of schema 3, what migrating reads; its counts are made anew.
SCHEMA_3 = """
create table meta (schema_version integer, qkcore_version varchar);
create table runs (
    run_id varchar primary key, model varchar, model_revision varchar,
    puzzle_set varchar, puzzle_set_sha256 varchar,
    n_layers integer, n_heads integer, n_kv_heads integer, dtype varchar,
    rope varchar, template varchar,
    qkcore_version varchar, created_at timestamp, n_puzzles integer, seconds double
);
create table puzzles (
    puzzle_set varchar, puzzle_id varchar, place integer, context varchar, statement varchar,
    candidates varchar[], answer integer, steps integer, distractors integer, "group" varchar,
    split varchar
);
create table scores (
    run_id varchar, puzzle_id varchar, candidate integer, qk float[], logit float
);
create table surface_accuracy (
    run_id varchar, rule varchar, split varchar, steps integer, distractors integer,
    n integer, n_right integer
);
create table worked_examples (
    run_id varchar, puzzle_id varchar, layer integer, head integer, tokens varchar[],
    key_at integer, candidate_tokens varchar[], key_vector float[], query_vectors float[][]
);
insert into meta values (3, '0.1.0');
insert into runs by name select $runs from now.runs;
update runs set created_at = '2026-01-02 03:04:05', qkcore_version = '0.1.0';
insert into puzzles by name select $puzzles from now.puzzles;
insert into scores
    select run_id, puzzle_id, candidate, list(qk order by layer, head),
           any_value(logit[candidate + 1])
    from now.scores join now.logits using (run_id, place) group by all order by puzzle_id desc;
insert into surface_accuracy by name from now.surface_accuracy;
insert into worked_examples by name from now.worked_examples;
"""


def of_schema_3(path, now):
    """A store with what another one of today's schema holds, as QKScope 0.1 wrote it."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"attach '{now}' as now (read_only)")
        sql = SCHEMA_3
        for table in ("runs", "puzzles"):
            columns = re.search(rf"create table {table} \((.*?)\);", SCHEMA_3, re.DOTALL)[1]
            names = re.findall(r"\"?(\w+)\"? (?:varchar|integer|double|timestamp)", columns)
            sql = sql.replace(f"${table}", ", ".join(f'"{name}"' for name in names))
        connection.execute(sql)
    return path


def rows_of(path, table):
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(f"select * from {table}").fetchall()
    return sorted(map(repr, rows))  # NaN is like itself in print


@pytest.fixture(scope="module", params=["planted", "messy"])
def stores(request, tmp_path_factory):
    """A store, and what a store of schema 3 with the same results became."""
    folder = tmp_path_factory.mktemp("migrated")
    make = planted_store if request.param == "planted" else messy_store
    now = make(folder / "now.duckdb")
    old = of_schema_3(folder / "old.duckdb", now)
    return now, old, migrate(old)


def test_every_table_is_as_if_the_run_had_been_published_today(stores):
    now, migrated, run_ids = stores
    for table in {*RUN_TABLES, "puzzles", "scores"} - {"runs"}:
        assert rows_of(migrated, table) == rows_of(now, table), table
    assert sorted(run_ids) == sorted(run["run_id"] for run in _runs(now))


def test_a_run_keeps_when_and_by_what_it_was_made(stores):
    now, migrated, _ = stores
    for before, after in zip(_runs(now), _runs(migrated), strict=True):
        assert str(after["created_at"]) == "2026-01-02 03:04:05"
        assert after["qkcore_version"] == "0.1.0"
        kept = ("created_at", "qkcore_version")
        assert repr(after) == repr(before | {name: after[name] for name in kept})
    for run in _runs(now):
        assert records(migrated, run["run_id"]) == records(now, run["run_id"])


def _runs(path):
    with ResultStore.open(path) as store:
        return store.runs().sort_values("run_id").to_dict("records")


def test_a_set_without_texts_keeps_the_counts_of_its_rules(tmp_path):
    now = planted_store(tmp_path / "now.duckdb")
    old = of_schema_3(tmp_path / "old.duckdb", now)
    with duckdb.connect(str(old)) as connection:
        connection.execute("update puzzles set context = null, statement = null")
        connection.execute("delete from worked_examples")
    migrate(old)
    for table in ("surface_accuracy", "head_accuracy", "luck"):
        assert rows_of(old, table) == rows_of(now, table), table
    with ResultStore.open(old) as store:
        assert store.frame("select count(context) as n from store.puzzles")["n"].item() == 0


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("select 1", "has schema version 4 already; nothing to do"),
        ("update meta set schema_version = 2", "is no store of schema version 3, the one that can"),
        ("drop table meta", "is no store of schema version 3, the one that can be"),
        ("update meta set schema_version = 3", "does not hold what schema version 3 says"),
    ],
)
def test_what_cannot_be_brought_up_to_date_is_refused_and_stays(sql, sentence, tmp_path):
    path = planted_store(tmp_path / "store.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute(sql)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=sentence):
        migrate(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["store.duckdb"]


def test_a_store_of_schema_3_names_the_command_that_brings_it_up_to_date(tmp_path, capsys):
    old = of_schema_3(tmp_path / "old.duckdb", planted_store(tmp_path / "now.duckdb"))
    with pytest.raises(StoreError) as refused:
        ResultStore.kept(old)
    line = re.search(r"`python -m qkcore (.*)`", str(refused.value))[1]
    assert main(line.split()) == 0
    assert capsys.readouterr().out == f"{old}: 1 run counted anew\n"
    with ResultStore.open(old) as store:
        assert store.runs()["run_id"].tolist() == ["planted-1"]
