"""Raw scores as Parquet files beside the store: what reads them, and what says they are gone."""

import shutil

import duckdb
import numpy as np
import pandas as pd
import pytest

from qkcore.reports.published import CARD, write_published
from qkcore.results import counting
from qkcore.results.answers import exam
from qkcore.results.beside import RawScoresAbsentError, scores_folder
from qkcore.results.export import export
from qkcore.results.kept import kept
from qkcore.results.publish import collect, complete, publish
from qkcore.results.raw import all_scores, head_scores
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.results.summaries import NOT_YET, summaries
from qkcore.results.verdicts import verdict_of
from qkcore.sharing.bundle import STORE, said_of, write_bundle
from qkcore.sharing.hub import hub_address
from tests.messy import HEADS, N_HEADS, N_LAYERS, messy_puzzles, messy_scores
from tests.same_tables import assert_same_tables
from tests.stores import planted_run, write_parts

PUZZLES = messy_puzzles(150)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """By width, a store that holds scores and one that has them beside it."""
    folder = tmp_path_factory.mktemp("beside")
    qk, logits = messy_scores(PUZZLES)
    parts = write_parts(folder / "parts", PUZZLES, np.clip(qk, -999, 999), logits)
    found = {}
    for width in ("float32", "float16"):
        run = planted_run(PUZZLES, n_layers=N_LAYERS, n_heads=N_HEADS, scores=width)
        answers = collect(run, PUZZLES, parts)
        if width == "float16":
            answers, _ = counting.halved(answers)
        found[width] = [folder / f"{width}-{kind}.duckdb" for kind in ("inside", "beside")]
        for path in found[width]:
            publish(path, run, PUZZLES, answers, is_beside=path is found[width][1])
    return found


@pytest.fixture
def beside(stores, tmp_path):
    """A copy of a store that has its scores beside it, and of them."""
    path = tmp_path / "results.duckdb"
    shutil.copyfile(stores["float32"][1], path)
    shutil.copytree(scores_folder(stores["float32"][1], "x").parent, f"{path}.scores")
    return path


@pytest.mark.parametrize("width", ["float32", "float16"])
def test_files_hold_the_scores_and_the_store_all_else(stores, width):
    inside, outside = stores[width]
    assert_same_tables(inside, outside, but="head_scores")
    some = [HEADS[4], HEADS[0], (9, 0)]  # of the last there is no layer
    with ResultStore.open(inside) as one, ResultStore.open(outside) as other:
        assert not len(other.arrays("select run_id from store.head_scores")["run_id"])
        of_some = (head_scores(store, "planted-1", some) for store in (one, other))
        np.testing.assert_array_equal(*of_some)
        np.testing.assert_array_equal(*(all_scores(store, "planted-1") for store in (one, other)))
        asked = ("planted-1", *HEADS[0])
        pd.testing.assert_frame_equal(exam(one, *asked), exam(other, *asked))
        assert head_scores(other, "no such run", some).shape == (0, 3, 2)


@pytest.mark.parametrize("width", ["float32", "float16"])
def test_duckdb_reads_the_files_as_they_are(stores, width):
    inside, outside = stores[width]
    files = scores_folder(outside, "planted-1") / "*.parquet"
    rows = duckdb.sql(
        f"""
        select layer, head, list(score::float)
        from (select layer, head, first_place, unnest(qk) as score from '{files}')
        group by all order by layer, head
        """
    ).fetchall()
    assert [row[:2] for row in rows] == HEADS
    with ResultStore.open(inside) as store:
        expected = all_scores(store, "planted-1").reshape(len(HEADS), -1)
    np.testing.assert_array_equal([row[2] for row in rows], expected)


def test_export_is_the_same_with_scores_beside_the_store(stores, tmp_path):
    inside, outside = stores["float32"]
    for path, folder in ((inside, "one"), (outside, "other")):
        with ResultStore.open(path) as store:
            export(store, "planted-1", "csv", tmp_path / folder)
    one, other = (pd.read_csv(tmp_path / name / "scores.csv") for name in ("one", "other"))
    pd.testing.assert_frame_equal(one, other)


