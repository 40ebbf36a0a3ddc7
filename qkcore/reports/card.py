"""The data card of results on the Hugging Face hub: README.md, as its readers and the hub read it.

Says of each run what was found, with n and intervals; of each puzzle set its licence; how to open
all that, and whom to cite. Knows nothing of how it gets there.
"""

import json
import re

import pandas as pd

from qkcore import __version__
from qkcore.reports.record import PAPER
from qkcore.reports.reported import named
from qkcore.results.findings import BOUNDS
from qkcore.results.rival_line import MEASURES
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import three_gaps, verdict_of
from qkcore.sharing.bundle import MANIFEST, STORE, Manifest
from qkcore.sharing.hub import HubAddress
from qkcore.sharing.licences import OUR_LICENCE
from qkcore.wording import accuracy_text, head_name, points

NOT_HERE = "-"


def data_card(
    store: ResultStore, manifest: Manifest, address: HubAddress, reports: dict[str, str]
) -> str:
    """README.md of a data set that holds a bundle.

    Args:
        store: the bundle's.
        manifest: the bundle's.
        address: of the data set, without a revision.
        reports: name of a run's report in the data set, by run.
    """
    runs = store.runs()
    body = [
        f"# {_plain(_title(store, runs))}",
        "Which attention heads of a language model get a logic puzzle right, and are they more "
        f"right than the model itself? Results of QKScope {__version__}, by the QK-score "
        "([arXiv 2502.17017](https://arxiv.org/abs/2502.17017)). A head is chosen on validation "
        "puzzles and reported on test puzzles; intervals are 95 % and know groups of puzzles that "
        "share a context.",
        "## Verdicts",
        *(_verdict(store, run, reports) for _, run in runs.iterrows()),
        "## Numbers",
        _table(
            [
                "Model and set",
                "Chosen head",
                "The head on test puzzles",
                "Ahead of the calibrated model",
                "Ahead of the model as it is",
            ],
            [_numbers(store, run) for _, run in runs.iterrows()],
        ),
        "Differences are in points.",
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
        "## Open it",
        _opening(address, manifest["fingerprint"]),
        "## How to cite",
        f"The method: {PAPER} These numbers: this data set at its revision, and QKScope "
        f"{__version__}. Of each run its report has model revision, hashes and settings.",
    ]
    return f"{_front_matter(store, runs, manifest)}\n" + "\n\n".join(body) + "\n"


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


def _verdict(store: ResultStore, run: pd.Series, reports: dict[str, str]) -> str:
    found = verdict_of(store, run["run_id"])
    sentence = "No verdict: it has no validation or no test puzzles."
    if found is not None:
        sentence = found.sentence
    report = reports.get(run["run_id"])
    linked = f" ([report]({report}))" if report else ""
    return f"- **{_plain(named(store, run))}**: {_plain(sentence)}{linked}"


def _numbers(store: ResultStore, run: pd.Series) -> list[str]:
    run_id, head = run["run_id"], store.best_head(run["run_id"])
    if head is None:
        return [named(store, run), *[NOT_HERE] * 4]
    heads = store.head_accuracy(run_id, "test")
    own = heads[(heads["layer"] == head[0]) & (heads["head"] == head[1])]
    ways = three_gaps(store, run_id, *head)
    if own.empty or ways.empty:
        return [named(store, run), head_name(*head), *[NOT_HERE] * 3]
    measure = store.measure(run_id)
    accuracy = accuracy_text(*own[[measure, *BOUNDS[measure], "n"]].iloc[0])
    if measure != "accuracy":
        accuracy += f", {MEASURES[measure]}"
    told = [points(*row) for row in ways[["gap", "low", "high"]].itertuples(index=False)]
    return [named(store, run), head_name(*head), accuracy, *told[:2]]


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
