"""What a report says of a run's results, a section a function; numbers are those of its store.

All are of the head chosen on validation puzzles, on test puzzles, by the run's measure. A section
that the store has nothing for is left out. Knows nothing of how a report is written.
"""

import pandas as pd

from qkcore.charts.curves import agreement_bars
from qkcore.charts.grids import head_grid
from qkcore.charts.left_over import stability_curve, what_is_left
from qkcore.reports.contents import Section, Table, Text, table_of
from qkcore.reports.reported import Reported
from qkcore.results.answers import exam
from qkcore.results.findings import BOUNDS, choices_reported, layers_without_heads, measures
from qkcore.results.rival_line import MEASURES, rival_line
from qkcore.results.summaries import named_runs
from qkcore.results.verdicts import left_over, parent_run, three_gaps, twin_run, verdict_of
from qkcore.statistics.exams import accuracy_by, agreement
from qkcore.wording import accuracy_text, gap_text, head_name, percent, points


def verdict_section(of: Reported) -> Section | None:
    """The verdict, and what everybody gets."""
    found = verdict_of(of.store, of.run_id)
    if found is None:
        return None
    groups = f"{of.marks['group'].nunique():,} groups of puzzles that share a context"
    return Section(
        "Verdict",
        (
            Text(found.sentence, is_strong=True),
            Text(rival_line(of.store, of.run_id)),
            Text(
                f"{of.head_name} was chosen on validation puzzles, and so were the model's "
                f"offsets, the commonest answer and the surface rule; all are reported on "
                f"{len(of.marks):,} test puzzles of {groups}. Intervals are 95 % and know groups."
            ),
        ),
    )


def left_section(of: Reported) -> Section | None:
    """The chart of the verdict's steps."""
    steps = left_over(of.store, of.run_id)
    if steps.empty:
        return None
    caption = (
        f"How far {of.head_name} is ahead of the best of ever more rivals, from the top down; the "
        "twin, where there is one, is a puzzle set of its own."
    )
    columns = {
        "Step": lambda row: str(row["step"]),
        "Best rival so far": lambda row: f"{row['rival']}, {percent(row['rival_accuracy'])}",
        "Head ahead by, points": lambda row: points(row["left"], row["low"], row["high"]),
    }
    parts = of.figure(what_is_left(steps), caption), table_of(steps, columns)
    return Section("What is left of the gap", parts)


def grid_section(of: Reported) -> Section | None:
    """Every head, and the ten that validation puzzles put first."""
    heads, (low, high) = measures(of.store, of.run_id), BOUNDS[of.measure]
    chance = of.store.chance(of.run_id, "test")
    if chance is None:
        return None
    chart = head_grid(
        heads,
        chance,
        of.head,
        of.measure,
        MEASURES[of.measure].capitalize(),
        int(of.run["n_kv_heads"]),
        layers_without_heads(of.run),
    )
    n_above, n_constant = int(heads["is_above_luck"].sum()), int(heads["constant"].notna().sum())
    top = pd.DataFrame(of.store.selected(of.run_id, 10), columns=["layer", "head"])
    columns = {
        "Best on validation": lambda row: head_name(row["layer"], row["head"]),
        f"Test {MEASURES[of.measure]}": lambda row: accuracy_text(
            row[of.measure], row[low], row[high], row["n"]
        ),
    }
    return Section(
        "Every head",
        (
            of.figure(chart, f"{MEASURES[of.measure].capitalize()} of every head, test puzzles."),
            Text(
                f"{n_above:,} of {len(heads):,} heads are above the luck line, what the best of "
                f"them all gets by guessing in 1 of 20 cases. {n_constant:,} say the same to at "
                "least 98 % of the validation puzzles."
            ),
            table_of(top.merge(heads, on=["layer", "head"], how="left"), columns),
        ),
    )


def who_section(of: Reported) -> Section | None:
    """Who is right when, by steps."""
    known = of.marks.dropna(subset=["steps"])
    if known.empty:
        return None
    names = {
        "both": "both",
        "only head": f"only {of.head_name}",
        "only model": "only the model",
        "neither": "neither",
    }
    caption = (
        f"All test puzzles of that many steps (n = {len(known):,}), in percent, from the left: "
        f"{', '.join(names.values())}; the model as it is."
    )
    chart = agreement_bars(agreement(known, ["steps"]), "steps", names)
    return Section("Who is right when", (of.figure(chart, caption),))