def test_a_bundle_ships_counts_alone_and_says_what_it_cannot_show(beside, tmp_path):
    write_bundle(beside, tmp_path / "shared")
    path = tmp_path / "shared" / STORE
    with ResultStore.open(beside) as whole, ResultStore.open(path) as store:
        assert kept(store) == kept(whole)  # the verdict needs no raw scores
        assert summaries(store).equals(summaries(whole))
        asked = ("planted-1", "test")
        assert store.head_accuracy(*asked).equals(whole.head_accuracy(*asked))
        for ask in (
            lambda: exam(store, "planted-1", 0, 0),
            lambda: all_scores(store, "planted-1"),
            lambda: export(store, "planted-1", "csv", tmp_path / "exported"),
        ):
            with pytest.raises(StoreError, match=r"results\.duckdb\.scores/planted-1 beside it"):
                ask()
    assert complete(path) == []


def test_what_is_pushed_has_counts_alone_and_says_so_with_or_without_the_files(beside, tmp_path):
    address = hub_address("hf://datasets/ann/results")
    for name in ("with", "without"):
        if name == "without":
            shutil.rmtree(f"{beside}.scores")
        folder, notes = tmp_path / name, []
        manifest = write_published(beside, ["planted-1"], folder, address, {}, say=notes.append)
        assert [one["has_scores"] for one in manifest["runs"]] == [False]
        assert any("planted-1, counts alone" in line for line in said_of(manifest))
        has_report = (folder / "reports" / "planted-1.html").is_file()
        assert has_report == (name == "with")
        assert ["no report of run planted-1" in note for note in notes] == [True] * (not has_report)
        card = (folder / CARD).read_text()
        assert ("There is no report of `planted-1`: raw scores" in card) == (name == "without")
        assert ("Of each run its report has model revision" in card) == (name == "with")
        assert "Counts alone are here, without raw scores, of planted" in card
        with ResultStore.open(folder / STORE) as store:
            found = verdict_of(store, "planted-1")
        assert found.sentence in card.replace("\\", "")
    with duckdb.connect(str(beside)) as connection:
        connection.execute("delete from evidence")
    write_published(beside, ["planted-1"], tmp_path / "less", address, {})
    assert "No verdict: it is not kept, and" in (tmp_path / "less" / CARD).read_text()


def test_an_export_that_cannot_be_whole_leaves_nothing(beside, tmp_path):
    shutil.rmtree(f"{beside}.scores")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "run.csv").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with ResultStore.open(beside) as store:
        for folder in ("new", "kept"):
            with pytest.raises(RawScoresAbsentError):
                export(store, "planted-1", "csv", tmp_path / folder)
        with pytest.raises(
            StoreError, match=r"results\.duckdb is a file, and tables go into a folder"
        ):
            export(store, "planted-1", "csv", beside / "in")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "kept" / "run.csv").read_text() == "mine"


def test_missing_files_do_not_stop_other_runs_and_damaged_ones_are_named(beside):
    folder = scores_folder(beside, "planted-1")
    (folder / "layer-001.parquet").write_bytes(b"PAR1 cut short")
    with ResultStore.open(beside) as store:
        assert len(head_scores(store, "planted-1", [(0, 1)])) == len(PUZZLES)
        with pytest.raises(RawScoresAbsentError, match=r"layer-001.parquet is damaged"):
            head_scores(store, "planted-1", [(1, 0)])
    shutil.rmtree(folder)
    with duckdb.connect(str(beside)) as connection:
        connection.execute("delete from evidence")
    run = planted_run(PUZZLES, run_id="another", n_layers=N_LAYERS, n_heads=N_HEADS)
    answers = counting.answers_of(PUZZLES, *messy_scores(PUZZLES), N_HEADS)
    publish(beside, run, PUZZLES, answers)
    with ResultStore.open(beside) as store:
        assert list(kept(store)) == ["another"]
        verdicts = summaries(store).set_index("run_id")["verdict"]
    assert verdicts["planted-1"] == NOT_YET


def test_a_run_has_its_scores_in_one_place(beside, monkeypatch):
    answers = counting.answers_of(PUZZLES, *messy_scores(PUZZLES), N_HEADS)
    run = planted_run(PUZZLES, n_layers=N_LAYERS, n_heads=N_HEADS)
    publish(beside, run, PUZZLES, answers)
    assert [path.name for path in beside.parent.iterdir()] == [beside.name]  # no folder is left
    with monkeypatch.context() as patch:
        patch.setattr(counting, "luck", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(beside, run, PUZZLES, answers, is_beside=True)
    assert [path.name for path in beside.parent.iterdir()] == [beside.name]
    publish(beside, run, PUZZLES, answers, is_beside=True)
    (killed := scores_folder(beside, ".gone.1.tmp")).mkdir()
    publish(beside, run, PUZZLES, answers, is_beside=True)
    assert not killed.exists()
    with ResultStore.open(beside) as store:
        assert len(exam(store, "planted-1", 0, 0))
