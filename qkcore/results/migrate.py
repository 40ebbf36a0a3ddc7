"""A store of the schema before this one, made anew from its raw scores.

What such a store has counted is counted again, by this version, from what its table scores holds;
nothing is scored, so no model is needed. Where a puzzle set was published without its texts, the
counts of surface rules are taken over as they are. Knows schema 3 only.
"""

import os
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from qkcore.puzzles.puzzle import Puzzle
from qkcore.results import counting
from qkcore.results.publish import Run, WorkedExample, complete, publish
from qkcore.results.reader import StoreError, attached
from qkcore.results.schema import SCHEMA_VERSION

OLD_VERSION = 3
Row = dict[str, Any]  # by column


def migrate(path: Path) -> list[str]:
    """Put a store of this schema in the place of an older one; returns its run ids.

    Of a store of this schema it works out the evidence that is missing, and returns those runs.
    The file is replaced when the new one is whole, and stays as it is when anything fails.

    Raises:
        StoreError: when it is no store of the schema before this one, or is damaged.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.migrated")
    try:
        with closing(attached(path)) as old:
            is_current = _is_current(old)
        if is_current and (completed := complete(path)):
            return completed
        with closing(attached(path)) as old:
            _check_version(old, path)
            runs = _rows(old, "select * from store.runs order by created_at, run_id")
            if not runs:
                raise StoreError(f"{path} holds no runs; delete it and score anew")
            for run in runs:
                try:
                    _publish_again(old, run, fresh)
                except (duckdb.CatalogException, duckdb.BinderException) as error:
                    raise StoreError(
                        f"{path} does not hold what schema version {OLD_VERSION} says "
                        f"({str(error).splitlines()[0]}); restore it from a copy"
                    ) from None
        _take_over(path, fresh)
        os.replace(fresh, path)
    finally:
        for leftover in (fresh, Path(f"{fresh}.wal")):
            leftover.unlink(missing_ok=True)
    return [run["run_id"] for run in runs]


def _is_current(old: duckdb.DuckDBPyConnection) -> bool:
    try:
        return [row["schema_version"] for row in _rows(old, "select * from store.meta")] == [
            SCHEMA_VERSION
        ]
    except duckdb.CatalogException:
        return False


def _check_version(old: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        versions = [row["schema_version"] for row in _rows(old, "select * from store.meta")]
    except duckdb.CatalogException:
        versions = []
    if versions == [SCHEMA_VERSION]:
        raise StoreError(f"{path} has schema version {SCHEMA_VERSION} already; nothing to do")
    if versions != [OLD_VERSION]:
        raise StoreError(
            f"{path} is no store of schema version {OLD_VERSION}, the one that can be brought up "
            "to date; make it again with `python -m qkcore precompute`"
        )


def _rows(old: duckdb.DuckDBPyConnection, sql: str, run_id: str | None = None) -> list[Row]:
    asked = old.execute(sql, None if run_id is None else [run_id])
    names = [column[0] for column in asked.description or ()]
    return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]


def _publish_again(old: duckdb.DuckDBPyConnection, run: Row, fresh: Path) -> None:
    run_id = run["run_id"]
    puzzles, has_texts = _puzzles(old, run_id)
    qk, logits = _scores(old, run, puzzles)
    answers = counting.answers_of(
        puzzles, qk, logits, run["n_heads"], run["seconds"], has_texts=has_texts
    )
    known = _rows(
        old, "select * exclude run_id from store.worked_examples where run_id = ?", run_id
    )
    publish(
        fresh,
        Run(**{field.name: run[field.name] for field in fields(Run) if field.name in run}),
        puzzles,
        answers,
        has_texts,
        WorkedExample(**known[0]) if known else None,
    )


def _puzzles(old: duckdb.DuckDBPyConnection, run_id: str) -> tuple[list[Puzzle], bool]:
    """The run's puzzles in order, and whether their texts are there."""
    rows = _rows(
        old,
        """
        select p.* exclude (puzzle_set, place)
        from store.puzzles p join store.runs using (puzzle_set)
        where run_id = ? order by place
        """,
        run_id,
    )
    has_texts = all(row["context"] is not None for row in rows)
    texts = {} if has_texts else {"context": "left out", "statement": "left out"}
    return [
        Puzzle(**row | texts | {"candidates": tuple(row["candidates"])}) for row in rows
    ], has_texts


def _scores(
    old: duckdb.DuckDBPyConnection, run: Row, puzzles: list[Puzzle]
) -> tuple[np.ndarray, np.ndarray]:
    """(puzzle, layer * head, candidate) scores and (puzzle, candidate) logits; NaN: no such."""
    most = max(len(puzzle.candidates) for puzzle in puzzles)
    qk = np.full((len(puzzles), run["n_layers"] * run["n_heads"], most), np.nan, dtype=np.float32)
    logits = np.full((len(puzzles), most), np.nan, dtype=np.float32)
    batches = old.sql(
        """
        select p.place, s.candidate, s.qk, s.logit
        from store.scores s join store.runs r using (run_id)
        join store.puzzles p on p.puzzle_set = r.puzzle_set and p.puzzle_id = s.puzzle_id
        where s.run_id = ?
        """,
        params=[run["run_id"]],
    ).to_arrow_reader(4096)
    for batch in batches:
        place, candidate, logit = (
            batch[name].to_numpy() for name in ("place", "candidate", "logit")
        )
        qk[place, :, candidate] = batch["qk"].flatten().to_numpy().reshape(len(place), -1)
        logits[place, candidate] = logit
    return qk, logits


def _take_over(path: Path, fresh: Path) -> None:
    """What publishing anew does not know: when and by what, and rules without texts to read."""
    # In memory, for a file that is opened gives its database the name that it has itself.
    with closing(duckdb.connect(":memory:")) as connection:
        connection.execute("attach $path as before (read_only)", {"path": str(path)})
        connection.execute("attach $path as fresh", {"path": str(fresh)})
        connection.execute(
            """
            update fresh.runs set created_at = b.created_at, qkcore_version = b.qkcore_version
            from before.runs b where b.run_id = runs.run_id;
            insert into fresh.surface_accuracy by name
            select * from before.surface_accuracy
            where (run_id, rule) not in (select run_id, rule from fresh.surface_accuracy);
            checkpoint fresh
            """
        )
