"""A run's tables as files that other programs read: CSV or Parquet.

What a page shows is downloaded there; this is for everything at once.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype

from qkcore.results.raw import all_scores, is_beside, model_logits, puzzle_rows
from qkcore.results.reader import StoreError, no_such_run
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

LAYER_QUERIES = {  # of a run that was scored with lens
    "lens": """
        select puzzle_id, layer, candidate, logit
        from (
            select layer, first_place + (i - 1) // n_candidates as place,
                   (i - 1) % n_candidates as candidate, logit
            from (
                select layer, first_place, n_candidates, unnest(logit) as logit,
                       generate_subscripts(logit, 1) as i
                from store.lens join store.runs using (run_id)
                where run_id = $run_id
            )
        )
        join (
            select puzzle_id, place from store.puzzles join store.runs using (puzzle_set)
            where run_id = $run_id
        ) using (place)
        where not isnan(logit)
        order by place, layer, candidate
        """,
    "probes": "select * exclude run_id from store.probes where run_id = $run_id order by layer",
}


def export(store: ResultStore, run_id: str, file_format: str, folder: Path) -> list[Path]:
    """Write one file a table into the folder, made if it does not exist.

    Lens and probes too, of a run that has them.

    Files of the same name are replaced; nothing is left where a table cannot be had. In CSV a list
    (such as the scores of all heads) is written as [a, b, ...].

    Raises:
        StoreError: when the store has no such run, its raw scores are in files that are not there,
            the format is not in `FORMATS`, or a file is where the folder should be.

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
        raise no_such_run("the store", run_id, known)
    if file_format not in FORMATS:
        raise StoreError(f"format {file_format!r} is not known; use {' or '.join(FORMATS)}")
    _check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as writing:
        written = list(_written(store, run_id, file_format, Path(writing)))
        folder.mkdir(exist_ok=True)
        return [path.replace(folder / path.name) for path in written]


def _check_folder(folder: Path) -> None:
    for above in (folder, *folder.parents):
        if above.exists() and not above.is_dir():
            raise StoreError(f"{above} is a file, and tables go into a folder; name another")


def _written(store: ResultStore, run_id: str, file_format: str, folder: Path) -> Iterator[Path]:
    """Write a run's tables, one after the other."""
    queries = QUERIES | (LAYER_QUERIES if store.has_layers(run_id) else {})
    for name, query in queries.items():
        if name in ADDED_TABLES and not store.has_table(name):
            continue  # the file was written before there was such a table
        frame = store.frame(query, run_id=run_id)
        if name == "scores" and is_beside(store, run_id):
            frame = _scores_beside(store, run_id)
        path = folder / f"{name}.{file_format}"
        if file_format == "csv":
            columns = [str(name) for name in frame if is_object_dtype(frame[name])]
            lists = {name: frame[name].map(_as_text) for name in columns}
            frame.assign(**lists).to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        yield path


def _scores_beside(store: ResultStore, run_id: str) -> pd.DataFrame:
    """What the query of scores gives, of a run that keeps them in files beside the store."""
    scores, logits = all_scores(store, run_id), model_logits(store, run_id)
    by_puzzle = scores.reshape(-1, *scores.shape[2:])  # (head, puzzle, candidate)
    puzzle, candidate = np.nonzero(~np.isnan(logits))
    return pd.DataFrame(
        {
            "puzzle_id": puzzle_rows(store, run_id)["puzzle_id"].to_numpy()[puzzle],
            "candidate": candidate,
            "qk": list(by_puzzle[:, puzzle, candidate].T),
            "logit": logits[puzzle, candidate],
        }
    )


def _as_text(value: object) -> object:
    """An array as JSON writes it; anything else as it is.

    >>> import numpy as np
    >>> _as_text(np.array([1, 2])), _as_text("true")
    ('[1, 2]', 'true')
    """
    return str(value.tolist()) if hasattr(value, "tolist") else value
