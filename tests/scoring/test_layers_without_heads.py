"""A model in which only layers 1 and 4 of 5 have heads, from scores to a store and what reads it.

A layer without heads has no row anywhere, and no other layer takes its number.
"""

import io
import json

import duckdb
import numpy as np
import pytest

from qkcore.__main__ import main
from qkcore.attention.load import load_model
from qkcore.results.export import export
from qkcore.results.one_puzzle import grid_frame
from qkcore.results.store import ResultStore
from qkcore.results.yardsticks import yardsticks
from qkcore.scoring.alignment import align
from qkcore.scoring.precompute import precompute
from qkcore.scoring.score import prompts_of, score_puzzle
from qkcore.scoring.worked_example import worked_example
from qkcore.sharing.excerpt import copy_runs
from tests.attention.architectures import made
from tests.attention.hybrids import HYBRIDS
from tests.scoring.test_precompute import several
from tests.tiny import puzzle, tiny_tokenizer

LAYERS, N_LAYERS, N_HEADS = (1, 4), 5, 6
HEADS = [(layer, head) for layer in LAYERS for head in range(N_HEADS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-bamba"
    model_type, config, *_ = HYBRIDS["bamba"]
    made(model_type, config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lm(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def path(lm, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "s.duckdb"
    precompute(lm, several(12), path, puzzle_set="twelve", show_progress=False)
    return path


def test_a_store_says_which_layers_have_heads_and_holds_no_other(path):
    with duckdb.connect(str(path), read_only=True) as connection:
        run = connection.execute("select n_layers, n_heads, head_layers from runs").fetchall()
        assert run == [(N_LAYERS, N_HEADS, list(LAYERS))]
        for table in ("head_accuracy", "head_scores"):
            found = connection.execute(f"select distinct layer, head from {table} order by all")
            assert found.fetchall() == HEADS
        (lengths,) = connection.execute("select list(distinct len(null_mean)) from luck").fetchall()
        assert lengths == ([len(HEADS)],)


def test_a_heads_stored_answers_are_those_of_its_scores(lm, path):
    puzzles = several(12)
    is_right = {}
    for one in puzzles:
        scores = score_puzzle(lm, one)
        for head in HEADS:
            is_right.setdefault(head, []).append(int(scores.of(*head).argmax()) == one.answer)
    with ResultStore.open(path) as store:
        run_id = store.runs()["run_id"].item()
        for split in ("validation", "test"):
            ours = [index for index, one in enumerate(puzzles) if one.split == split]
            table = store.head_accuracy(run_id, split)
            assert list(zip(table["layer"], table["head"], strict=True)) == HEADS
            expected = [sum(is_right[head][index] for index in ours) for head in HEADS]
            assert table["n_right"].tolist() == expected
        best = store.best_head(run_id)
        example = store.worked_example(run_id)
    assert best in HEADS
    assert (example["layer"], example["head"]) == best
    products = np.array(example["query_vectors"].tolist()) @ np.array(example["key_vector"])
    asked = next(one for one in puzzles if one.puzzle_id == example["puzzle_id"])
    np.testing.assert_allclose(products, score_puzzle(lm, asked).of(*best), rtol=1e-4, atol=1e-4)


def test_a_puzzles_grid_and_its_yardsticks_are_of_the_layers_that_have_heads(lm, path):
    with ResultStore.open(path) as store:
        by = yardsticks(store, store.runs()["run_id"].item())
    assert by.typical.shape == (len(LAYERS), N_HEADS)
    assert (by.typical > 0).all()
    grid = grid_frame(score_puzzle(lm, puzzle()), by.typical)
    assert list(zip(grid["layer"], grid["head"], strict=True)) == HEADS


def test_a_layers_products_and_vectors_are_found_under_its_number(lm):
    one = puzzle()
    found, scores = align(lm, one), score_puzzle(lm, one)
    at_key = [found.of(4, 2, candidate)[found.key_at] for candidate in range(2)]
    np.testing.assert_allclose(at_key, scores.of(4, 2), rtol=1e-4)
    example = worked_example(lm, prompts_of(lm, [one]), 4, 2, "pre")
    products = np.array(example.query_vectors) @ np.array(example.key_vector)
    np.testing.assert_allclose(products, scores.of(4, 2), rtol=1e-4)
    with pytest.raises(ValueError, match="not in tuple"):
        scores.of(0, 0)


def test_the_commands_name_heads_by_the_models_own_layers(folder, monkeypatch, capsys):
    typed = "Context: Max is a wumpus.\nStatement: Max is a wumpus.\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(["score", "--model", str(folder), "--json"]) == 0
    heads = json.loads(capsys.readouterr().out)["heads"]
    assert [(head["layer"], head["head"]) for head in heads] == HEADS
    assert main(["check", "--model", str(folder)]) == 0
    assert "layers: 5; 2 of them have softmax heads (1, 4), each 6" in capsys.readouterr().out


def test_an_export_and_a_copy_keep_the_layers(path, tmp_path):
    with ResultStore.open(path) as store:
        run_id = store.runs()["run_id"].item()
        export(store, run_id, "csv", tmp_path)
    assert '"[1, 4]"' in (tmp_path / "run.csv").read_text()
    copy_runs(path, tmp_path / "copy.duckdb", [run_id])
    with ResultStore.open(tmp_path / "copy.duckdb") as copy:
        assert list(copy.runs()["head_layers"].item()) == list(LAYERS)
