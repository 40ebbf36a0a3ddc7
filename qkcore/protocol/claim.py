"""A claim beside what was found, and a run that it is looked for in: plain data.

Knows nothing of stores, nor of when a claim holds.
"""

from dataclasses import dataclass, replace

from qkcore.protocol.leads import Head
from qkcore.statistics.holds import Judged

ABSTRACT, POST = "abstract", "author's post"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, on one set or over several."""

    key: str
    text: str
    source: str  # ABSTRACT or POST
    on: str  # the set's short name, or what it was looked for in
    raw: Judged
    fair: Judged
    note: str = ""  # what a reader of the figures should know


@dataclass(frozen=True, slots=True)
class Run:
    """A run whose head has validation puzzles to be chosen on."""

    run_id: str
    name: str  # of its set
    head: Head


def placed(found: Judged, name: str) -> Judged:
    """The same, saying where."""
    if found.lead is None:
        return found
    return replace(found, lead=replace(found.lead, over=f"{found.lead.over}, {name}"))
