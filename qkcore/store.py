"""Stored results: one DuckDB file, opened read-only for as long as a question takes.

Readers never hold the file: a writer (qkcore.publish) builds a new one beside it and puts it in place, and the
next `ResultStore.open` sees that. Anyone with DuckDB can read the file; the tables are in SCHEMA.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd

from qkcore import InputError
from qkcore.metrics import Gap, paired_test, select_heads, with_accuracy

SCHEMA_VERSION = 1
SCHEMA = """
create table meta (schema_version integer, qkcore_version varchar);
create table runs (
    run_id varchar primary key, model varchar, model_revision varchar, puzzle_set varchar, puzzle_set_sha256 varchar,
    n_layers integer, n_heads integer, n_kv_heads integer, dtype varchar,
    rope varchar,               -- 'pre' or 'post' rotary position embedding
    template varchar,           -- format string, or 'default' for true-false and yes-no by candidates
    qkcore_version varchar, created_at timestamp, n_puzzles integer,
    seconds double              -- scoring time, all sittings together
);
create table puzzles (
    puzzle_set varchar, puzzle_id varchar,
    context varchar, statement varchar,  -- null where a set was published without its texts
    candidates varchar[],
    answer integer,             -- index into candidates, from 0
    steps integer, distractors integer, "group" varchar, split varchar
);
create table scores (
    run_id varchar, puzzle_id varchar,
    candidate integer,          -- index from 0
    qk float[],                 -- layer-major: head h of layer l is qk[l * n_heads + h + 1]
    logit float
);
create table head_accuracy (
    run_id varchar, split varchar, steps integer, distractors integer, layer integer, head integer,
    n integer, n_right integer,
    n_right_with_model integer, -- of these, how often the model is right too
    n_right_by_answer integer[] -- by index of the right candidate
);
create table model_accuracy (
    run_id varchar, split varchar, steps integer, distractors integer,
    n integer, n_right integer, n_by_answer integer[], n_right_by_answer integer[]
);
create table surface_accuracy (
    run_id varchar, rule varchar, split varchar, steps integer, distractors integer, n integer, n_right integer
);
create table luck (
    run_id varchar, split varchar,
    steps integer, distractors integer,  -- null: all of them together
    n integer, q50 double, q95 double,   -- accuracy of the best head when answers are shuffled
    n_permutations integer
);
"""


class StoreError(InputError):
    """A store that cannot be read; the message says why and what to do."""


class ResultStore:
    """Questions to a store. Made by `ResultStore.open`, which closes it again."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, path: str | Path) -> Iterator["ResultStore"]:
        """Open a store for reading.

        Raises:
            StoreError: when it is missing, not a store, or of a schema version this program does not know.
        """
        connection = _connect(Path(path))
        try:
            _check_version(connection, Path(path))
            yield cls(connection)
        except (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException) as error:
            raise StoreError(_damaged(Path(path), error)) from error
        finally:
            connection.close()

    def ask(self, sql: str, **parameters) -> pd.DataFrame:
        """Run one query with named parameters. Tables are `store.runs`, `store.scores` and so on."""
        return self._connection.execute(sql, parameters or None).df()

    def runs(self) -> pd.DataFrame:
        """All runs, newest first, with the columns of table runs."""
        return self.ask("select * from store.runs order by created_at desc, run_id")

    def difficulties(self, run_id: str, split: str) -> pd.DataFrame:
        """steps, distractors, n: how many puzzles of each difficulty."""
        return self.ask(
            """
            select steps, distractors, n
            from store.model_accuracy
            where run_id = $run_id and split = $split
            order by steps, distractors
            """,
            run_id=run_id,
            split=split,
        )

    def head_accuracy(
        self, run_id: str, split: str, steps: int | None = None, distractors: int | None = None
    ) -> pd.DataFrame:
        """layer, head, n, n_right, n_right_with_model, accuracy, low, high; None for steps or distractors means all."""
        counts = self.ask(
            """
            select layer, head, sum(n)::integer as n, sum(n_right)::integer as n_right,
                   sum(n_right_with_model)::integer as n_right_with_model
            from store.head_accuracy
            where run_id = $run_id and split = $split
              and ($steps is null or steps = $steps)
              and ($distractors is null or distractors = $distractors)
            group by all
            order by layer, head
            """,
            run_id=run_id,
            split=split,
            steps=steps,
            distractors=distractors,
        )
        return with_accuracy(counts)

    def model_accuracy(
        self, run_id: str, split: str, steps: int | None = None, distractors: int | None = None
    ) -> pd.DataFrame:
        """One row (none without such puzzles): n, n_right, accuracy, low, high of the model's own answers."""
        counts = self.ask(
            """
            select sum(n)::integer as n, sum(n_right)::integer as n_right
            from store.model_accuracy
            where run_id = $run_id and split = $split
              and ($steps is null or steps = $steps)
              and ($distractors is null or distractors = $distractors)
            having count(*) > 0
            """,
            run_id=run_id,
            split=split,
            steps=steps,
            distractors=distractors,
        )
        return with_accuracy(counts)

    def surface_accuracy(
        self, run_id: str, split: str, steps: int | None = None, distractors: int | None = None
    ) -> pd.DataFrame:
        """rule, n, n_right, accuracy, low, high: what rules that read no logic get right on the same puzzles."""
        counts = self.ask(
            """
            select rule, sum(n)::integer as n, sum(n_right)::integer as n_right
            from store.surface_accuracy
            where run_id = $run_id and split = $split
              and ($steps is null or steps = $steps)
              and ($distractors is null or distractors = $distractors)
            group by rule
            order by rule
            """,
            run_id=run_id,
            split=split,
            steps=steps,
            distractors=distractors,
        )
        return with_accuracy(counts)

    def best_rule(self, run_id: str) -> str | None:
        """The surface rule with the most right answers on **validation** puzzles, the first of equals by name."""
        validation = self.surface_accuracy(run_id, split="validation")
        return None if validation.empty else validation.loc[validation["n_right"].idxmax(), "rule"]

    def accuracy_by_steps(
        self, run_id: str, split: str, layer: int, head: int, distractors: int | None = None
    ) -> pd.DataFrame:
        """who ("head", "model" or "rule": the best surface rule), steps, n, n_right, accuracy, low, high."""
        counts = self.ask(
            """
            with head as (
                select 'head' as who, * from store.head_accuracy where layer = $layer and head = $head
            ), model as (
                select 'model' as who, * from store.model_accuracy
            ), rule as (
                select 'rule' as who, * from store.surface_accuracy where rule = $rule
            )
            select who, steps, sum(n)::integer as n, sum(n_right)::integer as n_right
            from (
                select who, run_id, split, steps, distractors, n, n_right from head
                union all
                select who, run_id, split, steps, distractors, n, n_right from model
                union all
                select who, run_id, split, steps, distractors, n, n_right from rule
            )
            where run_id = $run_id and split = $split and ($distractors is null or distractors = $distractors)
            group by all
            order by who, steps
            """,
            run_id=run_id,
            split=split,
            layer=layer,
            head=head,
            distractors=distractors,
            rule=self.best_rule(run_id),
        )
        return with_accuracy(counts)

    def luck(self, run_id: str, split: str, steps: int | None = None, distractors: int | None = None) -> pd.DataFrame:
        """One row (none without such puzzles): n, q50, q95, n_permutations; see `metrics.luck_line`."""
        return self.ask(
            """
            select n, q50, q95, n_permutations
            from store.luck
            where run_id = $run_id and split = $split
              and steps is not distinct from $steps and distractors is not distinct from $distractors
            """,
            run_id=run_id,
            split=split,
            steps=steps,
            distractors=distractors,
        )

    def luck_by_steps(self, run_id: str, split: str, distractors: int | None = None) -> pd.DataFrame:
        """steps, q95: the luck line at each number of steps."""
        return self.ask(
            """
            select steps, q95
            from store.luck
            where run_id = $run_id and split = $split
              and steps is not null and distractors is not distinct from $distractors
            order by steps
            """,
            run_id=run_id,
            split=split,
            distractors=distractors,
        )

    def chance(self, run_id: str, split: str, steps: int | None = None, distractors: int | None = None) -> float | None:
        """Accuracy of guessing: the mean of one over the number of candidates; None without such puzzles."""
        mean = self.ask(
            """
            select avg(1 / len(candidates)) as chance
            from store.puzzles join store.runs using (puzzle_set)
            where run_id = $run_id and split = $split
              and ($steps is null or steps = $steps)
              and ($distractors is null or distractors = $distractors)
            """,
            run_id=run_id,
            split=split,
            steps=steps,
            distractors=distractors,
        )["chance"].iloc[0]
        return None if pd.isna(mean) else float(mean)

    def best_head(self, run_id: str) -> tuple[int, int] | None:
        """(layer, head) of the most right answers on **validation** puzzles; None when the run has none."""
        validation = self.head_accuracy(run_id, split="validation")
        return select_heads(validation)[0] if len(validation) else None

    def gap(
        self, run_id: str, layer: int, head: int, split: str, steps: int | None = None, distractors: int | None = None
    ) -> Gap | None:
        """A head against the model on the same puzzles; None without such puzzles."""
        heads = self.head_accuracy(run_id, split, steps, distractors)
        own = heads[(heads["layer"] == layer) & (heads["head"] == head)]
        model = self.model_accuracy(run_id, split, steps, distractors)
        if own.empty or model.empty:
            return None
        n_both = int(own["n_right_with_model"].iloc[0])
        n_only_head = int(own["n_right"].iloc[0]) - n_both
        n_only_model = int(model["n_right"].iloc[0]) - n_both
        return paired_test(int(model["n"].iloc[0]), n_only_head, n_only_model)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it, such as {path / 'results.duckdb'}")
    if not path.is_file():
        raise StoreError(
            f"There is no result store at {path}; make one with `python -m qkcore precompute --store {path} ...`."
        )
    # An in-memory connection with the file attached sees the file as it is now; connect(path) would return whatever
    # instance this process still has open, also after the file was replaced.
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
        f"{path} is damaged or cut short and cannot be opened as a DuckDB file ({reason}); restore it from a copy, or "
        "make it again with `python -m qkcore precompute`."
    )


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        rows = connection.execute("select schema_version from store.meta").fetchall()
    except duckdb.CatalogException:
        raise StoreError(
            f"{path} is a DuckDB file, but not a QKScope store (it has no table meta); check the path."
        ) from None
    if rows != [(SCHEMA_VERSION,)]:
        raise StoreError(
            f"{path} has schema version {rows[0][0] if rows else 'none'}, this QKScope reads version {SCHEMA_VERSION}; "
            "make the store again with `python -m qkcore precompute`, or use the QKScope version that wrote it."
        )
