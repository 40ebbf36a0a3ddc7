"""A protocol's results on one page: `summary.json`, the same bytes each time but for key "times".

Read from the store. Every figure is a share, rounded to five decimals, and every gap a difference
of shares: 0.258 is 25.8 points. Knows nothing of how runs came about.
"""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qkcore import InputError, __version__
from qkcore.protocol.claim import Claim
from qkcore.protocol.frozen import Protocol
from qkcore.protocol.sets import PuzzleSet
from qkcore.results.effects import usage_of
from qkcore.results.findings import transfers
from qkcore.results.layers import passage_of
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import evidence_of
from qkcore.statistics.evidence import Evidence, Measured
from qkcore.statistics.holds import Judged
from qkcore.statistics.passage import outcome
from qkcore.statistics.verdicts import verdict
from qkcore.wording import head_name

UNITS = "shares from 0 to 1, and differences of shares: a gap of 0.258 is 25.8 points"
PACKAGES = ("torch", "transformers", "numpy", "scipy", "duckdb")
DIGITS = 5


def summary_of(
    store: ResultStore,
    protocol: Protocol,
    sets: Sequence[PuzzleSet],
    run_ids: Sequence[str],
    claims: Sequence[Claim],
    notes: Sequence[str],
) -> dict[str, Any]:
    """All of the page: plain values, with "times" apart.

    Args:
        store: that holds the runs.
        protocol: that was carried out.
        sets: of the protocol, as they were found.
        run_ids: the run of each.
        claims: from `claims_of`.
        notes: what a reader should know of sets and of what was left out.
    """
    runs = store.runs().set_index("run_id").loc[list(run_ids)]
    first = runs.iloc[0]
    return {
        "protocol": {
            "version": protocol.version,
            "is_quick": protocol.is_quick,
            "sha256": protocol.sha256,
        },
        "units": UNITS,
        "versions": _versions(),
        "model": {
            "name": first["model"],
            "revision": first["model_revision"],
            "dtype": first["dtype"],
            "n_layers": int(first["n_layers"]),
            "n_heads": int(first["n_heads"]),
            "n_kv_heads": int(first["n_kv_heads"]),
        },
        "notes": list(notes),
        "sets": [_set(store, one, run_id) for one, run_id in zip(sets, run_ids, strict=True)],
        "claims": [_claim(one) for one in claims],
        "transfers": _transfers(store, run_ids),
        "times": {
            run_id: {
                "seconds": round(float(row["seconds"]), 1),
                "scored": f"{row['created_at']:%Y-%m-%d %H:%M:%S}",
            }
            for run_id, row in runs.iterrows()
        },
    }


def _versions() -> dict[str, str]:
    found = {"qkscope": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _set(store: ResultStore, one: PuzzleSet, run_id: str) -> dict[str, Any]:
    """One set's line."""
    row: dict[str, Any] = {"set": one.name, "kind": one.kind, "sha256": one.sha256, "run": run_id}
    for split in ("validation", "test"):
        row[f"n_{split}"] = sum(puzzle.split == split for puzzle in one.puzzles)
    evidence = evidence_of(store, run_id)
    if evidence is None:
        return row | {"verdict": None}
    row |= {"n_groups": evidence.n_groups, "measure": store.measure(run_id)}
    row |= _numbers(evidence)
    found = verdict(evidence)
    row |= {"verdict": found.name, "sentence": found.sentence}
    passage, usage = passage_of(store, run_id), usage_of(store, run_id)
    row |= {} if passage is None else {"layers": outcome(passage)[1]}
    return row | ({} if usage is None else {"usage": usage.sentence})


def _numbers(evidence: Evidence) -> dict[str, Any]:
    """Accuracies, and the gap raw, calibrated and on the balanced twin."""
    found = {
        "head": evidence.head_name,
        "head_accuracy": _ends(evidence.head),
        "model_accuracy": _ends(evidence.model.accuracy),
        "calibrated_model_accuracy": _ends(evidence.calibrated_model.accuracy),
        "luck_line": round(evidence.luck, DIGITS),
        "gap_raw": _ends(evidence.model.lead),
        "gap_calibrated": _ends(evidence.calibrated_model.lead),
    }
    if evidence.rule:
        found["rule"] = evidence.rule.name.strip('"')
        found["rule_accuracy"] = _ends(evidence.rule.accuracy)
    if evidence.twin:
        found["head_accuracy_on_twin"] = _ends(evidence.twin.head)
        found["gap_balanced"] = _ends(evidence.twin.calibrated_model.lead)
    return found


def _ends(found: Measured) -> list[float]:
    """Value, low, high."""
    return [round(one, DIGITS) for one in (found.value, found.low, found.high)]


def _claim(claim: Claim) -> dict[str, Any]:
    row: dict[str, Any] = {
        "claim": claim.key,
        "text": claim.text,
        "source": claim.source,
        "on": claim.on,
    }
    row |= {"raw": _judged(claim.raw), "fair": _judged(claim.fair)}
    return row | ({"note": claim.note} if claim.note else {})


def _judged(one: Judged) -> dict[str, Any]:
    row: dict[str, Any] = {"outcome": one.outcome}
    if one.lead is not None:
        row |= {"gap": _ends(one.lead.found), "over": one.lead.over}
        row |= {"n": one.lead.n, "n_groups": one.lead.n_groups}
    return row | ({"why": one.why} if one.why else {})


def _transfers(store: ResultStore, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """A line a set: its head's accuracy, low and high on every set."""
    reported = with_heads(store, run_ids)
    if not reported:
        return []
    table = transfers(store, tuple(reported))
    rows = []
    for name, own in table.groupby("chosen_on", sort=False):
        first = own.iloc[0]
        told = {
            str(row["tested_on"]): _ends(Measured(row["accuracy"], row["low"], row["high"]))
            for row in own.to_dict("records")
        }
        head = head_name(int(first["layer"]), int(first["head"]))
        rows.append({"chosen_on": name, "head": head, "tested_on": told})
    return rows


def with_heads(store: ResultStore, run_ids: Sequence[str]) -> list[str]:
    """Those of the runs that have validation puzzles to choose a head on."""
    return [run_id for run_id in run_ids if store.best_head(run_id) is not None]


def written(summary: dict[str, Any]) -> str:
    """The page as JSON, a line a set, claim and pair; keys in their order.

    >>> print(written({"sets": [{"set": "a"}, {"set": "b"}], "model": {"name": "m"}}), end="")
    {
      "sets": [
        {"set": "a"},
        {"set": "b"}
      ],
      "model": {"name": "m"}
    }
    """
    lines = []
    for key, value in summary.items():
        if isinstance(value, list) and value:
            inside = ",\n".join(f"    {_line(one)}" for one in value)
            lines.append(f"  {_line(key)}: [\n{inside}\n  ]")
        else:
            lines.append(f"  {_line(key)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Put it into a file, whole or not at all.

    Raises:
        InputError: when it cannot be written.
    """
    beside = path.with_name(f".{path.name}")
    try:
        beside.write_text(written(summary), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
