"""Finished parts to tables: the only writer of a store.

Builds a new file beside the old one and puts it in its place in one step, so readers see the old store or the new
one, never half of one. Counts right answers here, once, so that pages only add up.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from qkcore import __version__
from qkcore.metrics import candidate_choices, luck_line
from qkcore.parts import read_part
from qkcore.puzzles import SPLITS, Puzzle
from qkcore.store import SCHEMA, SCHEMA_VERSION, ResultStore, StoreError
from qkcore.surface import surface_accuracy

RUN_TABLES = ("runs", "scores", "head_accuracy", "model_accuracy", "surface_accuracy", "luck")


@dataclass(frozen=True, slots=True)
class Run:
    """One model on one puzzle set, with its settings: a row of table runs, less what publishing adds."""

    run_id: str
    model: str
    model_revision: str
    puzzle_set: str
    puzzle_set_sha256: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    dtype: str
    rope: str
    template: str


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the heads and the model answered to every puzzle, in the order of the puzzle set."""

    puzzles: pd.DataFrame  # answer, group, steps, distractors, split
    heads: np.ndarray  # (puzzle, layer * head) int8 candidate index, -1 for a tie
    model: np.ndarray  # (puzzle,) likewise


def check_accepts(path: Path, puzzle_set: str, sha256: str) -> None:
    """Whether a run on this puzzle set could be added to the store at the path (which may not exist yet).

    Raises:
        StoreError: when the file is no store of this version, or holds other puzzles under the same name.
    """
    if not path.parent.is_dir():
        raise StoreError(f"there is no folder {path.parent} to put the store in; make it first")
    if not path.exists():
        return
    if (log := path.with_name(path.name + ".wal")).exists():
        raise StoreError(
            f"another program has left changes to {path} in {log.name}; open the store once with DuckDB and close it, "
            "which folds them in, or delete that file"
        )
    with ResultStore.open(path) as store:
        runs = store.runs()
    others = runs[(runs["puzzle_set"] == puzzle_set) & (runs["puzzle_set_sha256"] != sha256)]
    if len(others):
        raise StoreError(
            f"{path} already holds a puzzle set named {puzzle_set!r} with other puzzles; name this one differently "
            "with --puzzle-set"
        )


def publish(path: Path, run: Run, puzzles: Sequence[Puzzle], parts: Sequence[Path], with_texts: bool = True) -> None:
    """Add a run to the store at the path, made if it does not exist; a run of the same id is replaced.

    Without texts, contexts and statements are left null: for puzzle sets that may be scored but not copied.

    Raises:
        StoreError: as `check_accepts`, or when the parts do not hold exactly these puzzles.
    """
    answers, seconds = _read_answers(path, puzzles, parts)
    with _only_writer(path):
        check_accepts(path, run.puzzle_set, run.puzzle_set_sha256)
        for leftover in path.parent.glob(f".{path.name}.*.tmp*"):  # of a writer that was killed; we are the only one
            leftover.unlink()
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            if path.exists():
                shutil.copyfile(path, temporary)
            connection = duckdb.connect(str(temporary))
            try:
                _write(connection, run, puzzles, parts, answers, seconds, with_texts)
                connection.execute("checkpoint")
            finally:
                connection.close()
            os.replace(temporary, path)
        finally:
            for leftover in (temporary, Path(f"{temporary}.wal")):
                leftover.unlink(missing_ok=True)


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Writers of one folder take turns, so that two runs finishing together are both kept."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read_answers(path: Path, puzzles: Sequence[Puzzle], parts: Sequence[Path]) -> tuple[_Answers, float]:
    ids: list[str] = []
    heads, model, seconds = [], [], 0.0
    for part in map(read_part, parts):
        ids.extend(part.puzzle_ids)
        heads.append(candidate_choices(part.qk))
        model.append(candidate_choices(part.logits))
        seconds += part.seconds
    if ids != [puzzle.puzzle_id for puzzle in puzzles]:
        raise StoreError(
            f"the finished parts for {path} do not hold the puzzles of this run; delete them and start anew"
        )
    columns = ("answer", "group", "steps", "distractors", "split")
    frame = pd.DataFrame([[getattr(puzzle, column) for column in columns] for puzzle in puzzles], columns=columns)
    frame = frame.astype({"steps": "Int64", "distractors": "Int64"})
    return _Answers(frame, np.concatenate(heads), np.concatenate(model)), seconds


