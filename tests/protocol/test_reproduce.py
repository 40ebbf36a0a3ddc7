"""From a model's name to a report: the same again, in the order of its cost, and refused early."""

import json
import re
import shutil
from html import unescape
from types import SimpleNamespace

import duckdb
import pytest
from pypdf import PdfReader

from qkcore import InputError, demo_store
from qkcore.__main__ import main
from qkcore.protocol import frozen
from qkcore.protocol.folder import check_folder
from qkcore.protocol.frozen import the_protocol
from qkcore.protocol.report import report_of
from qkcore.protocol.sets import sets_of
from qkcore.reports.as_html import html_of
from qkcore.results.effects import usage_of
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import three_gaps, verdict_of
from qkcore.wording import points
from tests.protocol.test_sets import published, small

FIGURE = '<svg xmlns="x" width="1in" height="1in" viewBox="0 0 72 72"></svg>'


@pytest.fixture(scope="module")
def public_sets(tmp_path_factory):
    return published(tmp_path_factory.mktemp("public"))


@pytest.fixture(scope="module")
def command(tiny_folder, public_sets):
    return ["reproduce", "--model", str(tiny_folder), "--sets", str(public_sets), "--quick"]


@pytest.fixture(scope="module")
def few():
    """The command, with hardly any puzzles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frozen, "the_protocol", lambda is_quick: small())
        yield


@pytest.fixture(scope="module")
def out(command, few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced") / "out"
    with pytest.MonkeyPatch.context() as patch:  # figures and a run's own report have own tests
        patch.setattr("qkcore.protocol.report.write_report", written_quickly)
        for name in ("qkcore.protocol.report", "qkcore.reports.reported"):
            patch.setattr(f"{name}.paper_figure", lambda *arguments: FIGURE)
        assert main([*command, "--out", str(folder), "--quiet"]) == 0
    return folder


def written_quickly(store, run_id, path, store_name):
    path.write_text(f"{run_id} of {store_name}")
    return path


@pytest.fixture(scope="module")
def summary(out):
    return json.loads((out / "summary.json").read_text())


def test_the_same_command_gives_the_same_bytes_but_for_times(
    command, out, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("qkcore.protocol.report.write_reports", lambda *arguments: [])
    assert main([*command, "--out", str(tmp_path / "again"), "--quiet"]) == 0
    said = capsys.readouterr()
    assert "Ahead: 56 puzzles in 3 runs, about 1 minute" in said.err
    assert "comparisons, raw " in said.out
    first, second = (folder / "summary.json" for folder in (out, tmp_path / "again"))
    without = [re.sub(r'\n  "times": .*', "", path.read_text()) for path in (first, second)]
    assert without[0] == without[1]
    assert first.read_text() != without[0]


def test_a_finished_protocol_scores_nothing_again(command, out, monkeypatch, capsys):
    before = (out / "summary.json").read_bytes()
    monkeypatch.setattr("qkcore.protocol.report.write_reports", lambda *arguments: [])
    assert main([*command, "--out", str(out), "--quiet"]) == 0
    said = capsys.readouterr().err
    assert said.count("holds this run already") == 3
    assert "Ahead:" not in said
    assert "switched off" not in said
    assert (out / "summary.json").read_bytes() == before


def test_by_ray_heads_are_switched_off_as_the_protocol_asks(command, out, tmp_path, monkeypatch):
    """Ray itself is tried in tests/scoring/test_engines.py: here, who is asked for what."""
    copy, asked = tmp_path / "out", []
    shutil.copytree(out, copy)
    with duckdb.connect(str(copy / "results.duckdb")) as store:
        store.execute("delete from ablations")
        of_set = dict(store.execute("select puzzle_set, run_id from runs").fetchall())
    rooms = "qkcore.commands.reproducing"
    monkeypatch.setattr(
        f"{rooms}.precompute_with_ray", lambda *given: of_set[given[3]["puzzle_set"]]
    )
    monkeypatch.setattr(f"{rooms}.ablate_with_ray", lambda *given: asked.append(given))
    monkeypatch.setattr("qkcore.protocol.report.write_reports", lambda *arguments: [])
    assert main([*command, "--out", str(copy), "--quiet", "--engine", "ray"]) == 0
    ((_, puzzles, path, settings),) = asked
    assert {one.split for one in puzzles} == {"validation", "test"}
    assert path == copy / "results.duckdb"
    ablation = small().ablation
    assert settings["kind"] == ablation.kind
    assert (settings["ks"], settings["limit"]) == ([ablation.n_heads], ablation.n_test)
    assert "switched off" not in " ".join(json.loads((copy / "summary.json").read_text())["notes"])


def test_the_summary_s_numbers_are_the_store_s(out, summary):
    with ResultStore.open(out / "results.duckdb") as store:
        for row in summary["sets"]:
            run = row["run"]
            gaps = three_gaps(store, run, *store.best_head(run)).set_index("comparison")
            for key, name in (
                ("gap_raw", "head − model, as in the paper"),
                ("gap_calibrated", "head − calibrated model"),
            ):
                expected = gaps.loc[name, ["gap", "low", "high"]].astype(float).tolist()
                assert row[key] == pytest.approx(expected, abs=1e-5)
            assert row["sentence"] == verdict_of(store, run).sentence
            assert row["sha256"] == store.runs().set_index("run_id")["puzzle_set_sha256"][run]
        usage = {row["set"]: (row["run"], row.get("usage")) for row in summary["sets"]}
        run, said = usage.pop("made-up")
        assert said == usage_of(store, run).sentence
        assert {told for _, told in usage.values()} == {None}
    assert summary["protocol"]["sha256"] == the_protocol().sha256
    assert set(summary["times"]) == {row["run"] for row in summary["sets"]}
    assert [len(row["tested_on"]) for row in summary["transfers"]] == [3, 3, 3]


def test_the_report_says_claims_sets_and_protocol_in_both_forms(out, summary):
    page = unescape((out / "report.html").read_text())
    assert "Does it hold for tiny-qwen3?" in page
    assert "Does the model use it: made-up" in page
    assert "? few groups" in page  # gaps of 8 puzzles have no p
    assert summary["units"].startswith("shares from 0 to 1")
    told = [one["raw"]["gap"] for one in summary["claims"] if "gap" in one["raw"]]
    assert points(*told[0]) in page
    for claim in summary["claims"]:
        assert claim["text"] in page
    for row in summary["sets"]:
        assert row["sentence"] in page
        assert row["sha256"] in page
        assert (out / "runs" / f"{row['run']}.html").is_file()
    assert "one_in = 10" in page
    assert not re.findall(r"(?i)<script|<link|\bsrc=", page)
    words = " ".join(one.extract_text() for one in PdfReader(out / "report.pdf").pages)
    assert "What the paper claims, and what was found" in words


def test_the_report_thanks_those_whose_puzzles_it_tells_of(monkeypatch):
    for name in ("qkcore.protocol.report", "qkcore.reports.reported"):
        monkeypatch.setattr(f"{name}.paper_figure", lambda *arguments: FIGURE)
    with ResultStore.open(demo_store()) as store:
        runs = store.runs()
        run_ids = runs.loc[runs["puzzle_set"] == "pararule-plus", "run_id"].tolist()[:1]
        page = html_of(report_of(store, small(), run_ids, (), ()))
    assert "Thanks to Qiming Bao for development of the PARARULE Plus dataset" in page


def test_another_protocol_s_results_are_refused_before_anything_is_written(
    command, out, few, monkeypatch, capsys
):
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = small(is_quick=False)
    monkeypatch.setattr(frozen, "the_protocol", lambda is_quick: other)
    assert main([*command, "--out", str(out), "--quiet"]) == 2
    assert "those of protocol 1, quick, and this is protocol 1. Nothing was" in (
        capsys.readouterr().err
    )
    (out / "summary.json").rename(out / "kept")  # as after a run that was stopped
    monkeypatch.setattr(frozen, "the_protocol", lambda is_quick: small(n_generated=8))
    assert main([*command, "--out", str(out), "--quiet"]) == 2
    (out / "kept").rename(out / "summary.json")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "24 puzzles of made-up were asked, and these 16 are others" in said
    assert "name another folder with --out" in said
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_another_model_s_results_are_refused(out, few, public_sets):
    sets = sets_of(small(), public_sets).sets
    other = SimpleNamespace(name="other", revision="r", dtype="float32")
    with pytest.raises(InputError, match="they are of model tiny-qwen3, and this is other"):
        check_folder(out, small(), sets, other)
    check_folder(out / "new", small(), sets, other)


def test_show_prints_the_protocol_and_does_nothing(capsys):
    assert main(["reproduce", "--show"]) == 0
    assert capsys.readouterr().out == the_protocol().text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--model is needed, except with --show"),
        (["--model", "M", "--sets", "nowhere", "--out", "o"], "nowhere: there is no such folder"),
        (["--model", "M", "--sets", ".", "--out", "o"], "holds none of the published sets"),
        (["--model", "./M", "--sets", ".", "--out", "o"], "./M is not a folder"),
        (["--model", "M.gguf", "--sets", ".", "--out", "o"], "M.gguf: there is no such file"),
        (
            ["--model", "M", "--sets", ".", "--out", "o", "--workers", "2"],
            "--workers is for --engine ray alone",
        ),
        (
            ["--model", "M", "--sets", ".", "--out", "o", "--engine", "torchrun"],
            "-m qkcore reproduce --engine torchrun",
        ),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(
    words, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
    assert not list(tmp_path.iterdir())
