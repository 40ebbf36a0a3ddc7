"""A result store's file, open for reading: what can go wrong with it, and queries.

Readers never lock a writer out: it (qkcore.results.publish) builds a new file beside the old one
and puts it in place. Knows the schema's version only; the questions are in qkcore.results.store.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from qkcore import InputError
from qkcore.results.schema import SCHEMA_VERSION

N_REMEMBERED = 64  # answers
MOST_NAMED = 3  # runs, where one is asked for that is not there
Form = Literal["df", "fetchnumpy", "to_arrow_table"]  # a method of duckdb's that gives the answer
Named = tuple[tuple[str, object], ...]  # a query's parameters, hashable


class StoreError(InputError):
    """A store that cannot be read; the message says why and what to do.

    >>> from qkcore import ResultStore, StoreError
    >>> try:
    ...     ResultStore.kept("gone.duckdb")
    ... except StoreError as error:
    ...     print(str(error).partition(";")[0])
    There is no result store at gone.duckdb
    """


def no_such_run(where: object, run_id: str, known: Sequence[str]) -> StoreError:
    """The error for a run that is not there; names those that may be meant, not hundreds.

    >>> print(no_such_run("a.duckdb", "b-2", ["b-1"]))
    a.duckdb has no run 'b-2'; it has b-1
    >>> print(no_such_run("a.duckdb", "run-17x", [f"run-{n}" for n in range(20, 10, -1)]))
    a.duckdb has no run 'run-17x'; nearest are run-17, run-19, run-18; `qkscope runs` lists all 10
    """
    wrong = f"{where} has no run {run_id!r}"
    if len(known) <= MOST_NAMED:
        return StoreError(f"{wrong}; it has {', '.join(known) or 'none'}")
    near = get_close_matches(run_id, known, MOST_NAMED, cutoff=0.5)
    told = f"nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}; " if near else ""
    return StoreError(f"{wrong}; {told}`qkscope runs` lists all {len(known):,}")


class Reader:
    """A store that is open. Made by `open`, or by `kept` for a reader that stays."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, beside: Path | None = None
    ) -> None:
        self._connection = connection
        self._path = path
        # The store beside which raw scores lie that it does not hold (`results.beside`)
        self.beside = path if beside is None else beside
        self._answer = lru_cache(maxsize=N_REMEMBERED)(self._answered)

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, beside: Path | None = None) -> Iterator[Self]:
        """Open a store for reading, and close it again.

        Raw scores that it does not hold are looked for beside another where one is named.

        Raises:
            StoreError: when it is missing, not a store, damaged, or of a schema version this
                program does not know.
        """
        store = cls.kept(path, beside)
        try:
            yield store
        finally:
            store._connection.close()

    @classmethod
    def kept(cls, path: str | Path, beside: Path | None = None) -> Self:
        """A store that stays open for as long as somebody holds it, on the file that is there now.

        Raises:
            StoreError: as `open`.
        """
        connection = attached(Path(path))
        try:
            _check_version(connection, Path(path))
        except BaseException:
            connection.close()
            raise
        return cls(connection, Path(path), beside)

    def frame(self, sql: str, **parameters: object) -> pd.DataFrame:
        """Run one query with named parameters, on any thread.

        Tables are `store.runs`, `store.scores` and so on. The last answers are remembered: the file
        does not change while it is open, and the questions of one page share their queries.
        """
        # Pandas copies on write
        return self._answer("df", sql, _hashable(parameters)).copy(deep=False)

    def arrays(self, sql: str, **parameters: object) -> dict[str, np.ndarray]:
        """Likewise, with a column an array, where a frame would be work for nothing.

        Not to be written to.
        """
        return self._answer("fetchnumpy", sql, _hashable(parameters))

    def arrow(self, sql: str, **parameters: object) -> pa.Table:
        """Likewise, where lists are asked for: an Arrow table keeps them in one piece."""
        return self._answer("to_arrow_table", sql, _hashable(parameters))

    def large(self, sql: str, **parameters: object) -> pa.Table:
        """Likewise, and not remembered: an answer that would take room from many others."""
        found: pa.Table = self._answered("to_arrow_table", sql, _hashable(parameters))
        return found

    def has_table(self, table: str) -> bool:
        """Whether the file has a table, which older files may lack (`schema.ADDED_TABLES`)."""
        sql = """
            select count(*) as n from duckdb_tables()
            where database_name = 'store' and table_name = $table
            """
        return bool(self.arrays(sql, table=table)["n"][0])

    def _answered(self, form: Form, sql: str, parameters: Named) -> Any:  # noqa: ANN401 -- by form
        """One query's answer in a form that duckdb has a method for."""
        named = {
            name: list(value) if isinstance(value, tuple) else value for name, value in parameters
        }
        with self._cursor() as cursor:
            if form == "to_arrow_table":
                return cursor.sql(sql, params=named or None).to_arrow_table()
            return getattr(cursor.execute(sql, named or None), form)()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of one's own: threads that share one give each other wrong answers."""
        try:
            yield self._connection.cursor()
        except (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException) as error:
            raise StoreError(_damaged(self._path, error)) from error


