"""Finished chunks of a run, as Parquet files that are either whole or not there.

A part holds the scores of a fixed slice of the puzzle set. Writing under a temporary name and
renaming makes a part's existence mean that it is done, whoever wrote it; a hash of what is in it,
and the name of the folder it was written for, tell a damaged or a foreign one. (Parquet through
pyarrow, which Streamlit brings along.)
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qkcore.results.object_store import Address, Folder, Unreachable

PART_SIZE = 64  # puzzles
# Scores hardly ever repeat, so a dictionary of them is lost room; but many begin alike, and the
# first bytes of all, then the second ones, are packed well. Parts written otherwise are read too.
AS_WRITTEN: dict[str, Any] = {
    "use_dictionary": ["puzzle_id"],
    "use_byte_stream_split": True,
    "compression": "zstd",
    "compression_level": 1,
}


@dataclass(frozen=True, slots=True)
class Part:
    """The scores of consecutive puzzles. Candidates beyond a puzzle's own are NaN."""

    puzzle_ids: tuple[str, ...]
    qk: np.ndarray  # (puzzle, layer * head, candidate) float32
    logits: np.ndarray  # (puzzle, candidate) float32
    seconds: float  # time it took to score them
    # (puzzle, layer, candidate) float32, of all of the model's layers; None: scored without lens
    lens: np.ndarray | None = None


@overload
def part_path(folder: Path, index: int) -> Path: ...
@overload
def part_path(folder: Address, index: int) -> Address: ...
def part_path(folder: Folder, index: int) -> Folder:
    """Where part `index` of a run lives."""
    return folder / part_name(index)


def part_name(index: int) -> str:
    """What its file is called.

    >>> part_name(12)
    'part-00012.parquet'
    """
    return f"part-{index:05d}.parquet"


def n_parts(n_puzzles: int) -> int:
    """How many parts a run has.

    >>> n_parts(PART_SIZE), n_parts(PART_SIZE + 1)
    (1, 2)
    """
    return -(-n_puzzles // PART_SIZE)


def write_part(path: Folder, part: Part) -> None:
    """Write a part: `score_rows`, lens (of all layers) where it has one, and the seconds.

    What it holds is on the disk when the call returns, or at the object store, which keeps no half
    of an object. Nothing is left behind when it fails.

    Raises:
        OSError: when it cannot be written.
        Unreachable: when an object store does not answer.
    """
    table = score_rows(part.puzzle_ids, part.qk, part.logits)
    if part.lens is not None:
        table = table.append_column("lens", _lists(part.lens, part.logits))
    metadata = {"seconds": repr(part.seconds), "sha256": content_sha256(table)}
    table = table.replace_schema_metadata(metadata | {"folder": path.parent.name})
    if isinstance(path, Address):
        written = pa.BufferOutputStream()
        pq.write_table(table, written, **AS_WRITTEN)
        path.write_bytes(written.getvalue().to_pybytes())
        return
    # Two machines may have processes of one number.
    temporary = path.with_suffix(f".{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, **AS_WRITTEN)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Have the names of a folder's files written to the disk, as fsync does with their contents."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content_sha256(table: pa.Table) -> str:
    """The hash of a part's columns, as values: not of its seconds, nor of how Parquet keeps them.

    So parts with the same scores have the same hash, whoever scored them and however long it took.
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        digest.update(f"{name} {len(column)} ".encode())
        if pa.types.is_string(column.type):
            digest.update(json.dumps(column.to_pylist()).encode())
        else:
            values = column.flatten() if pa.types.is_list(column.type) else column
            digest.update(f"{values.type} {len(values)} ".encode())
            digest.update(values.to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


def score_rows(puzzle_ids: Sequence[str], qk: np.ndarray, logits: np.ndarray) -> pa.Table:
    """One row a puzzle and candidate: puzzle_id, candidate, qk (of all heads), logit.

    Args:
        puzzle_ids: as in `Part`,
        qk: likewise,
        logits: likewise.
    """
    puzzle, candidate = np.nonzero(~np.isnan(logits))
    return pa.table(
        {
            "puzzle_id": pa.array([puzzle_ids[index] for index in puzzle.tolist()], pa.string()),
            "candidate": pa.array(candidate.astype(np.int32)),
            "qk": _lists(qk, logits),
            "logit": pa.array(logits[puzzle, candidate].astype(np.float32)),
        }
    )


def _lists(values: np.ndarray, logits: np.ndarray) -> pa.Array:
    """(puzzle, ..., candidate) values as a list a puzzle and candidate, where there are logits."""
    puzzle, candidate = np.nonzero(~np.isnan(logits))
    rows = np.ascontiguousarray(values.transpose(0, 2, 1)[puzzle, candidate])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    return lists.cast(pa.list_(pa.float32()))


def read_part(path: Folder) -> Part:
    """Read a part back.

    Raises:
        OSError, pyarrow.ArrowException, KeyError: when it is missing or damaged, or no part.
        Unreachable: when an object store does not answer.
    """
    return _part_of(_table_at(path))


def _table_at(path: Folder) -> pa.Table:
    return pq.read_table(pa.BufferReader(path.read_bytes()) if isinstance(path, Address) else path)


def _part_of(table: pa.Table) -> Part:
    """What a part's table says."""
    ids = table["puzzle_id"].to_pylist()
    candidate = table["candidate"].to_numpy()
    order = {puzzle_id: index for index, puzzle_id in enumerate(dict.fromkeys(ids))}
    puzzle = np.array([order[puzzle_id] for puzzle_id in ids])

    def of_lists(name: str) -> np.ndarray:
        """(puzzle, ..., candidate) of a column of lists."""
        rows = table[name].combine_chunks().flatten().to_numpy().reshape(len(ids), -1)
        found = np.full((len(order), rows.shape[1], candidate.max() + 1), np.nan, np.float32)
        found[puzzle, :, candidate] = rows
        return found

    logits = np.full((len(order), candidate.max() + 1), np.nan, dtype=np.float32)
    logits[puzzle, candidate] = table["logit"].to_numpy()
    seconds = float(table.schema.metadata[b"seconds"])
    lens = of_lists("lens") if "lens" in table.column_names else None
    return Part(tuple(order), of_lists("qk"), logits, seconds, lens)


def is_done(path: Folder, puzzle_ids: Sequence[str], with_lens: bool = False) -> bool:
    """Whether a whole part for exactly these puzzles lies at the path, with a lens if asked for."""
    return isinstance(checked(path, puzzle_ids, with_lens), Part)


def checked(path: Folder, puzzle_ids: Sequence[str] | None, with_lens: bool = False) -> Part | str:
    """The part at the path, or why it will not do.

    Args:
        path: of the part.
        puzzle_ids: that it should hold; None: any.
        with_lens: whether it should have a lens.

    Returns:
        The part; or what stands after its name in a sentence, "" where there is none.

    Raises:
        Unreachable: when an object store does not answer.
    """
    try:
        table = _table_at(path)
        metadata = table.schema.metadata or {}
        is_whole = metadata[b"sha256"].decode() == content_sha256(table)
        part = _part_of(table)
    except FileNotFoundError:
        return ""
    except Unreachable:
        raise
    except (OSError, pa.ArrowException, LookupError, ValueError, TypeError, AttributeError):
        return "is damaged, or no part at all"
    if not is_whole:
        return "does not hold what its hash says"
    if metadata.get(b"folder", b"").decode() != path.parent.name:
        return "is of another run"
    if puzzle_ids is not None and part.puzzle_ids != tuple(puzzle_ids):
        return "holds other puzzles"
    return "has no lens" if with_lens and part.lens is None else part
