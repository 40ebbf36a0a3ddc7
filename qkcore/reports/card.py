"""The data card of results on the Hugging Face hub: README.md, as its readers and the hub read it.

Says of each run what was found, with n and intervals; of each puzzle set its licence; how to open
all that, and whom to cite. Knows nothing of how it gets there.
"""

import json
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from qkcore import __version__
from qkcore.reports.record import PAPER
from qkcore.reports.reported import named
from qkcore.results.beside import RawScoresAbsentError
from qkcore.results.rival_line import MEASURES
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import evidence_of
from qkcore.sharing.bundle import MANIFEST, STORE, Manifest
from qkcore.sharing.hub import HubAddress
from qkcore.sharing.licences import OUR_LICENCE
from qkcore.statistics.evidence import Evidence, Measured
from qkcore.statistics.verdicts import verdict
from qkcore.wording import accuracy_text, points

NOT_HERE = "-"


def data_card(
    store: ResultStore,
    manifest: Manifest,
    address: HubAddress,
    reports: Mapping[str, str],
    credits: Sequence[str] = (),
) -> str:
    """README.md of a data set that holds a bundle.

    Args:
        store: the bundle's.
        manifest: the bundle's.
        address: of the data set, without a revision.
        reports: name of a run's report in the data set, by run.
        credits: sentences that must stand in what is published of the puzzle sets.
    """
    runs = store.runs()
    found = {run_id: _found(store, run_id) for run_id in runs["run_id"]}
    body = [
        f"# {_plain(_title(store, runs))}",
        "Which attention heads of a language model get a logic puzzle right, and are they more "
        f"right than the model itself? Results of QKScope {__version__}, by the QK-score "
        "([arXiv 2502.17017](https://arxiv.org/abs/2502.17017)). A head is chosen on validation "
        "puzzles and reported on test puzzles; intervals are 95 % and know groups of puzzles that "
        "share a context.",
        "## Verdicts",
        *(_verdict(store, run, found[run["run_id"]], reports) for _, run in runs.iterrows()),
        "## Numbers",
        _table(
            [
                "Model and set",
                "Chosen head",
                "The head on test puzzles",
                "Ahead of the calibrated model",
                "Ahead of the model as it is",
            ],
            [_numbers(store, run, found[run["run_id"]]) for _, run in runs.iterrows()],
        ),
        "Differences are in points.",
        *_counts_alone(store, runs, manifest),
        "## Puzzle sets and their licences",
        _table(
            ["Puzzle set", "Puzzles", "Texts", "Licence"],
            [
                [
                    name,
                    f"{one['n_puzzles']:,}",
                    "here" if one["has_texts"] else "left out",
                    one["licence"],
                ]
                for name, one in manifest["puzzle_sets"].items()
            ],
        ),
        *credits,
        "## Open it",
        _opening(address, manifest["fingerprint"]),
        "## How to cite",
        f"The method: {PAPER} These numbers: this data set at its revision, and QKScope "
        f"{__version__}. {_reported(runs, reports)}",
    ]
    return f"{_front_matter(store, runs, manifest)}\n" + "\n\n".join(body) + "\n"


def _reported(runs: pd.DataFrame, reports: Mapping[str, str]) -> str:
    """Which runs have a report, for a sentence."""
    without = [run_id for run_id in runs["run_id"] if run_id not in reports]
    if not without:
        return "Of each run its report has model revision, hashes and settings."
    here = "" if len(without) == len(runs) else "Reports have model revision, hashes and settings. "
    return (
        f"{here}There is no report of {', '.join(f'`{one}`' for one in without)}: raw scores, or "
        "validation or test puzzles, were not there when this was made."
    )


