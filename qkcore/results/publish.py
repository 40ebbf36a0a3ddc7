"""Finished parts to tables: the only writer of a store.

Builds a new file beside the old one and puts it in its place in one step, so readers see the old
store or the new one, never half of one. What is counted on the way is in `qkcore.results.counting`.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from qkcore import __version__
from qkcore.puzzles.puzzle import Puzzle
from qkcore.puzzles.twin import parent_of
from qkcore.results import counting, layer_counting
from qkcore.results.beside import (
    RawScoresAbsentError,
    remove_beside,
    remove_half_written,
    scores_folder,
    write_beside,
)
from qkcore.results.kept import kept, text_of
from qkcore.results.object_store import Folder
from qkcore.results.parts import keep_names, read_part
from qkcore.results.reader import StoreError
from qkcore.results.schema import ADDED, ADDED_TABLES, SCHEMA, SCHEMA_VERSION
from qkcore.results.spool import Spooled
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import twin_runs, worked_out
from qkcore.statistics.marks import choices

RUN_TABLES = (
    *"runs logits head_scores rule_choices head_accuracy intervals model_accuracy".split(),
    *"surface_accuracy luck auc heads stability worked_examples".split(),
    *ADDED_TABLES,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One model on one puzzle set, with its settings.

    A row of table runs, less what publishing adds.
    """

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
    scores: str = "float32"  # as what the store keeps them, or "float16"
    head_layers: tuple[int, ...] | None = None  # layers with softmax heads; None: all of them

    @property
    def layers_with_heads(self) -> tuple[int, ...]:
        """(layer,) the numbers of the layers whose heads are in the tables."""
        return tuple(range(self.n_layers)) if self.head_layers is None else self.head_layers


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """One puzzle and one head, down to the vectors: a row of table worked_examples."""

    puzzle_id: str
    layer: int
    head: int
    tokens: list[str]  # of the prompt
    key_at: int  # index into tokens
    candidate_tokens: list[str]  # where each candidate's query is read
    key_vector: list[float]  # (dim,)
    query_vectors: list[list[float]]  # (candidate, dim)


def check_accepts(path: Path, puzzle_set: str, sha256: str) -> None:
    """Whether a run on this puzzle set could be added to the store at the path.

    The store may not exist yet.

    Raises:
        StoreError: when the file is no store of this version, or holds other puzzles under the same
            name.
    """
    if not path.parent.is_dir():
        raise StoreError(f"there is no folder {path.parent} to put the store in; make it first")
    if not path.exists():
        return
    if (log := path.with_name(path.name + ".wal")).exists():
        raise StoreError(
            f"another program has left changes to {path} in {log.name}; open the store once with "
            "DuckDB and close it, which folds them in, or delete that file"
        )
    with ResultStore.open(path) as store:
        runs = store.runs()
    others = runs[(runs["puzzle_set"] == puzzle_set) & (runs["puzzle_set_sha256"] != sha256)]
    if len(others):
        raise StoreError(
            f"{path} already holds a puzzle set named {puzzle_set!r} with other puzzles; name this "
            "one differently (--puzzle-set; in a sweep's file, name)"
        )