def _hashable(parameters: dict[str, object]) -> Named:
    """Also takes the numbers of a frame, which are NumPy's, to Python's: DuckDB knows no others.

    >>> _hashable({"steps": [1, 2], "split": "test", "distractors": np.int32(3)})
    (('steps', (1, 2)), ('split', 'test'), ('distractors', 3))
    """
    plain = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in parameters.items()
    }
    return tuple(
        (name, tuple(value) if isinstance(value, list) else value) for name, value in plain.items()
    )


def attached(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection that has a store's file attached as `store`, for reading only.

    Raises:
        StoreError: when there is no such file, or DuckDB cannot open it.
    """
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder; name a file in it, such as {path / 'results.duckdb'}"
        )
    if not path.is_file():
        raise StoreError(
            f"There is no result store at {path}; make one with `python -m qkcore precompute "
            f"--store {path} ...`."
        )
    # An in-memory connection with the file attached sees the file as it is now; connect(path) would
    # return whatever instance this process still has open, also after the file was replaced.
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("attach $path as store (read_only)", {"path": str(path)})
        connection.execute("set enable_external_access = false; set lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise StoreError(_damaged(path, error)) from None
    return connection


def _damaged(path: Path, error: Exception) -> str:
    """One sentence for a file that DuckDB cannot open or read."""
    reason = str(error).splitlines()[0]
    if "lock" in reason:
        return f"{path} is open in another program ({reason}); close it there and try again."
    if "not a valid DuckDB" in reason:
        return f"{path} is not a DuckDB file, so it is no result store; check the path."
    return (
        f"{path} is damaged or cut short and cannot be opened as a DuckDB file ({reason}); restore "
        "it from a copy, or make it again with `python -m qkcore precompute`."
    )


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        rows = connection.execute("select schema_version from store.meta").fetchall()
    except duckdb.CatalogException:
        raise StoreError(
            f"{path} is a DuckDB file, but not a QKScope store (it has no table meta); check the "
            "path."
        ) from None
    if rows == [(SCHEMA_VERSION - 1,)]:
        raise StoreError(
            f"{path} has schema version {SCHEMA_VERSION - 1}, this QKScope reads version "
            f"{SCHEMA_VERSION}; bring it up to date with `python -m qkcore migrate --store "
            f"{path}`, which scores nothing anew."
        )
    if rows != [(SCHEMA_VERSION,)]:
        raise StoreError(
            f"{path} has schema version {rows[0][0] if rows else 'none'}, this QKScope reads "
            f"version {SCHEMA_VERSION}; make the store again with `python -m qkcore precompute`, "
            "or use the QKScope version that wrote it."
        )