def _write(connection, run: Run, puzzles, parts, answers: _Answers, seconds: float, with_texts: bool) -> None:
    tables = {row[0] for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if "meta" not in tables:
        connection.execute(SCHEMA)
        connection.execute("insert into meta values (?, ?)", [SCHEMA_VERSION, __version__])
    for table in RUN_TABLES:
        connection.execute(f"delete from {table} where run_id = $run_id", {"run_id": run.run_id})
    row = asdict(run) | {
        "qkcore_version": __version__,
        "created_at": datetime.now(UTC).replace(tzinfo=None),
        "n_puzzles": len(puzzles),
        "seconds": seconds,
    }
    connection.execute(f"insert into runs by name select {', '.join(f'${n} as {n}' for n in row)}", row)
    known = connection.execute("select count(*) from puzzles where puzzle_set = ?", [run.puzzle_set]).fetchall()
    if known == [(0,)]:
        _insert(connection, "puzzles", _puzzle_table(run.puzzle_set, puzzles, with_texts))
    connection.execute(
        "insert into scores select $run_id, puzzle_id, candidate, qk, logit from read_parquet($parts)",
        {"run_id": run.run_id, "parts": [str(part) for part in parts]},
    )
    for table, rows in (
        ("head_accuracy", _head_accuracy(answers, run.n_heads)),
        ("model_accuracy", _model_accuracy(answers)),
        ("surface_accuracy", pa.Table.from_pandas(surface_accuracy(puzzles), preserve_index=False)),
        ("luck", _luck(answers)),
    ):
        _insert(connection, table, rows.append_column("run_id", pa.array([run.run_id] * len(rows))))


def _insert(connection, table: str, rows: pa.Table) -> None:
    connection.register("rows_to_insert", rows)
    connection.execute(f"insert into {table} by name select * from rows_to_insert")
    connection.unregister("rows_to_insert")


def _puzzle_table(puzzle_set: str, puzzles: Sequence[Puzzle], with_texts: bool) -> pa.Table:
    columns = {field.name: [getattr(puzzle, field.name) for puzzle in puzzles] for field in fields(Puzzle)}
    columns["candidates"] = [list(candidates) for candidates in columns["candidates"]]
    if not with_texts:
        columns |= {name: [None] * len(puzzles) for name in ("context", "statement")}
    types = {"answer": pa.int32(), "steps": pa.int32(), "distractors": pa.int32()}
    types |= {"context": pa.string(), "statement": pa.string()}
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    return pa.table({"puzzle_set": pa.array([puzzle_set] * len(puzzles)), **arrays})


def _cells(answers: _Answers) -> Iterator[tuple[dict, np.ndarray]]:
    """(split, steps, distractors) and the rows of the puzzles that share them."""
    names = ["split", "steps", "distractors"]
    for key, rows in answers.puzzles.groupby(names, dropna=False).indices.items():
        yield {name: None if pd.isna(value) else value for name, value in zip(names, key, strict=True)}, rows


def _by_answer(is_right: np.ndarray, answer: np.ndarray, n_answers: int) -> np.ndarray:
    """(puzzle, ...) booleans summed by answer: (..., answer)."""
    return np.stack([is_right[answer == index].sum(axis=0) for index in range(n_answers)], axis=-1)


def _head_accuracy(answers: _Answers, n_heads: int) -> pa.Table:
    answer = answers.puzzles["answer"].to_numpy()
    is_right = answers.heads == answer[:, None]
    is_model_right = (answers.model == answer)[:, None]
    n_all = is_right.shape[1]
    layer, head = np.divmod(np.arange(n_all, dtype=np.int32), n_heads)
    tables = []
    for cell, rows in _cells(answers):
        by_answer = _by_answer(is_right[rows], answer[rows], answer.max() + 1)
        counts = {
            "layer": layer,
            "head": head,
            "n": np.full(n_all, len(rows), dtype=np.int32),
            "n_right": is_right[rows].sum(axis=0),
            "n_right_with_model": (is_right[rows] & is_model_right[rows]).sum(axis=0),
            "n_right_by_answer": pa.FixedSizeListArray.from_arrays(pa.array(by_answer.ravel()), by_answer.shape[-1]),
        }
        tables.append(_cell_table(cell, counts, n_all))
    return pa.concat_tables(tables)


def _model_accuracy(answers: _Answers) -> pa.Table:
    answer = answers.puzzles["answer"].to_numpy()
    is_right = answers.model == answer
    tables = []
    for cell, rows in _cells(answers):
        counts = {
            "n": [len(rows)],
            "n_right": [is_right[rows].sum()],
            "n_by_answer": [np.bincount(answer[rows], minlength=answer.max() + 1).tolist()],
            "n_right_by_answer": [_by_answer(is_right[rows], answer[rows], answer.max() + 1).tolist()],
        }
        tables.append(_cell_table(cell, counts, 1))
    return pa.concat_tables(tables)


def _cell_table(cell: dict, counts: dict, n_rows: int) -> pa.Table:
    types = {"split": pa.string(), "steps": pa.int32(), "distractors": pa.int32()}
    return pa.table({name: pa.array([cell[name]] * n_rows, types[name]) for name in types} | counts)


def _luck(answers: _Answers) -> pa.Table:
    lines = []
    for split in SPLITS:
        rows = np.flatnonzero(answers.puzzles["split"] == split)
        if len(rows):
            lines.append(luck_line(answers.heads[rows], answers.puzzles.iloc[rows]).assign(split=split))
    return pa.Table.from_pandas(pd.concat(lines), preserve_index=False)
