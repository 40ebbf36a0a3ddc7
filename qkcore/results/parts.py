"""Finished chunks of a run, as Parquet files that are either whole or not there.

A part holds the scores of a fixed slice of the puzzle set. Writing under a temporary name and
renaming makes a part's existence mean that it is done, whoever wrote it. (Parquet through pyarrow,
which Streamlit brings along.)
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PART_SIZE = 64  # puzzles


@dataclass(frozen=True, slots=True)
class Part:
    """The scores of consecutive puzzles. Candidates beyond a puzzle's own are NaN."""

    puzzle_ids: tuple[str, ...]
    qk: np.ndarray  # (puzzle, layer * head, candidate) float32
    logits: np.ndarray  # (puzzle, candidate) float32
    seconds: float  # time it took to score them
    # (puzzle, layer, candidate) float32, of all of the model's layers; None: scored without lens
    lens: np.ndarray | None = None


def part_path(folder: Path, index: int) -> Path:
    """Where part `index` of a run lives."""
    return folder / f"part-{index:05d}.parquet"


def n_parts(n_puzzles: int) -> int:
    """How many parts a run has.

    >>> n_parts(PART_SIZE), n_parts(PART_SIZE + 1)
    (1, 2)
    """
    return -(-n_puzzles // PART_SIZE)


def write_part(path: Path, part: Part) -> None:
    """Write a part: `score_rows`, lens (of all layers) where it has one, and the seconds."""
    table = score_rows(part.puzzle_ids, part.qk, part.logits)
    if part.lens is not None:
        table = table.append_column("lens", _lists(part.lens, part.logits))
    table = table.replace_schema_metadata({"seconds": repr(part.seconds)})
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


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


def read_part(path: Path) -> Part:
    """Read a part back.

    Raises:
        OSError, pyarrow.ArrowException: when it is missing or damaged.
    """
    table = pq.read_table(path)
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


def is_done(path: Path, puzzle_ids: Sequence[str], with_lens: bool = False) -> bool:
    """Whether a whole part for exactly these puzzles lies at the path, with a lens if asked for.

    A damaged one counts as missing.
    """
    try:
        part = read_part(path)
        return part.puzzle_ids == tuple(puzzle_ids) and (part.lens is not None or not with_lens)
    except (OSError, pa.ArrowException):
        return False
