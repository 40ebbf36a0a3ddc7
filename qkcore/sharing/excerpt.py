"""Chosen runs of a store, copied into a store of their own, with or without the puzzles' texts.

Knows the tables from `schema.SCHEMA` alone: a table with a run_id is copied by run, one with a
puzzle_set by the sets of those runs, any other whole.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from qkcore.results.publish import keep_evidence
from qkcore.results.reader import StoreError, no_such_run
from qkcore.results.schema import ADDED_TABLES, SCHEMA
from qkcore.results.store import ResultStore

# What holds words of a puzzle. A copy without texts has these columns empty, and not these tables.
TEXT_COLUMNS = ("context", "statement")
TEXT_TABLES = ("worked_examples",)


def chosen_runs(store: Path, run_ids: Sequence[str] = ()) -> list[str]:
    """These runs of a store, all if none is named; they must be there.

    Raises:
        StoreError: when the store cannot be read, holds no runs, or not these.
    """
    with ResultStore.open(store) as opened:
        known = opened.runs()["run_id"].tolist()
    if not known:
        raise StoreError(f"{store} holds no runs; add one with `python -m qkcore precompute`")
    if unknown := [run_id for run_id in run_ids if run_id not in known]:
        raise no_such_run(store, unknown[0], known)
    return list(dict.fromkeys(run_ids)) or known


def copy_runs(
    store: Path,
    target: Path,
    run_ids: Sequence[str],
    with_texts: bool | Collection[str] = True,
) -> None:
    """Write a new store at the target, with these runs, their puzzle sets and nothing else.

    Args:
        store: to copy from.
        target: where there is nothing yet.
        run_ids: of the runs.
        with_texts: whether the puzzles' texts go along, or of which puzzle sets they do.

    Raises:
        StoreError: when the store cannot be read.
    """
    connection = duckdb.connect(str(target))
    try:
        connection.execute(SCHEMA)
        connection.execute("attach $path as source (read_only)", {"path": str(store)})
        connection.execute(
            """
            create temp table chosen as
            select run_id, puzzle_set,
                   $all_texts or puzzle_set in (select unnest($sets::varchar[])) as has_texts
            from source.runs where run_id in (select unnest($run_ids))
            """,
            {
                "run_ids": list(run_ids),
                "all_texts": with_texts is True,
                "sets": [] if isinstance(with_texts, bool) else list(with_texts),
            },
        )
        lacking = _lacking_tables(connection)
        for table, columns in _columns_of_tables().items():
            if table not in lacking:
                connection.execute(_copy_statement(table, columns))
        connection.execute("checkpoint")
    except duckdb.Error as error:
        raise StoreError(
            f"{store} cannot be copied ({str(error).splitlines()[0]}); restore it from a copy"
        ) from None
    finally:
        connection.close()
    keep_evidence(target, beside=store)


def _lacking_tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The tables that the source was written before."""
    known = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'source'"
    ).fetchall()
    return set(ADDED_TABLES) - {table for (table,) in known}


def _columns_of_tables() -> dict[str, list[str]]:
    """The columns of each table of the schema."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(SCHEMA)
        rows = connection.execute(
            """
            select table_name, list(column_name order by column_index)
            from duckdb_columns()
            where table_name in (select table_name from duckdb_tables())
            group by table_name
            order by table_name
            """
        ).fetchall()
    return dict(rows)


def _copy_statement(table: str, columns: Sequence[str]) -> str:
    """SQL that copies the rows of the chosen runs; its words come from the schema alone."""
    texted = "(select puzzle_set from chosen where has_texts)"
    selected = ", ".join(
        f'case when puzzle_set in {texted} then "{column}" end as "{column}"'
        if column in TEXT_COLUMNS
        else f'"{column}"'
        for column in columns
    )
    key = next((key for key in ("run_id", "puzzle_set") if key in columns), None)
    which = " where has_texts" if table in TEXT_TABLES else ""
    rows = f"where {key} in (select {key} from chosen{which})" if key else ""  # noqa: S608 -- our words
    if "twin_run" in columns:  # a run that is left out is not named either
        rows += " and (twin_run is null or twin_run in (select run_id from chosen))"
    copied = f"select {selected} from source.{table} {rows}"  # noqa: S608 -- our words
    return f"insert into main.{table} by name {copied}"
