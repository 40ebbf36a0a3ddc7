"""A run of a model in which only layers 1, 5 and 8 of 10 have heads, on the pages."""

import json

import pandas as pd
import pytest

from pages.main.chosen import Chosen, has_gaps
from qkcore.asking.links import Shared, encode, typed_puzzle
from qkcore.attention.load import load_model
from qkcore.scoring.precompute import precompute
from tests.attention.architectures import made
from tests.attention.hybrids import HYBRIDS
from tests.pages import opening
from tests.pages.opening import LIVE, answered
from tests.pages.test_pages import PAGES, opened, said, spec
from tests.scoring.test_precompute import several
from tests.stores import planted_run, planted_store
from tests.tiny import tiny_tokenizer

LAYERS, N_LAYERS = (1, 5, 8), 10
ABSENT = [layer for layer in range(N_LAYERS) if layer not in LAYERS]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The planted head is L5 H2."""
    path = tmp_path_factory.mktemp("stores") / "hybrid.duckdb"
    changes = dict(n_layers=N_LAYERS, head_layers=LAYERS)
    for number, name in enumerate(("planted-set", "other-set")):
        planted_store(
            path, n_groups=60 - 12 * number, run_id=f"planted-{number}", puzzle_set=name, **changes
        )
    return path


@pytest.mark.parametrize("page", PAGES)
def test_every_page_runs_and_names_the_head_by_its_layer(page, path, monkeypatch):
    at = opened(monkeypatch, path, page, run="planted-0")
    assert not at.exception
    assert not at.error
    assert (at.session_state["layer"], at.session_state["head"]) == (5, 2)
    assert "10 layers, 3 of them with 4 heads; 120 puzzles" in said(at)


def test_the_grid_has_empty_rows_for_the_other_layers(path, monkeypatch):
    at = opened(monkeypatch, path, "pages/results/head_grid.py", run="planted-0")
    chart = json.loads(spec(at))
    words = [layer for layer in chart["layer"] if layer["mark"]["type"] == "text"]
    assert [layer["encoding"]["text"] for layer in words] == [{"value": "no heads"}]
    text = said(at)
    assert "the best of 12 heads" in text
    assert "7 of the model's 10 layers have no softmax heads" in text


def test_only_layers_that_have_heads_can_be_picked(path, monkeypatch):
    at = opened(monkeypatch, path, run="planted-0")
    picker = at.sidebar.selectbox(key="layer")
    assert [int(option) for option in picker.options] == list(LAYERS)
    picker.set_value(8).run()
    assert "**L8 H2**, picked by hand" in said(at)


def test_a_link_to_a_layer_without_heads_falls_back_with_a_sentence(path, monkeypatch):
    assert "**L8 H0**" in said(opened(monkeypatch, path, run="planted-0", layer="8", head="0"))
    at = opened(monkeypatch, path, run="planted-0", layer="4", head="2")
    assert "**L5 H2**, chosen on validation puzzles" in said(at)
    assert "1, 5, 8; no other has softmax heads" in at.sidebar.warning[0].value


def test_a_run_without_validation_puzzles_shows_the_first_head_that_there_is(path):

    run = pd.Series({"n_layers": N_LAYERS, "head_layers": list(LAYERS), "n_heads": 4})
    assert "for want of validation" in Chosen(run, 1, 0, None).how
    assert "by hand" in Chosen(run, 5, 0, None).how
    assert has_gaps(LAYERS)
    assert not has_gaps((2, 3, 4))
    assert planted_run([]).head_layers is None


def test_a_puzzle_is_scored_measured_and_drawn_by_the_layers_that_have_heads(tmp_path, monkeypatch):
    folder = tmp_path / "tiny-bamba"
    model_type, config, *_ = HYBRIDS["bamba"]
    made(model_type, config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    store = tmp_path / "s.duckdb"
    run = precompute(load_model(folder), several(12), store, puzzle_set="12", show_progress=False)
    monkeypatch.setenv("QKSCOPE_STORE", str(store))
    monkeypatch.setenv("QKSCOPE_MODELS", str(folder))
    shared = Shared(typed_puzzle("Max is a wumpus.", "Max is a wumpus.", answer=0), str(folder))
    at = answered(opening.opened(LIVE, {"run": run, "puzzle": encode(shared), "layer": "4"}))
    assert not at.exception
    assert not at.error
    grid = next(one.value for one in at.dataframe if "scaled" in one.value)
    assert sorted(set(grid["layer"])) == [1, 4]
    charts = [json.loads(chart.proto.spec) for chart in at.get("vega_lite_chart")]
    assert any('"no heads"' in json.dumps(chart) for chart in charts)
    assert ".of(4, " in " ".join(code.value for code in at.code)
