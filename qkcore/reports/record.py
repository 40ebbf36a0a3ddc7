"""What a report says so that somebody else can get its numbers again: settings, code, citation.

Knows nothing of how a report is written.
"""

from collections.abc import Sequence

import pandas as pd

from qkcore import __version__
from qkcore.bundled import APP
from qkcore.reports.contents import Code, Section, Table, Text
from qkcore.results.store import ResultStore
from qkcore.wording import head_name

PAPER = (
    "Tulchinskii et al.: Quantifying Logical Consistency in Transformers via Query-Key Alignment. "
    "EMNLP 2025. arXiv:2502.17017."
)
SQL = """select layer, head, sum(n_right) / sum(n) as accuracy, sum(n) as n
from head_accuracy
where run_id = 'RUN' and split = 'test'
group by layer, head
order by accuracy desc, layer, head;"""
TITLES = {
    "run_id": "Run",
    "model": "Model",
    "model_revision": "Model revision",
    "puzzle_set": "Puzzle set",
    "puzzle_set_sha256": "Puzzle set, SHA-256",
    "twin_of": "Balanced twin of the set, SHA-256",
    "n_puzzles": "Puzzles",
    "n_layers": "Layers",
    "n_heads": "Heads a layer",
    "n_kv_heads": "Kv heads a layer",
    "rope": "Reading",
    "dtype": "Type",
    "template": "Template",
    "scores": "Raw scores kept as",
    "seconds": "Seconds of scoring",
    "created_at": "Scored (UTC)",
    "qkcore_version": "Scored by QKScope",
}


def settings_section(store: ResultStore, run: pd.Series) -> Section:
    """Settings, counts, versions and hashes, as table runs has them."""
    rows = [
        (title, _said(run[name]))
        for name, title in TITLES.items()
        if name in run and not pd.isna(run[name])
    ]
    for split in ("validation", "test"):
        n = int(store.difficulties(run["run_id"], split)["n"].sum())
        rows.append((f"Puzzles for {split}", f"{n:,}"))
    rows.append(("Reported by QKScope", __version__))
    return Section("Settings, counts and hashes", (Table(("What", "Value"), tuple(rows)),))


def _said(value: object) -> str:
    """A value of table runs.

    >>> _said(1800), _said(12.345), _said("pre")
    ('1,800', '12.3', 'pre')
    """
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return value if isinstance(value, str) else f"{value:,}"


def code_section(run: pd.Series, head: tuple[int, int], store_name: str) -> Section:
    """Python that gives the report's numbers, and SQL that counts without QKScope."""
    run_id, quoted = str(run["run_id"]), str(run["run_id"]).replace("'", "''")
    python = f"""from qkcore import ResultStore, left_over, measures, three_gaps, verdict_of

with ResultStore.open({store_name!r}) as store:
    print(verdict_of(store, {run_id!r}).sentence)
    print(left_over(store, {run_id!r}))
    print(measures(store, {run_id!r}))
    print(three_gaps(store, {run_id!r}, {head[0]}, {head[1]}))"""
    sql = SQL.replace("'RUN'", f"'{quoted}'")
    return Section(
        "The same numbers again",
        (
            Text("With QKScope's Python, in the folder of the store:"),
            Code(python),
            Text(f"With DuckDB alone, accuracy of every head such as {head_name(*head)}:"),
            Code(sql),
        ),
    )


def citation_section(run: pd.Series, credits: Sequence[str] = ()) -> Section:
    """Whom to cite and thank, and for what; with CITATION.cff if it lies beside the dashboard."""
    own = (
        f"QKScope {run['qkcore_version']}, run {run['run_id']}, model revision "
        f"{run['model_revision']}."
    )
    path = APP / "CITATION.cff"
    cff = (Code(path.read_text(encoding="utf-8").strip()),) if path.is_file() else ()
    return Section(
        "How to cite",
        (Text(f"The method: {PAPER}"), Text(f"These numbers: {own}"), *map(Text, credits), *cff),
    )