def _title(store: ResultStore, runs: pd.DataFrame) -> str:
    if len(runs) == 1:
        return f"QK-scores: {named(store, runs.iloc[0])}"
    n_models, n_sets = runs["model"].nunique(), runs["puzzle_set"].nunique()
    models = "1 model" if n_models == 1 else f"{n_models} models"
    sets = "1 puzzle set" if n_sets == 1 else f"{n_sets} puzzle sets"
    return f"QK-scores: {models} on {sets}"


def _front_matter(store: ResultStore, runs: pd.DataFrame, manifest: Manifest) -> str:
    """What the hub reads; texts are JSON's, which YAML reads too."""
    licences = {one["licence"] for one in manifest["puzzle_sets"].values()}
    lines = {
        "pretty_name": _title(store, runs),
        "license": "apache-2.0" if licences == {OUR_LICENCE} else "other",
        "viewer": False,  # a DuckDB file is no table of the hub's
        "tags": ["qkscope", "attention", "interpretability", "logical-reasoning"],
    }
    return "\n".join(
        ["---", *(f"{name}: {json.dumps(value)}" for name, value in lines.items()), "---"]
    )


def _found(store: ResultStore, run_id: str) -> Evidence | str:
    """What the verdict on a run rests on, or why there is none."""
    try:
        evidence = evidence_of(store, run_id)
    except RawScoresAbsentError:
        return "No verdict: it is not kept, and the run's raw scores are not there to get it from."
    return evidence or "No verdict: it has no validation or no test puzzles."


def _verdict(
    store: ResultStore, run: pd.Series, found: Evidence | str, reports: Mapping[str, str]
) -> str:
    sentence = found if isinstance(found, str) else verdict(found).sentence
    report = reports.get(run["run_id"])
    linked = f" ([report]({report}))" if report else ""
    return f"- **{_plain(named(store, run))}**: {_plain(sentence)}{linked}"


def _numbers(store: ResultStore, run: pd.Series, found: Evidence | str) -> list[str]:
    if isinstance(found, str):
        return [named(store, run), *[NOT_HERE] * 4]
    measure, own = store.measure(run["run_id"]), found.head
    accuracy = accuracy_text(own.value, own.low, own.high, found.n)
    if measure != "accuracy":
        accuracy += f", {MEASURES[measure]}"
    leads = (found.calibrated_model.lead, found.model.lead)
    return [named(store, run), found.head_name, accuracy, *map(_points, leads)]


def _points(lead: Measured) -> str:
    return points(lead.value, lead.low, lead.high)


def _counts_alone(store: ResultStore, runs: pd.DataFrame, manifest: Manifest) -> list[str]:
    """Of which runs there are no raw scores here, and what that means."""
    without = [one["run_id"] for one in manifest["runs"] if not one["has_scores"]]
    if not without:
        return []
    names = [_plain(named(store, run)) for _, run in runs.iterrows() if run["run_id"] in without]
    return [
        f"Counts alone are here, without raw scores, of {'; '.join(names)}. What a dashboard shows "
        "of them is whole where it is counted, such as the head grid; what needs the answers to "
        "single puzzles says that it does."
    ]


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _opening(address: HubAddress, fingerprint: str) -> str:
    return f"""In a dashboard, at a revision (the list of commits has them):

    QKSCOPE_BUNDLE={address}@REVISION qkscope app

or whatever the newest is, as long as it has this fingerprint:

    QKSCOPE_BUNDLE={address} QKSCOPE_BUNDLE_SHA256={fingerprint} qkscope app

`{STORE}` is a DuckDB file that any DuckDB reads; `{MANIFEST}` says what is in it. In Python:

    from huggingface_hub import hf_hub_download
    from qkcore import ResultStore

    path = hf_hub_download({address.name!r}, {STORE!r}, repo_type="dataset")
    with ResultStore.open(path) as store:
        print(store.runs())"""


def _plain(text: str) -> str:
    r"""A text that Markdown does not read: names come from whoever scored.

    >>> _plain("a|b <i>_c_")
    'a\\|b \\<i\\>\\_c\\_'
    """
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
