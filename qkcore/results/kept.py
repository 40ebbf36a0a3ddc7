"""What verdicts rest on, as a store keeps it: written once, when a run is published.

To work it out takes a tenth of a second a run; a page that shows hundreds of runs has none. A row
holds as long as the run's twin is still the run that it names: a twin that comes later, or is left
out of a copy, makes it stale. Rules are not kept, so a verdict is always by today's
(`qkcore.statistics.verdicts`). Knows nothing of how evidence is worked out.
"""

import json
from dataclasses import asdict
from typing import Any, NamedTuple

from qkcore.results.reader import Reader
from qkcore.statistics.evidence import Evidence, Measured, Rival, Twin

RIVALS = ("model", "calibrated_model", "majority", "rule")


class Kept(NamedTuple):
    """One run's row of table evidence."""

    twin_run: str | None  # the run on the twin that is part of it
    evidence: Evidence | None  # None: the run has no validation or no test puzzles


def kept(store: Reader, run_id: str | None = None) -> dict[str, Kept]:
    """What the store keeps, by run: of one run, or of all.

    Nothing is there for runs that were published before there was such a table.
    """
    if not has_table(store):
        return {}
    rows = store.frame(
        """
        select run_id, twin_run, evidence
        from store.evidence
        where $run_id is null or run_id = $run_id
        """,
        run_id=run_id,
    )
    return {
        run: Kept(
            twin if isinstance(twin, str) else None,
            evidence_from(text) if isinstance(text, str) else None,
        )
        for run, twin, text in rows.itertuples(index=False)
    }


def has_table(store: Reader) -> bool:
    """Whether the store has a table of evidence: those of earlier builds have none."""
    found = store.frame(
        "select 1 from duckdb_tables() where database_name = 'store' and table_name = 'evidence'"
    )
    return not found.empty


def text_of(evidence: Evidence) -> str:
    """Evidence as JSON, field by field; `evidence_from` reads it back.

    >>> sure = Measured(0.3, 0.25, 0.35)
    >>> rival = Rival("the model", Measured(0.5, 0.45, 0.55), sure)
    >>> evidence = Evidence("L6 H1", sure, rival, rival, rival, luck=0.56, n=400, n_groups=200)
    >>> evidence_from(text_of(evidence)) == evidence
    True
    """
    return json.dumps(asdict(evidence))


def evidence_from(text: str) -> Evidence:
    """The evidence of which `text_of` made this text."""
    fields: dict[str, Any] = json.loads(text)
    fields["head"] = Measured(**fields["head"])
    for name in RIVALS:
        fields[name] = _rival(fields[name])
    if fields["calibrated_lead"]:
        fields["calibrated_lead"] = Measured(**fields["calibrated_lead"])
    if twin := fields["twin"]:
        twin["head"] = Measured(**twin["head"])
        twin["calibrated_model"] = _rival(twin["calibrated_model"])
        fields["twin"] = Twin(**twin)
    return Evidence(**fields)


def _rival(fields: dict[str, Any] | None) -> Rival | None:
    if fields is None:
        return None
    return Rival(fields["name"], Measured(**fields["accuracy"]), Measured(**fields["lead"]))