def gaps_section(of: Reported) -> Section | None:
    """The head against the model in three ways, and other ways to choose heads."""
    table, ways = three_gaps(of.store, of.run_id, *of.head), choices_reported(of.store, of.run_id)
    columns = {
        "Comparison": lambda row: str(row["comparison"]),
        "Head": lambda row: percent(row["who_accuracy"]),
        "Model": lambda row: percent(row["than_accuracy"]),
        "Gap": lambda row: gap_text(row["gap"], row["low"], row["high"], row["p"]),
    }
    chosen = {
        "Chosen on validation": lambda row: str(row["rule"]),
        "On test puzzles": lambda row: accuracy_text(
            row["accuracy"], row["low"], row["high"], row["n"]
        ),
        "Gap to the model": lambda row: gap_text(
            row["gap"], row["gap_low"], row["gap_high"], row["p"]
        ),
    }
    parts = table_of(table, columns), Text("Other ways to choose:"), table_of(ways, chosen)
    return Section("Gaps, with intervals", parts)


def rivals_section(of: Reported) -> Section | None:
    """The model and every surface rule on the same puzzles."""
    asked = (of.run_id, "test")
    rules = of.store.surface_accuracy(*asked, measure=of.measure)
    models = [
        of.store.model_accuracy(*asked, measure=of.measure, is_calibrated=is_calibrated).assign(
            rule=name
        )
        for name, is_calibrated in (("the model", False), ("the model, calibrated", True))
    ]
    table = pd.concat([*models, rules], ignore_index=True)
    columns = {
        "Rival": lambda row: str(row["rule"]),
        f"Test {MEASURES[of.measure]}": lambda row: accuracy_text(
            row["accuracy"], row["low"], row["high"], row["n"]
        ),
    }
    best = of.store.best_rule(of.run_id, of.measure)
    said = f'Of the surface rules, validation puzzles choose "{best}".' if best else ""
    return Section("Rivals", (table_of(table, columns), *([Text(said)] if said else [])))


def stability_section(of: Reported) -> Section | None:
    """How sure the choice of the head is."""
    table, facts = of.store.stability(of.run_id), of.store.head_facts(of.run_id)
    if table.empty:
        return None
    ranked = facts.sort_values("chosen_share", ascending=False, kind="stable").head(5)
    columns = {
        "Head": lambda row: head_name(int(row["layer"]), int(row["head"])),
        "Chosen in": lambda row: percent(row["chosen_share"]),
    }
    caption = (
        "What the chosen head gets on test puzzles, whichever it is, by how many validation "
        "puzzles chose it: median and 5th to 95th percentile of 200 draws of groups."
    )
    chart = stability_curve(table, f"Test {MEASURES[of.measure]}")
    told = Text("How often a head is chosen where groups of validation puzzles are drawn anew:")
    parts = of.figure(chart, caption), told, table_of(ranked[ranked["chosen_share"] > 0], columns)
    return Section("How sure the choice is", parts)


def twin_section(of: Reported) -> Section | None:
    """The same head where no surface rule works."""
    sets = named_runs(of.store).set_index("run_id")["set_name"]
    twin, parent = twin_run(of.store, of.run_id), parent_run(of.store, of.run_id)
    if twin is None:
        text = "The store has no run of this model on a balanced twin of this puzzle set."
        if parent is not None:
            text = f"This puzzle set is itself the balanced twin of {sets[parent]} (run {parent})."
        return Section("Balanced twin", (Text(text),))
    measure = of.store.measure(twin)
    marks = exam(of.store, twin, *of.head)
    shares = accuracy_by(marks, [], ["head", "model", "calibrated_model"], measure)
    names = {
        "head": of.head_name,
        "model": "the model",
        "calibrated_model": "the model, calibrated",
    }
    columns = {
        "Who": lambda row: names[row["who"]],
        f"Test {MEASURES[measure]}": lambda row: accuracy_text(
            row["accuracy"], row["low"], row["high"], row["n"]
        ),
    }
    text = f"On {sets[twin]} (run {twin}), where no surface rule works; chance is {{}}."
    chance = percent(of.store.chance(twin, "test") or 0.0)
    table: Table = table_of(shares, columns)
    return Section("Balanced twin", (Text(text.format(chance)), table))
