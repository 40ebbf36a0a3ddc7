import json

import numpy as np
import pandas as pd
import pytest

from qkcore.__main__ import main
from qkcore.results.export import QUERIES, export
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from tests.stores import planted_puzzles, planted_scores


@pytest.mark.parametrize(
    ("file_format", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)]
)
def test_exported_scores_are_those_that_went_in(file_format, read, planted_path, tmp_path):
    with ResultStore.open(planted_path) as store:
        paths = export(store, "planted-1", file_format, tmp_path / "out")
    assert [path.name for path in paths] == [f"{name}.{file_format}" for name in QUERIES]
    scores = read(tmp_path / "out" / f"scores.{file_format}")
    puzzles = planted_puzzles()
    qk, logits = planted_scores(puzzles)
    assert scores["puzzle_id"].tolist() == [
        puzzle.puzzle_id for puzzle in puzzles for _ in range(2)
    ]
    vectors = scores["qk"].map(json.loads if file_format == "csv" else list)
    np.testing.assert_allclose(
        np.stack(vectors.to_list()), qk.transpose(0, 2, 1).reshape(-1, 12), rtol=1e-5
    )
    np.testing.assert_allclose(scores["logit"], logits.ravel())


def test_counts_of_the_export_add_up_to_the_puzzles(planted_path, tmp_path):
    with ResultStore.open(planted_path) as store:
        export(store, "planted-1", "csv", tmp_path)
    heads = pd.read_csv(tmp_path / "head_accuracy.csv")
    assert (heads.groupby(["layer", "head"])["n"].sum() == len(planted_puzzles())).all()


def test_an_unknown_run_is_refused_with_the_runs_there_are(planted_path, tmp_path):
    with (
        ResultStore.open(planted_path) as store,
        pytest.raises(StoreError, match="no run 'x'; it has planted-1"),
    ):
        export(store, "x", "csv", tmp_path)


def test_the_command_prints_the_files_and_refuses_in_one_line(planted_path, tmp_path, capsys):
    line = ["export", "--store", str(planted_path), "--out", str(tmp_path / "new")]
    assert main([*line, "--run", "planted-1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(QUERIES)
    assert main([*line, "--run", "gone"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
