"""A run's raw scores as Parquet files beside its store: one folder a run, one file a layer.

So a store can hold counts alone, and be handed on without its many raw scores. A run's folder is
there as a whole or not at all. DuckDB and others read the files as they are: a row group a head,
and in a row the scores of 256 puzzles, as in table head_scores. Knows nothing of tables of a store.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qkcore.results.reader import StoreError


class RawScoresAbsentError(StoreError):
    """Raw scores are asked for that lie in files which are not there."""


def scores_folder(store: Path, run_id: str) -> Path:
    """Where the raw scores of a run lie.

    >>> print(scores_folder(Path("results.duckdb"), "a-run"))
    results.duckdb.scores/a-run
    """
    return store.with_name(store.name + ".scores") / run_id


def write_beside(store: Path, run_id: str, layers: Iterable[pa.Table]) -> None:
    """Write a run's files; those of before are replaced when all are there.

    Args:
        store: beside which they go.
        run_id: of the run.
        layers: rows of table head_scores, as `counting.head_scores` gives them.

    Raises:
        OSError: when they cannot be written.
    """
    folder = scores_folder(store, run_id)
    coming = folder.with_name(f".{run_id}.{os.getpid()}.tmp")
    coming.mkdir(parents=True)
    try:
        for rows in layers:
            path = coming / _file_name(rows["layer"][0].as_py())
            n_a_head = len(rows) // len(rows["head"].unique())
            pq.write_table(
                _floats(rows), path, row_group_size=n_a_head, compression="NONE",
                use_dictionary=False,
            )  # fmt: skip
        remove_beside(store, run_id)
        os.replace(coming, folder)
    finally:
        shutil.rmtree(coming, ignore_errors=True)


def remove_beside(store: Path, run_id: str) -> None:
    """Take a run's files away, if there are any."""
    folder = scores_folder(store, run_id)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # it is not there, or holds others' files
        folder.parent.rmdir()


def remove_half_written(store: Path) -> None:
    """Take away what writers left that were killed; to be called by the only one there is."""
    for leftover in scores_folder(store, "any").parent.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def read_beside(store: Path, run_id: str, layer: int, heads: Sequence[int]) -> list[np.ndarray]:
    """Of each head of a layer its (puzzle * candidate) float32 scores.

    Args:
        store: beside which they lie.
        run_id: of the run.
        layer: the model's number; one without heads has no file, and gives empty arrays.
        heads: in the order asked.

    Raises:
        RawScoresAbsentError: when the run has no files there, or they cannot be read.
    """
    folder = scores_folder(store, run_id)
    if not folder.is_dir():
        raise RawScoresAbsentError(
            f"This needs the raw scores of run {run_id}, which are kept outside of the store, in a "
            f"folder {folder.parent.name}/{folder.name} beside it that is not there: copy it from "
            "where the run was scored."
        )
    path = folder / _file_name(layer)
    if not path.exists():
        return [np.zeros(0, dtype=np.float32) for _ in heads]
    try:
        with pq.ParquetFile(path) as file:
            return [_of_head(file, head) for head in heads]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RawScoresAbsentError(
            f"{folder.parent.name}/{folder.name}/{path.name} is damaged "
            f"({str(error).splitlines()[0]}); copy it again from where the run was scored."
        ) from None


def _file_name(layer: int) -> str:
    return f"layer-{layer:03d}.parquet"


def _of_head(file: pq.ParquetFile, head: int) -> np.ndarray:
    if not 0 <= head < file.num_row_groups:
        return np.zeros(0, dtype=np.float32)
    lists = file.read_row_group(head, columns=["qk"])["qk"].combine_chunks()
    values: np.ndarray = lists.flatten().to_numpy().astype(np.float32)
    return values


def _floats(rows: pa.Table) -> pa.Table:
    """The rows with numbers of either width in one column, qk."""
    if "qk" in rows.column_names:
        return rows
    bits = rows["qk_half"].combine_chunks()
    values = pa.array(bits.flatten().to_numpy().view(np.float16))
    lists = pa.ListArray.from_arrays(bits.offsets, values)
    return rows.drop_columns(["qk_half"]).append_column("qk", lists)
