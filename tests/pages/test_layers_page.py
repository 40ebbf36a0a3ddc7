"""What the page Layers says of planted layers, of a twin, and of runs that have none."""

import numpy as np
import pandas as pd
import pytest

from pages.main.stored import store_told
from pages.widgets.verdict import few_contexts
from qkcore.puzzles.puzzle import puzzle_set_sha256
from qkcore.results.layers import layer_curves, lost_on_the_way
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text
from tests.pages.test_pages import opened, said
from tests.results.test_verdicts import asked, said_to
from tests.stores import plant_layers, planted_run, publish_parts, write_parts

LAYERS = "pages/results/layers.py"


def twins_store(path, with_lens=("run", "twin")):
    """A set whose lens reads a word from layer 1 on and whose output forgets it, and its twin."""
    sets = {"run": asked(is_twin=False)}
    sets["twin"] = asked(is_twin=True, parent=puzzle_set_sha256(sets["run"]))
    for name, puzzles in reversed(sets.items()):
        rng = np.random.default_rng(len(name))
        qk, logits = said_to(puzzles, "word", seed=1)
        says = np.array(["not" in puzzle.statement for puzzle in puzzles]).astype(int)
        lens = rng.normal(size=(len(puzzles), 3, 2)).astype(np.float32)
        lens[:, 1] += 5 * np.eye(2)[says]
        lens[:, 2] = logits
        run = planted_run(puzzles, run_id=name, puzzle_set=f"{name}-set")
        parts = write_parts(path.with_suffix(f".{name}"), puzzles, qk, logits)
        publish_parts(path, run, puzzles, parts)
        if name in with_lens:
            test = np.array([puzzle.split == "test" for puzzle in puzzles])
            probe = np.where(test[:, None], says[:, None].repeat(3, axis=1), -1)
            plant_layers(path, puzzles, lens, name, probe=probe)
    return path


@pytest.fixture(scope="module")
def twins_path(tmp_path_factory):
    return twins_store(tmp_path_factory.mktemp("twins") / "s.duckdb")


def test_the_first_sentence_says_what_is_lost_with_its_numbers(twins_path, monkeypatch):
    text = said(opened(monkeypatch, twins_path, LAYERS, run="run"))
    with ResultStore.open(twins_path) as store:
        lost = lost_on_the_way(store, "run").iloc[0]
    share = accuracy_text(*lost[["lost", "lost_low", "lost_high", "n"]]).replace("\xa0", " ")
    assert f"**The answer is lost on the way:** {share} of the test puzzles are right" in text
    assert "The lens is above guessing first at layer 1, the probe first at layer 0" in text
    assert "the chosen head, L1 H2, is at layer 1." in text
    assert "more is lost with more steps" in text


def test_the_twin_stands_beside_in_words_and_in_a_chart(twins_path, monkeypatch):
    at = opened(monkeypatch, twins_path, LAYERS, run="run")
    text = said(at)
    assert "balanced twin the lens is above guessing at no layer, the probe at no layer" in text
    assert "**run\\-set, twin**" in text
    charts = at.get("vega_lite_chart")
    assert len(charts) == 3  # the set, the twin, and losses by steps
    assert all(len(chart.proto.alt) > 20 for chart in charts)


def test_the_twins_own_page_names_its_parent(twins_path, monkeypatch):
    at = opened(monkeypatch, twins_path, LAYERS, run="twin")
    assert not at.exception
    assert "**The answer is nowhere readable:**" in said(at)
    assert "itself the balanced twin of run\\-set" in said(at)


def test_a_twin_without_lens_is_named_and_not_drawn(tmp_path, monkeypatch):
    path = twins_store(tmp_path / "s.duckdb", with_lens=("run",))
    at = opened(monkeypatch, path, LAYERS, run="run")
    assert "balanced twin has no lens; score it with `--lens` too" in said(at)
    assert len(at.get("vega_lite_chart")) == 2


def test_steps_and_auc_change_what_is_drawn(twins_path, monkeypatch):
    at = opened(monkeypatch, twins_path, LAYERS, run="run", steps="2")
    with ResultStore.open(twins_path) as store:
        wanted = layer_curves(store, "run", 2)
    shown = at.main.dataframe[0].value
    assert shown["n"].tolist() == wanted["n"].tolist()
    np.testing.assert_allclose(shown["accuracy"], 100 * wanted["accuracy"])
    before = at.get("vega_lite_chart")[0].proto.spec
    at.selectbox(key="show").set_value("AUC").run()
    assert not at.exception
    assert at.get("vega_lite_chart")[0].proto.spec != before
    assert "AUC asks how well puzzles are ordered" in said(at)


def test_a_run_without_lens_says_which_command_adds_it(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path, LAYERS)
    assert not at.exception
    assert "qkscope precompute --model MODEL --puzzles PUZZLES.jsonl --store" in said(at)
    assert "--lens" in said(at)
    assert not at.get("vega_lite_chart")


def test_a_bundles_store_is_named_by_no_path_that_is_gone_tomorrow(planted_path, monkeypatch):
    monkeypatch.setenv("QKSCOPE_STORE", str(planted_path))
    assert store_told() == str(planted_path.resolve())
    monkeypatch.setenv("QKSCOPE_BUNDLE", "shared.zip")
    assert store_told() == "STORE.duckdb"


def test_steps_of_few_contexts_are_named_in_the_caption():
    losses = pd.DataFrame({"steps": [pd.NA, 1, 2, 3], "n_groups": [18, 20, 19, 3]})
    assert "Of 2, 3 steps there are fewer than 20 contexts" in few_contexts(losses)
    assert few_contexts(losses.iloc[:2]) == ""


def test_puzzles_that_do_not_say_their_steps_have_a_table_and_no_curve(tmp_path, monkeypatch):
    from dataclasses import replace

    puzzles = [replace(puzzle, steps=None) for puzzle in asked(is_twin=False)]
    qk, logits = said_to(puzzles, "word", seed=1)
    path = tmp_path / "s.duckdb"
    run = planted_run(puzzles)
    publish_parts(path, run, puzzles, write_parts(tmp_path / "parts", puzzles, qk, logits))
    answer = np.array([puzzle.answer for puzzle in puzzles])
    lens = np.stack([5 * np.eye(2)[answer], logits], axis=1).astype(np.float32)
    plant_layers(path, puzzles, lens)
    at = opened(monkeypatch, path, LAYERS)
    assert not at.exception
    assert "cannot be said: the puzzles do not say how many steps they take" in said(at)
    assert "do not say their steps, so there is no curve" in said(at)
    tables = [table.value for table in at.main.dataframe]
    assert any(
        "lost" in table and len(table) == 1 for table in tables if isinstance(table, pd.DataFrame)
    )
