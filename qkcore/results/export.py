"""A run's tables as files that other programs read: CSV or Parquet.

What a page shows is downloaded there; this is for everything at once.
"""

from pathlib import Path

from pandas.api.types import is_object_dtype

from qkcore.results.reader import StoreError
from qkcore.results.schema import ADDED_TABLES
from qkcore.results.store import ResultStore

FORMATS = ("csv", "parquet")
QUERIES = {
    "run": "select * from store.runs where run_id = $run_id",
    "puzzles": """
        select p.* exclude puzzle_set from store.puzzles p join store.runs using (puzzle_set)
        where run_id = $run_id order by place
        """,
    "scores": """
        select puzzle_id, candidate, list(qk order by layer, head) as qk,
               any_value(logit[candidate + 1]) as logit
        from store.scores join store.logits using (run_id, place)
        where run_id = $run_id
        group by puzzle_id, place, candidate
        order by place, candidate
        """,
    "head_accuracy": """
        select * exclude run_id from store.head_accuracy
        where run_id = $run_id order by split, steps, distractors, layer, head
        """,
    "model_accuracy": """
        select * exclude run_id from store.model_accuracy
        where run_id = $run_id order by split, steps, distractors
        """,
    "surface_accuracy": """
        select * exclude run_id from store.surface_accuracy
        where run_id = $run_id order by rule, split, steps, distractors
        """,
    "luck": """
        select * exclude run_id from store.luck
        where run_id = $run_id order by measure, split, steps, distractors
        """,
    "ablations": """
        select * exclude run_id from store.ablations
        where run_id = $run_id order by kind, chosen_by, k, draw, first_place
        """,
}


def export(store: ResultStore, run_id: str, file_format: str, folder: Path) -> list[Path]:
    """Write one file a table into the folder, made if it does not exist.

    Files of the same name are replaced. In CSV a list (such as the scores of all heads) is written
    as [a, b, ...].

    Raises:
        StoreError: when the store has no such run, or the format is not in `FORMATS`.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import ResultStore, demo_store, export
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[-1]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in export(store, run, "parquet", Path(folder))[:3]]
    ['run.parquet', 'puzzles.parquet', 'scores.parquet']
    """
    known = store.runs()["run_id"].tolist()
    if run_id not in known:
        listed = ", ".join(known) or "none"
        raise StoreError(f"the store has no run {run_id!r}; it has: {listed}")
    if file_format not in FORMATS:
        raise StoreError(f"format {file_format!r} is not known; use {' or '.join(FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, query in QUERIES.items():
        if name in ADDED_TABLES and not store.has_table(name):
            continue  # the file was written before there was such a table
        frame = store.frame(query, run_id=run_id)
        path = folder / f"{name}.{file_format}"
        if file_format == "csv":
            columns = [str(name) for name in frame if is_object_dtype(frame[name])]
            lists = {name: frame[name].map(_as_text) for name in columns}
            frame.assign(**lists).to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        paths.append(path)
    return paths


def _as_text(value: object) -> object:
    """An array as JSON writes it; anything else as it is.

    >>> import numpy as np
    >>> _as_text(np.array([1, 2])), _as_text("true")
    ('[1, 2]', 'true')
    """
    return str(value.tolist()) if hasattr(value, "tolist") else value
