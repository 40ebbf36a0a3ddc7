"""A report says what its store says, needs nothing else, and is refused in one sentence."""

import io
import re
from html import unescape

import duckdb
import pytest
from pypdf import PdfReader

from qkcore import InputError, ResultStore, StoreError, demo_store, write_report
from qkcore.__main__ import main
from qkcore.reports.across import transfer_section
from qkcore.reports.as_html import html_of
from qkcore.reports.as_pdf import pdf_of
from qkcore.reports.contents import Code, Report, Section, Table, Text, figures_of
from qkcore.reports.record import citation_section
from qkcore.reports.reported import Reported
from qkcore.reports.write import report_of
from qkcore.results.findings import comparable_runs, transfers
from qkcore.results.layers import lost_on_the_way
from qkcore.results.verdicts import three_gaps, verdict_of
from qkcore.sharing.licences import credits_in
from qkcore.wording import accuracy_text, gap_text


@pytest.fixture(scope="module")
def store():
    return ResultStore.kept(demo_store())


@pytest.fixture(scope="module")
def run(store):
    return store.runs()["run_id"].iloc[0]


@pytest.fixture(scope="module")
def report(store, run):
    return report_of(store, run, "results.duckdb")


def plain(text):
    return re.sub(r"\s+", " ", text.replace("\xa0", " "))


def test_its_numbers_are_the_store_s(store, run, report):
    page = unescape(html_of(report))
    assert verdict_of(store, run).sentence in page
    layer, head = store.best_head(run)
    for row in three_gaps(store, run, layer, head).to_dict("records"):
        assert gap_text(row["gap"], row["low"], row["high"], row["p"]) in page
    heads = store.head_accuracy(run, "test")
    own = heads[(heads["layer"] == layer) & (heads["head"] == head)].iloc[0]
    assert accuracy_text(*own[["accuracy", "low", "high", "n"]]) in page
    for name in ("puzzle_set_sha256", "model_revision", "qkcore_version"):
        assert store.runs().iloc[0][name] in page


def test_heads_taken_to_other_sets_are_those_of_the_store(store, run, report, planted_path):
    (section,) = (one for one in report.sections if one.title.startswith("Heads taken"))
    table = transfers(store, tuple(comparable_runs(store, run)["run_id"]))
    own = table[table["chosen_on"] == "pararule-plus"]
    told = [accuracy_text(*row) for row in own[["accuracy", "low", "high", "n"]].to_numpy()]
    assert [row[2] for row in section.parts[1].rows] == told
    assert len(told) > 3
    with ResultStore.open(planted_path) as alone:
        marks = three_gaps(alone, "planted-1", 1, 1)
        one = Reported(alone, alone.runs().iloc[0], (1, 1), marks, "accuracy")
        assert transfer_section(one) is None


def test_the_command_writes_figures_alone(run, report, monkeypatch, tmp_path):
    monkeypatch.setattr("qkcore.reports.write.report_of", lambda *_: report)
    line = ["report", "--store", str(demo_store()), "--run", run, "--out", str(tmp_path / "f.html")]
    assert main([*line, "--figures-only"]) == 0
    assert (tmp_path / "f.html").read_text() == html_of(figures_of(report))


def test_figures_alone_are_all_figures_numbered_and_nothing_else(report):
    page = html_of(figures_of(report))
    assert re.findall(r"<figcaption>Figure (\d+)\. ", page) == [str(n) for n in range(1, 10)]
    assert not re.findall("<table|<pre|<p><", page)
    for title in ("Every head", "As puzzles get harder", "Through the layers", "Heads taken"):
        assert f"<h2>{title}" in page


def test_what_is_lost_by_steps_is_marked_where_groups_are_few(store, run, report):
    losses = lost_on_the_way(store, run).dropna(subset=["steps"])
    n_few = int((losses["n_groups"] < 20).sum())
    (section,) = (one for one in report.sections if one.title == "Through the layers")
    (table,) = (part for part in section.parts if isinstance(part, Table))
    assert sum(row[3].endswith("? few groups") for row in table.rows) == n_few > 0
    (last,) = section.parts[-1:]
    assert last.text == "? marks differences of fewer than 20 groups, which intervals need."


def test_its_sql_gives_its_accuracy_without_qkscope(store, run, report):
    (section,) = (one for one in report.sections if one.title == "The same numbers again")
    sql = next(
        part.text for part in section.parts if isinstance(part, Code) and "select" in part.text
    )
    with duckdb.connect(str(demo_store()), read_only=True) as connection:
        found = connection.execute(sql).df().set_index(["layer", "head"])["accuracy"]
    heads = store.head_accuracy(run, "test").set_index(["layer", "head"])["accuracy"]
    assert found[heads.index].to_numpy() == pytest.approx(heads.to_numpy())


