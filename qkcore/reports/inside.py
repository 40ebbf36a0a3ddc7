"""What a report says of the inside of a model: through its layers, and with heads switched off.

Sections that the store has nothing for are left out, as in `reports/findings`.
"""

import pandas as pd

from qkcore.charts.effects import effect_chart
from qkcore.charts.layers import layer_chart, loss_chart
from qkcore.reports.contents import Part, Section, Text, table_of
from qkcore.reports.difficulty import MARK
from qkcore.reports.reported import Reported
from qkcore.results.effect_words import how_to_read, of_measure
from qkcore.results.effects import BEST, ablation_effects, control_changes, usage_of
from qkcore.results.layers import layer_curves, lost_on_the_way, passage_of
from qkcore.results.rival_line import MEASURES
from qkcore.results.verdicts import twin_run
from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.statistics.passage import beyond_rule_sentence, growth_sentence, outcome, whereabouts
from qkcore.wording import percent, points

CAPTION = (
    "The best head of each layer, chosen on validation puzzles; the lens, what the model would "
    "have answered had it stopped there; a probe at the statement's end beside its control, fitted "
    "on shuffled answers; and the model. Lens and model have one offset a candidate."
)

FEW = f"marks differences of fewer than {FEW_GROUPS} groups, which intervals need."


def layers_section(of: Reported) -> Section | None:
    """Where the answer can be read, and what is lost on the way to the output."""
    passage = passage_of(of.store, of.run_id)
    if passage is None:
        return None
    measure, asked = MEASURES[of.measure], (of.run_id, "test")
    luck = of.store.luck(*asked, measure=of.measure)["q95"].iloc[0]
    chart = layer_chart(
        layer_curves(of.store, of.run_id),
        of.store.chance(*asked) or 0.0,
        float(luck),
        title=measure.capitalize(),
    )
    said = [outcome(passage)[1]]
    if of.store.best_rule(of.run_id, of.measure) is not None:
        said.append(beyond_rule_sentence(passage))
    said.append(whereabouts(passage))
    if passage.loss is not None and passage.is_middle_readable:
        said.append(growth_sentence(passage.growth))
    twin = twin_run(of.store, of.run_id)
    of_twin = None if twin is None else passage_of(of.store, twin)
    if of_twin is not None:
        there = whereabouts(of_twin, with_head=False)
        said.append(f"On the balanced twin {there[0].lower()}{there[1:]}")
    losses = _losses(of) if passage.is_middle_readable else []
    return Section("Through the layers", (Text(" ".join(said)), of.figure(chart, CAPTION), *losses))


def _losses(of: Reported) -> list[Part]:
    """Lost and found by steps, where steps are known."""
    losses = lost_on_the_way(of.store, of.run_id)
    known = losses.dropna(subset=["steps"]) if "steps" in losses else losses
    if known.empty:
        return []
    caption = (
        f"Right at layer {losses['layer'].iloc[0]:.0f}, whose lens is the best before the last on "
        "validation puzzles, and wrong at the output; and the other way round. Grey: what two "
        "would lose that are as often right, but independently. Bars are 95 % intervals."
    )
    columns = {
        "Steps": lambda row: f"{row['steps']:.0f}",
        "Right in the middle, wrong at the output": lambda row: percent(row["lost"]),
        "The other way round": lambda row: percent(row["found"]),
        "Lost less found, points": _net_told,
        "Groups": lambda row: f"{row['n_groups']:,.0f}",
    }
    parts: list[Part] = [of.figure(loss_chart(losses), caption), table_of(known, columns)]
    is_few = (known["n_groups"] < FEW_GROUPS).any()
    return [*parts, Text(f"{MARK} {FEW}")] if is_few else parts


def _net_told(row: pd.Series) -> str:
    told = points(row["net"], row["net_low"], row["net_high"])
    return f"{told} {MARK} few groups" if row["n_groups"] < FEW_GROUPS else told


def usage_section(of: Reported) -> Section | None:
    """Whether the model uses the head: heads switched off beside control heads."""
    found = usage_of(of.store, of.run_id)
    if found is None:
        return None
    table = ablation_effects(of.store, of.run_id)
    measure = "auc" if (table["measure"] == "auc").any() else "calibrated_accuracy"
    controls = control_changes(of.store, of.run_id, measure)
    own, controls, title = of_measure(table, controls, measure)
    figure = of.figure(effect_chart(own, controls, title), how_to_read(own, "mean", BEST))
    return Section("Does the model use it?", (Text(found.sentence), figure))