def collect(
    run: Run, puzzles: Sequence[Puzzle], parts: Sequence[Folder], folder: Path | None = None
) -> counting.Answers:
    """All finished parts of a run together, each read once.

    Scores go through a file in a folder of this machine, which by default is that of the parts
    (`spool`), so memory holds a layer of them at a time.

    Raises:
        StoreError: when the parts do not hold exactly these puzzles, or there is no room for that
            file.
    """
    most = max((len(puzzle.candidates) for puzzle in puzzles), default=2)
    layers = run.layers_with_heads
    heads = np.empty((len(puzzles), len(layers) * run.n_heads), dtype=np.int8)
    logits = np.full((len(puzzles), most), np.nan, dtype=np.float32)
    lens = np.full((len(puzzles), run.n_layers, most), np.nan, dtype=np.float32)
    has_lens = bool(parts)
    seconds, start = 0.0, 0
    beside = parts[0].parent if parts else Path()
    if folder is None:
        folder = beside if isinstance(beside, Path) else Path(tempfile.gettempdir())
    scores = Spooled(folder, len(puzzles), run.n_heads, most)
    with _closed_if_it_fails(scores):
        for path in parts:
            part = read_part(path)
            rows = slice(start, start := start + len(part.puzzle_ids))
            if part.puzzle_ids != tuple(puzzle.puzzle_id for puzzle in puzzles[rows]):
                raise _foreign(path)
            n_candidates = part.logits.shape[-1]
            heads[rows], logits[rows, :n_candidates] = choices(part.qk), part.logits
            scores.write(rows.start, part.qk)
            if part.lens is None:
                has_lens = False
            else:
                lens[rows, :, :n_candidates] = part.lens
            seconds += part.seconds
        if start != len(puzzles):
            raise _foreign(parts[-1] if parts else Path())
    answers = counting.marked(puzzles, scores, heads, logits, run.n_heads, seconds, layers=layers)
    return replace(answers, lens=lens) if has_lens else answers


@contextmanager
def _closed_if_it_fails(scores: Spooled) -> Iterator[None]:
    try:
        yield
    except BaseException:
        scores.close()  # now: whoever keeps the error would keep the file, and its room
        raise


def _foreign(part: Folder) -> StoreError:
    return StoreError(
        f"the finished parts in {part.parent} do not hold the puzzles of this run; delete them and "
        "start anew"
    )


def publish(
    path: Path,
    run: Run,
    puzzles: Sequence[Puzzle],
    answers: counting.Answers,
    with_texts: bool = True,
    example: WorkedExample | None = None,
    is_beside: bool = False,
) -> None:
    """Add a run to the store at the path; a run of the same id is replaced.

    Args:
        path: made if it does not exist.
        run: the row of table runs.
        puzzles: those that were scored.
        answers: from `collect`.
        with_texts: without, contexts and statements are left null and there is no example: for
            puzzle sets that may be scored but not copied.
        example: of the head chosen on validation puzzles.
        is_beside: raw scores go into files beside the store (`results.beside`), and not into it.

    Raises:
        StoreError: as `check_accepts`.
    """
    with _files_beside(path, run.run_id, is_beside), _new_file(path, run) as connection:
        _write(connection, run, puzzles, answers, with_texts, has_scores=not is_beside)
        if is_beside:
            write_beside(path, run.run_id, counting.head_scores(answers, run.scores))
        if example and with_texts:
            rows = pa.Table.from_pylist([asdict(example)])
            _insert(connection, "worked_examples", rows, run.run_id)


@contextmanager
def _files_beside(path: Path, run_id: str, is_beside: bool) -> Iterator[None]:
    """A run's files beside the store are there afterwards if it refers to them, and only then."""
    was_there = scores_folder(path, run_id).exists()
    try:
        yield
    except BaseException:
        if not was_there:
            remove_beside(path, run_id)
        raise
    if not is_beside:
        remove_beside(path, run_id)


def add_layers(path: Path, run: Run, answers: counting.Answers) -> None:
    """Add lens and probes to a run that the store at the path holds; those of before are replaced.

    Args:
        path: of the store.
        run: that it holds.
        answers: from `collect`, with probes.

    Raises:
        StoreError: as `check_accepts`.
    """
    with _new_file(path, run) as connection:
        connection.execute(ADDED)
        for table, rows in layer_counting.tables(answers):
            _delete(connection, table, run.run_id)
            _insert(connection, table, rows, run.run_id)


def publish_ablations(path: Path, run_id: str, ablations: pa.Table) -> None:
    """Add rows of table ablations to a run of the store at the path.

    Those that are there of the same kind, choice and number of heads are replaced.

    Args:
        path: of the store.
        run_id: of a run in it.
        ablations: the table's columns without run_id.

    Raises:
        StoreError: when the store has no such run, as `check_accepts`.
    """
    with _only_writer(path):
        with ResultStore.open(path) as store:
            if run_id not in set(store.runs()["run_id"]):
                raise StoreError(f"{path} has no run {run_id!r} any more; score the puzzles again")
        with _replacing(path) as connection:
            connection.execute(ADDED)  # an older file lacks them
            connection.register("coming", ablations)
            connection.execute(
                """
                delete from ablations
                where run_id = $run_id
                  and (kind, chosen_by, k) in (select kind, chosen_by, k from coming)
                """,
                {"run_id": run_id},
            )
            connection.unregister("coming")
            _insert(connection, "ablations", ablations, run_id)