def test_its_python_runs(report, monkeypatch, capsys):
    monkeypatch.chdir(demo_store().parent)
    (section,) = (one for one in report.sections if one.title == "The same numbers again")
    code = next(part.text for part in section.parts if isinstance(part, Code))
    exec(code.replace("results.duckdb", demo_store().name), {})
    assert "A surface rule explains it" in capsys.readouterr().out


def test_the_page_holds_no_address_and_no_script(report):
    page = html_of(report)
    assert not re.findall(r"(?i)https?:|//\w|<script|<link|@import|\bsrc=", page)
    assert page.count("<svg role") == 9
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))


def test_a_pdf_has_the_words_and_an_outline(report):
    found = PdfReader(io.BytesIO(pdf_of(report)))
    text = plain(" ".join(page.extract_text() for page in found.pages))
    for section in report.sections:
        assert section.title in text
        for part in section.parts:
            if isinstance(part, Text):
                assert plain(part.text) in text
            if isinstance(part, Table):
                assert all(plain(row[0]) in text for row in part.rows)
    assert [one.title for one in found.outline] == [one.title for one in report.sections]
    assert found.metadata.title == report.title


HOSTILE = '<script>alert(1)</script> & "x" ]]>'


def test_whatever_a_name_says_is_text():
    parts = Text(HOSTILE), Code(HOSTILE), Table((HOSTILE,), ((HOSTILE,),))
    report = Report(HOSTILE, HOSTILE, (Section(HOSTILE, parts),))
    assert "<script" not in html_of(report)
    text = PdfReader(io.BytesIO(pdf_of(report))).pages[0].extract_text()
    assert text.count("<script>alert(1)</script>") >= 6


def test_long_tables_go_on_with_their_titles_on_the_next_page():
    rows = tuple((f"row {n}", "x " * 80) for n in range(90))
    pages = PdfReader(
        io.BytesIO(pdf_of(Report("T", "", (Section("S", (Table(("A", "B"), rows),)),))))
    ).pages
    assert len(pages) > 2
    texts = [page.extract_text() for page in pages]
    assert all(re.search(r"^A\s+B$", text, re.MULTILINE) for text in texts)
    assert sum(len(re.findall(r"row \d+", text)) for text in texts) == 90


def test_a_run_of_every_set_can_be_reported(store, monkeypatch):
    # Charts are made, and not drawn: that takes most of the time, and is the same for all sets.
    drawn = "qkcore.reports.reported.paper_figure"
    monkeypatch.setattr(drawn, lambda chart, *_: f"<svg>{len(chart.to_dict())}</svg>")
    runs = store.runs().drop_duplicates("puzzle_set")  # one of each set, twins among them
    for run_id in runs["run_id"]:
        titles = [section.title for section in report_of(store, run_id, "s").sections]
        assert titles[0] == "Verdict"
        assert titles[-1] == "How to cite"


def test_a_report_thanks_those_whose_puzzles_it_tells_of(store, planted_path):
    thanks = "Thanks to Qiming Bao for development of the PARARULE Plus dataset"
    run = store.runs().iloc[0]
    said = repr(citation_section(run, credits_in(store)))
    assert thanks in said
    with ResultStore.open(planted_path) as other:
        assert credits_in(other) == []


def test_what_cannot_be_written_is_said(store, run, tmp_path):
    with pytest.raises(InputError, match=r"r\.docx: a report is \.html or \.pdf"):
        write_report(store, run, tmp_path / "r.docx")
    with pytest.raises(InputError, match="there is no folder"):
        write_report(store, run, tmp_path / "gone" / "r.html")
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_report(store, run, tmp_path / "taken.html")
    with pytest.raises(StoreError, match="no run 'nobody'; `qkscope runs` lists all"):
        write_report(store, "nobody", tmp_path / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.html"]


def test_the_command_writes_a_file_or_says_one_line(run, tmp_path, capsys):
    line = ["report", "--store", str(demo_store()), "--run", run, "--out"]
    assert main([*line, str(tmp_path / "r.pdf")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'r.pdf'}\n"
    assert (tmp_path / "r.pdf").read_bytes()[:5] == b"%PDF-"
    (tmp_path / "no.duckdb").write_text("no store")
    for words in (
        [*line, str(tmp_path / "r.txt")],
        ["report", "--store", str(tmp_path / "no.duckdb"), "--run", run, "--out", "r.html"],
        [
            "report",
            "--store",
            str(demo_store()),
            "--run",
            "nobody",
            "--out",
            str(tmp_path / "r.html"),
        ],
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.startswith("qkscope report: error: ")
        assert said.count("\n") == 1
