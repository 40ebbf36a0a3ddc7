"""Does the model use it? On Head vs. model, with heads switched off and before that."""

import io
import json

import pandas as pd
import pytest

from qkcore.results.effects import ablation_effects, usage_of
from qkcore.results.raw import model_logits
from qkcore.results.store import ResultStore
from tests.ablated import ablated_store, plant
from tests.pages.test_pages import opened, said
from tests.stores import PLANTED

PAGE = "pages/results/head_vs_model.py"
RUN = "planted-1"


@pytest.fixture(scope="module")
def ablated_path(tmp_path_factory):
    """A run whose model uses the planted head; other heads were named, and nothing took theirs."""
    path = ablated_store(tmp_path_factory.mktemp("usage") / "used.duckdb")
    with ResultStore.open(path) as store:
        plain = model_logits(store, RUN)[None].repeat(4, axis=0)
    plant(path, RUN, plain, [(PLANTED,)] + [((1, 0),)] * 3, kind="zero")
    plant(path, RUN, plain, [((2, 2),)] + [((2, 1),)] * 3, chosen_by="named")
    return path


def chart_of(at):
    """The chart of the effect: its titles and rows."""
    (chart,) = (one for one in at.get("vega_lite_chart") if "random heads" in one.proto.alt)
    return json.loads(chart.proto.spec)


def test_the_verdict_stands_first_with_its_numbers(ablated_path, monkeypatch):
    at = opened(monkeypatch, ablated_path, PAGE)
    assert not at.exception
    with ResultStore.open(ablated_path) as store:
        sentence = usage_of(store, RUN).sentence
    what, _, why = sentence.partition(": ")
    assert f"**{what}:** W{why[1:]}".replace("\xa0", " ") in said(at)
    assert "Does the model use it?" in [one.value for one in at.header]
    assert "Change of AUC" in json.dumps(chart_of(at))
    assert "its mean over the tokens of validation puzzles" in said(at)


def test_another_measure_other_heads_and_another_way_are_in_the_link(ablated_path, monkeypatch):
    at = opened(monkeypatch, ablated_path, PAGE, effect="accuracy", off_by="zero")
    assert not at.exception
    assert "Change of accuracy, points" in json.dumps(chart_of(at))
    assert "nothing takes its place" in said(at)
    assert "**Readable but not used:**" in said(at)
    assert "effect=accuracy" in at.sidebar.code[0].value
    at = opened(monkeypatch, ablated_path, PAGE, heads_off="named")
    assert "named by hand" in said(at)
    assert "L1 H2, chosen on validation puzzles, is not among them" in said(at)
    at = opened(monkeypatch, ablated_path, PAGE, off_by="<b>")
    assert not at.exception
    assert any("is not there" in one.value for one in at.warning)


def test_the_table_and_its_download_hold_every_measure(ablated_path, monkeypatch):
    at = opened(monkeypatch, ablated_path, PAGE)
    with ResultStore.open(ablated_path) as store:
        expected = ablation_effects(store, RUN)
    (table,) = (one.value for one in at.dataframe if "control_median" in one.value)
    assert table["measure"].tolist() == expected["measure"].tolist()
    assert table["change"].tolist() == pytest.approx(expected["change"].tolist())
    assert pd.read_csv(io.StringIO(expected.to_csv(index=False))).shape == expected.shape


def test_before_any_head_is_switched_off_the_command_is_there(planted_path, monkeypatch):
    at = opened(monkeypatch, planted_path, PAGE)
    assert not at.exception
    assert any("Nobody has switched heads" in one.value for one in at.info)
    (command,) = (one.value for one in at.main.code if "ablate" in one.value)
    assert command.startswith("qkscope ablate --model planted --puzzles planted-set.jsonl --store ")
    assert command.endswith("--heads chosen")
