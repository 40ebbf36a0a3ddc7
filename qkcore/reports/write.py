"""A run's report into a file: which run, which format, and what can go wrong with either."""

import os
from collections.abc import Sequence
from pathlib import Path

from qkcore import InputError
from qkcore.reports.across import transfer_section
from qkcore.reports.as_html import html_of
from qkcore.reports.as_pdf import pdf_of
from qkcore.reports.contents import Report, figures_of
from qkcore.reports.difficulty import difficulty_section
from qkcore.reports.findings import (
    gaps_section,
    grid_section,
    left_section,
    rivals_section,
    stability_section,
    twin_section,
    verdict_section,
    who_section,
)
from qkcore.reports.inside import layers_section, usage_section
from qkcore.reports.record import citation_section, code_section, settings_section
from qkcore.reports.reported import Reported, named
from qkcore.results.answers import exam
from qkcore.results.reader import StoreError, no_such_run
from qkcore.results.store import ResultStore
from qkcore.sharing.licences import credits_in

ENDINGS = (".html", ".pdf")
SECTIONS = (  # in this order; one that the store has nothing for is left out
    verdict_section,
    left_section,
    grid_section,
    difficulty_section,
    who_section,
    gaps_section,
    rivals_section,
    stability_section,
    twin_section,
    transfer_section,
    layers_section,
    usage_section,
)


def write_report(
    store: ResultStore,
    run_id: str,
    path: str | Path,
    store_name: str = "results.duckdb",
    figures_only: bool = False,
) -> Path:
    """Write the report of one run; a file of that name is replaced, at once or not at all.

    Args:
        store: that holds the run.
        run_id: of the run.
        path: ends in .html or .pdf.
        store_name: what the Python in the report calls the store.
        figures_only: its figures, numbered, with what they show, as for a paper's appendix.

    Raises:
        StoreError: when the store has no such run, or the run has nothing to report.
        InputError: when the path ends otherwise, or cannot be written.

    >>> import tempfile
    >>> from qkcore import ResultStore, demo_store, write_report
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(store, run, f"{folder}/run.html").read_text().count("<figure>")
    9
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: a report is .html or .pdf; name a file that ends so")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or name another")
    content = report_file(store, run_id, ending, store_name, figures_only)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); name another file or folder"
        ) from None
    return path


def report_file(
    store: ResultStore, run_id: str, ending: str, store_name: str, figures_only: bool = False
) -> bytes:
    """The report as ".html" or ".pdf"; errors are those of `write_report`."""
    report = report_of(store, run_id, store_name)
    if figures_only:
        report = figures_of(report)
    return pdf_of(report) if ending == ".pdf" else html_of(report).encode()


def report_of(
    store: ResultStore, run_id: str, store_name: str, credits: Sequence[str] | None = None
) -> Report:
    """All that there is to say of a run.

    Args:
        store: that holds it.
        run_id: of the run.
        store_name: what the Python in the report calls the store.
        credits: sentences that it must carry for its puzzle sets; None: those of all sets of the
            store, which it may be compared with.

    Raises:
        StoreError: when the store has no such run, or it has no puzzles to choose a head on or to
            report on.
    """
    runs = store.runs()
    found = runs[runs["run_id"] == run_id]
    if found.empty:
        raise no_such_run("the store", run_id, runs["run_id"].tolist())
    run, head = found.iloc[0], store.best_head(run_id)
    marks = None if head is None else exam(store, run_id, *head)
    if head is None or marks is None or marks.empty:
        raise StoreError(
            f"run {run_id!r} has no validation or no test puzzles, so there is nothing to report; "
            "give puzzles of the file both splits and score it again"
        )
    of = Reported(store, run, head, marks, store.measure(run_id))
    sections = [section for make in SECTIONS if (section := make(of)) is not None]
    sections += [
        settings_section(store, run),
        code_section(run, head, store_name),
        citation_section(run, credits_in(store) if credits is None else credits),
    ]
    name = named(store, run)
    about = f"QKScope report of run {run_id}, scored {run['created_at']:%Y-%m-%d}."
    return Report(name, about, tuple(sections))
