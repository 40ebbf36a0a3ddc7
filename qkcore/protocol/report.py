"""The report of a protocol: claims first, then every set, difficulty, transfer, and how to repeat.

One HTML file and a PDF of the same; beside them a report of each run. Sections of single runs are
those of `reports/findings` and `reports/inside`. Reads the store, computes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from qkcore import InputError
from qkcore.charts.grids import transfer_matrix
from qkcore.charts.paper import paper_figure
from qkcore.protocol.claim import Claim
from qkcore.protocol.claims_section import claims_section
from qkcore.protocol.frozen import Protocol
from qkcore.protocol.summary import with_heads
from qkcore.reports.as_html import html_of
from qkcore.reports.as_pdf import pdf_of
from qkcore.reports.contents import Code, Figure, Report, Section, Table, Text, table_of
from qkcore.reports.difficulty import difficulty_section
from qkcore.reports.findings import left_section
from qkcore.reports.inside import layers_section, usage_section
from qkcore.reports.reported import FIGURE_WIDTH, Reported
from qkcore.reports.write import write_report
from qkcore.results.answers import exam
from qkcore.results.findings import transfers
from qkcore.results.rival_line import rival_line
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs, story, summaries
from qkcore.results.verdicts import evidence_of, verdict_of
from qkcore.sharing.licences import credits_in
from qkcore.wording import accuracy_text, head_name, percent, points


def write_reports(
    store: ResultStore,
    protocol: Protocol,
    run_ids: Sequence[str],
    claims: Sequence[Claim],
    notes: Sequence[str],
    out: Path,
) -> list[Path]:
    """report.html, report.pdf, and a report a run in the folder `runs`.

    Raises:
        InputError: when something cannot be written.
    """
    report = report_of(store, protocol, run_ids, claims, notes)
    paths = [out / "report.html", out / "report.pdf"]
    try:
        (out / "runs").mkdir(exist_ok=True)
        for path, content in zip(paths, (html_of(report).encode(), pdf_of(report)), strict=True):
            beside = path.with_name(f".{path.name}")
            beside.write_bytes(content)
            beside.replace(path)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror})") from None
    for run_id in with_heads(store, run_ids):
        paths.append(write_report(store, run_id, out / _of_run(run_id), "results.duckdb"))
    return paths


def _of_run(run_id: str) -> str:
    return f"runs/{run_id}.html"


def report_of(
    store: ResultStore,
    protocol: Protocol,
    run_ids: Sequence[str],
    claims: Sequence[Claim],
    notes: Sequence[str],
) -> Report:
    """The report as data."""
    runs = named_runs(store).set_index("run_id").loc[list(run_ids)]
    model = str(runs["model_name"].iloc[0])
    reported = with_heads(store, run_ids)
    return Report(
        f"Does it hold for {model}?",
        f"QKScope {protocol.name}: does what is claimed of heads that score logic puzzles by "
        f"query-key products hold for {runs['model'].iloc[0]}?",
        (
            claims_section(claims),
            _sets(store, reported, notes),
            *_difficulty(store, reported, runs),
            *_transfer(store, reported),
            *_inside(store, reported, runs),
            *(_run(store, run_id, str(runs.loc[run_id, "set_name"])) for run_id in reported),
            _asked(protocol, runs, credits_in(store)),
        ),
    )


def _sets(store: ResultStore, reported: Sequence[str], notes: Sequence[str]) -> Section:
    """What was found of each set, every set in a line, and the story of them all."""
    title, said = "Every set", [Text(one) for one in notes]
    table = summaries(store)
    table = table[table["run_id"].isin(reported)].set_index("run_id")
    if table.empty:
        return Section(title, tuple(said))
    table = table.loc[list(reported)].reset_index()
    columns = {
        "Set": lambda row: str(row["set_name"]),
        "Chosen head": lambda row: str(row["head_name"]),
        "Head": lambda row: accuracy_text(
            row["head_accuracy"], row["low"], row["high"], int(row["n"])
        ),
        "Model": lambda row: _model(store, str(row["run_id"])),
        "Calibrated": lambda row: percent(row["calibrated_accuracy"]),
        "Best trivial rival": lambda row: f"{row['rival']}, {percent(row['rival_accuracy'])}",
        "Verdict": lambda row: str(row["verdict"]),
    }
    said.append(Text(" ".join(story(table))))
    return Section(title, (*said, table_of(table, columns), _three(store, table)))


def _model(store: ResultStore, run_id: str) -> str:
    evidence = evidence_of(store, run_id)
    return "" if evidence is None else percent(evidence.model.accuracy.value)


def _three(store: ResultStore, table: pd.DataFrame) -> Table:
    """The gap raw, calibrated and on the balanced twin."""
    rows = []
    for run_id, name in zip(table["run_id"], table["set_name"], strict=True):
        evidence = evidence_of(store, run_id)
        if evidence is None:
            continue
        twin = evidence.twin.calibrated_model.lead if evidence.twin else None
        told = [
            "no twin" if one is None else points(one.value, one.low, one.high)
            for one in (evidence.model.lead, evidence.calibrated_model.lead, twin)
        ]
        rows.append((str(name), *told))
    titles = ("Gap, points", "Raw", "To the calibrated model", "The same on the balanced twin")
    return Table(titles, tuple(rows))


def _difficulty(store: ResultStore, reported: Sequence[str], runs: pd.DataFrame) -> list[Section]:
    """Curves by steps and distractors, a section a set that is no twin."""
    found = []
    for run_id in reported:
        section = difficulty_section(_of(store, run_id))
        if section is not None and not isinstance(runs.loc[run_id, "twin_of"], str):
            name = str(runs.loc[run_id, "set_name"])
            found.append(replace(section, title=f"As puzzles get harder: {name}"))
    return found


def _of(store: ResultStore, run_id: str) -> Reported:
    runs, head = store.runs(), store.best_head(run_id)
    if head is None:
        raise AssertionError(f"run {run_id} has no head, and was to be left out")
    row = runs[runs["run_id"] == run_id].iloc[0]
    return Reported(store, row, head, exam(store, run_id, *head), store.measure(run_id))


def _transfer(store: ResultStore, reported: Sequence[str]) -> list[Section]:
    """Heads chosen on one set, tested on every other."""
    if len(reported) < 2:
        return []
    table = transfers(store, tuple(reported))
    chance = store.chance(reported[0], "test") or 0.0
    caption = "The head that each set's validation puzzles choose, on every set's test puzzles."
    figure = paper_figure(transfer_matrix(table, chance), None, "", "", FIGURE_WIDTH)
    columns = {
        "Chosen on": lambda row: str(row["chosen_on"]),
        "Head": lambda row: head_name(int(row["layer"]), int(row["head"])),
        "Tested on": lambda row: str(row["tested_on"]),
        "Accuracy": lambda row: accuracy_text(
            row["accuracy"], row["low"], row["high"], int(row["n"])
        ),
    }
    return [Section("From set to set", (Figure(figure, caption), table_of(table, columns)))]


def _inside(store: ResultStore, reported: Sequence[str], runs: pd.DataFrame) -> list[Section]:
    """Through the layers, and with the head switched off, where the protocol asks for it."""
    found = []
    for run_id in reported:
        of, name = _of(store, run_id), str(runs.loc[run_id, "set_name"])
        for section in (layers_section(of), usage_section(of)):
            if section is not None:
                found.append(replace(section, title=f"{section.title}: {name}".replace("?:", ":")))
    return found


def _run(store: ResultStore, run_id: str, name: str) -> Section:
    """One run: its verdict, and what each rival leaves of its gap."""
    found, left = verdict_of(store, run_id), left_section(_of(store, run_id))
    said = "There are no test puzzles, so there is no verdict." if found is None else found.sentence
    parts = (Text(said, is_strong=True), Text(rival_line(store, run_id)))
    tables = () if left is None else left.parts
    return Section(name, (*parts, *tables, Text(f"All of this run: {_of_run(run_id)}.")))


def _asked(protocol: Protocol, runs: pd.DataFrame, credits: Sequence[str]) -> Section:
    """The protocol, hashes, and thanks: to get the same again."""
    rows = [
        (
            str(row["puzzle_set"]),
            str(row["puzzle_set_sha256"]),
            f"{row['n_puzzles']:,}",
            str(run_id),
        )
        for run_id, row in runs.iterrows()
    ]
    first = runs.iloc[0]
    quick = " --quick" if protocol.is_quick else ""
    about = (
        f"Model {first['model']}, revision {first['model_revision']}, {first['dtype']}; QKScope "
        f"{first['qkcore_version']}; {protocol.name}, SHA-256 {protocol.sha256}."
    )
    command = f"qkscope reproduce --model MODEL --sets FOLDER --out FOLDER{quick}"
    return Section(
        "What was asked, and how to get it again",
        (
            Text(about),
            Table(("Set", "SHA-256", "Puzzles", "Run"), tuple(rows)),
            Code(command),
            *map(Text, credits),
            Text("The protocol:"),
            Code(protocol.text),
        ),
    )
