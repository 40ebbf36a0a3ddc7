"""What is pushed of a store: a bundle, a report a run, and a data card, as files in a folder.

Texts of puzzles go along only where their set's licence is known to permit it, and counts alone of
a run with raw scores outside of the store. Reports and card are made from the bundle's own store,
so they show no text that it leaves out; what reports say of single puzzles is from raw scores where
these lie now.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qkcore.reports.as_html import html_of
from qkcore.reports.card import data_card
from qkcore.reports.write import report_of
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.sharing.bundle import STORE, Manifest, known_licences, write_bundle
from qkcore.sharing.excerpt import chosen_runs
from qkcore.sharing.hub import HubAddress
from qkcore.sharing.licences import allows_texts, credits_for
from qkcore.sharing.origins import origins
from qkcore.sharing.push import STALE

CARD = "README.md"


def write_published(
    store: Path,
    run_ids: Sequence[str],
    folder: Path,
    address: HubAddress,
    licences: Mapping[str, str],
    with_texts: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Write all that is pushed of these runs.

    Args:
        store: that holds them.
        run_ids: of the runs.
        folder: to make.
        address: where it will be, without a revision.
        licences: by puzzle set, as somebody says.
        with_texts: of all sets, whatever their licence.
        say: told of each run that gets no report, and why.

    Returns:
        The bundle's manifest with its "fingerprint".

    Raises:
        StoreError: when the store cannot be read, or has not these runs.
        BundleError: when a licence is for a set that is not in the bundle.
    """
    run_ids = chosen_runs(store, run_ids)
    known = known_licences(store, licences, run_ids)
    allowed = {name for name, text in known.items() if allows_texts(text)}
    manifest = write_bundle(store, folder, run_ids, with_texts or allowed, licences)
    with ResultStore.open(store) as whole:
        sets = set(manifest["puzzle_sets"])
        credits = credits_for(name for one in sets for name in origins(whole)[one])
    with ResultStore.open(folder / STORE, beside=store) as published:
        reports = _write_reports(published, folder, credits, say)
        card = data_card(published, manifest, address, reports, credits)
    (folder / CARD).write_text(card, encoding="utf-8")
    return manifest


def _write_reports(
    store: ResultStore, folder: Path, credits: Sequence[str], say: Callable[[str], None]
) -> dict[str, str]:
    """A report a run that has something to report; their names in the folder, by run."""
    names = {}
    (folder / STALE).mkdir()
    for run_id in store.runs()["run_id"]:
        try:
            report = report_of(store, run_id, STORE, credits)
        except StoreError as error:  # no validation or test puzzles, or no raw scores
            say(f"no report of run {run_id}: {error}")
            continue
        names[run_id] = STALE + re.sub(r"[^\w.-]+", "-", run_id) + ".html"
        (folder / names[run_id]).write_text(html_of(report), encoding="utf-8")
    return names