@contextmanager
def _new_file(path: Path, run: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the store to write to, which takes its place when all went well.

    Raises:
        StoreError: as `check_accepts`.
    """
    with _only_writer(path):
        check_accepts(path, run.puzzle_set, run.puzzle_set_sha256)
        with _replacing(path) as connection:
            yield connection


@contextmanager
def _replacing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the store to write to, which takes its place if nothing fails.

    Raises:
        StoreError: when there is no room for it, or it may not be written.
    """
    _remove_copies(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists():
            shutil.copyfile(path, temporary)
        with closing(duckdb.connect(str(temporary))) as connection:
            yield connection
            connection.execute("checkpoint")
        keep_evidence(temporary, beside=path)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        keep_names(path.parent)
    except (duckdb.IOException, duckdb.FatalException, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise StoreError(
            f"{path} could not be written: {why}. It is as it was. Make room (a copy of it is "
            "written beside it first), or let this user write there, and run the same command again"
        ) from None
    finally:
        for leftover in (temporary, Path(f"{temporary}.wal")):
            leftover.unlink(missing_ok=True)


def _remove_copies(path: Path) -> None:
    """Take away what a writer left that was killed; to be called by the only one there is."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp*"):
        leftover.unlink()
    remove_half_written(path)


def remove_unfinished(path: Path) -> None:
    """Take away what writers of the store left that were killed."""
    with _only_writer(path):
        _remove_copies(path)


def complete(path: Path) -> list[str]:
    """Put a store in the place of one that lacks evidence; returns the runs that it lacked.

    The file stays as it is when nothing is missing.

    Raises:
        StoreError: when it is no store of this version.
    """
    with ResultStore.open(path) as store:
        there, twins = kept(store), twin_runs(store)
    if all(run in there and there[run].twin_run == twin for run, twin in twins.items()):
        return []
    with _only_writer(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(path, temporary)
            found = keep_evidence(temporary, beside=path)
            os.replace(temporary, path)
        finally:
            for leftover in (temporary, Path(f"{temporary}.wal")):
                leftover.unlink(missing_ok=True)
    return found


def keep_evidence(path: Path, beside: Path | None = None) -> list[str]:
    """Work out what is missing from table evidence of the store at the path, or stale in it.

    Changes the file in place, so nobody else may read it: for one that is still being made. Runs
    whose raw scores are kept in files that are not there are left as they are.

    Args:
        path: of the store.
        beside: the store beside which raw scores lie that it does not hold; None: this one.

    Returns:
        The runs of which a row was written.
    """
    with ResultStore.open(path, beside) as store:
        there, twins = kept(store), twin_runs(store)
        missing = [
            run for run, twin in twins.items() if run not in there or there[run].twin_run != twin
        ]
        found = {}
        for run in missing:
            with suppress(RawScoresAbsentError):
                found[run] = worked_out(store, run)
    rows = [
        (run, twins[run], None if evidence is None else text_of(evidence))
        for run, evidence in found.items()
    ]
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(ADDED)
        if rows:
            connection.execute(
                "delete from evidence where run_id in (select unnest(?))", [list(found)]
            )
            connection.executemany("insert into evidence values (?, ?, ?)", rows)
        connection.execute("checkpoint")
    return list(found)


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Writers of one folder take turns, so that two runs finishing together are both kept."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    puzzles: Sequence[Puzzle],
    answers: counting.Answers,
    with_texts: bool,
    has_scores: bool,
) -> None:
    tables = connection.execute("select table_name from duckdb_tables()").fetchall()
    if ("meta",) not in tables:
        connection.execute(SCHEMA)
        connection.execute("insert into meta values (?, ?)", [SCHEMA_VERSION, __version__])
    connection.execute(ADDED)  # an older file lacks them
    # What rests on the run that is replaced is worked out anew.
    connection.execute("delete from evidence where twin_run = ?", [run.run_id])
    for table in RUN_TABLES:
        _delete(connection, table, run.run_id)
    row = asdict(run) | {
        "qkcore_version": __version__,
        "created_at": datetime.now(UTC).replace(tzinfo=None),
        "n_puzzles": len(puzzles),
        "seconds": answers.seconds,
        "n_candidates": answers.qk.n_candidates,
        "model_offset": answers.model_offset.tolist(),
        "model_constant": answers.model_constant,
        "is_imbalanced": answers.is_imbalanced,
        "twin_of": parent_of(puzzles),
    }
    named = ", ".join(f"${name} as {name}" for name in row)
    connection.execute(f"insert into runs by name select {named}", row)
    known = connection.execute(
        "select count(*) from puzzles where puzzle_set = ?", [run.puzzle_set]
    ).fetchall()
    # The same puzzles may be there, but their texts may have been left out so far.
    if with_texts or known == [(0,)]:
        connection.execute("delete from puzzles where puzzle_set = ?", [run.puzzle_set])
        _insert(connection, "puzzles", _puzzle_table(run.puzzle_set, puzzles, with_texts))
    # At once: each commit may write the last rows before it anew, and leave their blocks empty.
    connection.execute("begin")
    for table, rows in _counted(run, answers, has_scores):
        _insert(connection, table, rows, run.run_id)
    connection.execute("commit")


def _counted(
    run: Run, answers: counting.Answers, has_scores: bool
) -> Iterator[tuple[str, pa.Table]]:
    """Names and rows of the tables of a run, large ones in several pieces."""
    yield "logits", counting.logits(answers)
    for rows in counting.head_scores(answers, run.scores) if has_scores else ():
        yield "head_scores", rows
    yield "rule_choices", counting.rule_choices(answers)
    yield "head_accuracy", counting.head_accuracy(answers)
    yield "intervals", counting.intervals(answers)
    yield "model_accuracy", counting.model_accuracy(answers)
    yield "surface_accuracy", counting.surface_accuracy(answers)
    yield "luck", counting.luck(answers)
    yield "heads", counting.heads(answers)
    yield "stability", counting.stability(answers)
    yield "auc", counting.aucs(answers)
    yield "typical_leads", counting.leads(answers)
    yield from layer_counting.tables(answers)


def _delete(connection: duckdb.DuckDBPyConnection, table: str, run_id: str) -> None:
    """Take a run's rows out of one of RUN_TABLES."""
    connection.execute(
        f"delete from {table} where run_id = $run_id",  # noqa: S608 -- one of RUN_TABLES
        {"run_id": run_id},
    )


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table, run_id: str | None = None
) -> None:
    if run_id is not None:
        rows = rows.append_column("run_id", pa.repeat(run_id, len(rows)))
    connection.register("rows_to_insert", rows)
    # The table's name is one of RUN_TABLES, or "puzzles".
    connection.execute(f"insert into {table} by name select * from rows_to_insert")  # noqa: S608
    connection.unregister("rows_to_insert")


def _puzzle_table(puzzle_set: str, puzzles: Sequence[Puzzle], with_texts: bool) -> pa.Table:
    columns = {
        field.name: [getattr(puzzle, field.name) for puzzle in puzzles]
        for field in fields(Puzzle)
        if field.name != "parent"  # the same for a whole set
    }
    columns["place"] = list(range(len(puzzles)))
    columns["candidates"] = [list(candidates) for candidates in columns["candidates"]]
    if not with_texts:
        columns |= {name: [None] * len(puzzles) for name in ("context", "statement")}
    types = dict.fromkeys(("place", "answer", "steps", "distractors"), pa.int32())
    types |= {"context": pa.string(), "statement": pa.string()}
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    return pa.table({"puzzle_set": pa.array([puzzle_set] * len(puzzles)), **arrays})
