"""What a report says as puzzles get harder: curves, and the gap at each number of steps.

Gaps that show nothing by themselves are marked: of few groups, or of puzzles with one answer.
"""

from collections.abc import Callable

import altair as alt
import pandas as pd

from qkcore.charts.curves import RULE, difficulty_curves
from qkcore.reports.contents import Part, Section, Text, table_of
from qkcore.reports.reported import Reported
from qkcore.results.rival_line import MEASURES
from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.statistics.exams import DIFFICULTY, accuracy_by, gaps
from qkcore.statistics.verdicts import MARKS
from qkcore.wording import gap_text, percent, points

MARK = MARKS["too few puzzles"]
UNSURE = (
    f"marks gaps that show nothing by themselves and have no p: of fewer than {FEW_GROUPS} groups, "
    "which intervals need, or of puzzles that all have one answer, where a gap is only of who says "
    "that answer more often."
)


def difficulty_section(of: Reported) -> Section | None:
    """Curves by steps and by distractors, and the gap at each."""
    parts: list[Part] = []
    for by in DIFFICULTY:
        known = of.marks.dropna(subset=[by])
        if known.empty or known[by].nunique() < 2:
            continue
        parts += [of.figure(_curves(of, known, by), f"By {by}; test puzzles, n = {len(known):,}.")]
        parts += _gaps_by(of, known, by)
    return Section("As puzzles get harder", tuple(parts)) if parts else None


def _gaps_by(of: Reported, known: pd.DataFrame, by: str) -> list[Part]:
    """The gap at each difficulty; those that say little are marked, and have no p."""
    table = gaps(known, [by], "head", "model", of.measure)
    heads = accuracy_by(known, [by], ["head"], of.measure)
    answers = known.groupby(by)["answer"].value_counts(normalize=True).groupby(level=0)
    table = table.assign(
        accuracy=heads["accuracy"].to_numpy(),
        commonest=[share.index[0][1] for _, share in answers],
        share=[share.iloc[0] for _, share in answers],
    )
    marks = table.apply(gap_mark, axis=1)
    columns = {
        by.capitalize(): _whole_of(by),
        "Head": lambda row: percent(row["accuracy"]),
        "Gap to the model, points": _gap_told,
        "Commonest answer": _commonest_of(of),
        "Puzzles": lambda row: f"{row['n']:,.0f}",
        "Groups": lambda row: f"{row['n_groups']:,.0f}",
    }
    parts: list[Part] = [table_of(table, columns)]
    return [*parts, Text(f"{MARK} {UNSURE}")] if marks.any() else parts


def gap_mark(row: pd.Series) -> str:
    """Why a gap says little: of few groups, or of puzzles with one answer; "" where neither.

    >>> gap_mark(pd.Series({"n_groups": 19, "share": 0.6}))
    'few groups'
    >>> gap_mark(pd.Series({"n_groups": 19, "share": 1.0}))
    'few groups, one answer'
    """
    is_few, is_one = row["n_groups"] < FEW_GROUPS, row["share"] == 1
    return ", ".join(["few groups"] * bool(is_few) + ["one answer"] * bool(is_one))


def _gap_told(row: pd.Series) -> str:
    if why := gap_mark(row):
        return f"{points(row['gap'], row['low'], row['high'])} {MARK} {why}"
    return gap_text(row["gap"], row["low"], row["high"], row["p"]).replace(" points", "", 1)


def _commonest_of(of: Reported) -> Callable[[pd.Series], str]:
    """The answer that most of some puzzles have, and whether saying it beats the head."""
    candidates = of.store.candidates(of.run_id)

    def told(row: pd.Series) -> str:
        which = int(row["commonest"])
        name = f'"{candidates[which]}"' if candidates else f"candidate {which + 1}"
        is_more = of.measure == "accuracy" and row["share"] > row["accuracy"]
        return f"{name}, {percent(row['share'])}{', more than the head' if is_more else ''}"

    return told


def _whole_of(column: str) -> Callable[[pd.Series], str]:
    return lambda row: f"{row[column]:.0f}"


def _curves(of: Reported, known: pd.DataFrame, by: str) -> alt.LayerChart:
    lines = accuracy_by(known, [by], ["head", "model"], of.measure)
    rule = of.store.best_rule(of.run_id, of.measure)
    if rule is not None:
        of_rule = accuracy_by(known, [by], ["rule"], of.measure).assign(who=RULE)
        lines = pd.concat([lines, of_rule], ignore_index=True)
    return difficulty_curves(
        lines.replace({"who": {"head": of.head_name}}),
        of.store.luck_lines(of.run_id, "test", by, measure=of.measure),
        of.store.chance(of.run_id, "test") or 0.0,
        of.head_name,
        by,
        title=MEASURES[of.measure].capitalize(),
        rule=rule,
    )
