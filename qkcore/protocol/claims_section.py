"""What the paper claims, beside what was found, as a section of the report; and in a sentence.

Says how the figures are to be read; judges nothing itself.
"""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from qkcore.protocol.claim import Claim
from qkcore.reports.contents import Section, Text, table_of
from qkcore.reports.record import PAPER
from qkcore.statistics.holds import FAILS, HOLDS, OPEN, Judged
from qkcore.wording import points

RAW = (
    "Raw is the paper's own comparison: the head beside the model's plain answers. Fair is beside "
    "every rival: the model as it is; the model with one offset a candidate, chosen on the "
    "validation puzzles that choose the head; the commonest answer; and on the balanced twin of "
    "the set, where no surface rule works, both models and chance (without a twin: the best "
    "surface rule). Fair holds only if the head is ahead of each of them, and is never kinder than "
    "raw. Its figure is the lead that decides: the smallest of those that do not hold; if there "
    "are none, of those of which it cannot be said; else of all."
)
CHANGES = (
    "Where a change is claimed, the figure is one. The gap widens: the lead at the harder puzzles "
    "less the lead at the easier ones; fair is over each of the models, calibrated or not, here "
    "and on the twin, for a head that ends ahead of every rival. Robust: the head's own accuracy "
    "with distractors less that without; fair asks the same of its lead over each of the models "
    "too, for a head that begins ahead of every rival."
)
ONE_ANSWER = (
    "Nothing holds of puzzles that all have one right answer, nor where always saying one answer "
    "gets as many of these puzzles right as the head: a lead there is of who says that answer more "
    "often. As many puzzles have each answer in a whole set, but not at each number of steps."
)


def claims_section(claims: Sequence[Claim]) -> Section:
    """What the paper claims, beside what was found."""
    table = pd.DataFrame({"claim": list(claims)})
    columns = {
        "Claim": lambda row: f"{row['claim'].text} ({row['claim'].source})",
        "Measured on": lambda row: row["claim"].on,
        "Raw, points": lambda row: _figure(row["claim"].raw),
        "Raw": lambda row: _outcome(row["claim"].raw),
        "Fair, points": lambda row: _figure(row["claim"].fair),
        "Fair": lambda row: _outcome(row["claim"].fair),
    }
    return Section(
        "What the paper claims, and what was found",
        (
            Text(claims_sentence(claims), is_strong=True),
            Text(
                f"The claims are those that the abstract or the author's post confirms ({PAPER}) "
                "Heads were chosen on validation puzzles; figures are of test puzzles, with 95 % "
                "intervals that know groups of puzzles."
            ),
            Text(RAW),
            Text(CHANGES),
            Text(ONE_ANSWER),
            table_of(table, columns),
            *(Text(f"{one.text}. {one.note}") for one in claims if one.note),
        ),
    )


def claims_sentence(claims: Sequence[Claim]) -> str:
    """How many hold, raw and fair.

    >>> claims_sentence([])
    'These sets have no puzzles for any of the claims.'
    """
    if not claims:
        return "These sets have no puzzles for any of the claims."
    told = []
    for name, outcomes in (
        ("raw", Counter(one.raw.outcome for one in claims)),
        ("fair", Counter(one.fair.outcome for one in claims)),
    ):
        holds, fails = outcomes[HOLDS], outcomes[FAILS]
        told.append(
            f"{name} {holds} {'holds' if holds == 1 else 'hold'}, {fails} "
            f"{'does' if fails == 1 else 'do'} not, and {outcomes[OPEN]} cannot be said"
        )
    return f"Of {len(claims)} comparisons, {'; '.join(told)}."


def _figure(one: Judged) -> str:
    if one.lead is None:
        return "none"
    found = points(one.lead.found.value, one.lead.found.low, one.lead.found.high)
    return f"{found}, n = {one.lead.n:,}; over {one.lead.over}"


def _outcome(one: Judged) -> str:
    return f"{one.outcome}: {one.why}" if one.why else one.outcome
