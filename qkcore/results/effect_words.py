"""What is said beside the chart of heads that are switched off: its axis, and how to read it.

For a page and a report alike. Knows nothing of how the chart is drawn.
"""

import pandas as pd

from qkcore.results.effects import BEST, NAMED
from qkcore.statistics.effects import MEASURES

INSTEAD = {
    "mean": "its mean over the tokens of validation puzzles takes its place",
    "zero": "nothing takes its place",
    "resample": "its output at tokens of other puzzles, drawn at random, takes its place",
    "knock-out": "only its look from the answer's place at the statement's end is cut",
}
WHOSE = {BEST: "the best on validation puzzles", NAMED: "named by hand"}


def of_measure(
    effects: pd.DataFrame, controls: pd.DataFrame, measure: str
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """What `effect_chart` draws of one measure; changes of accuracies are in points.

    Args:
        effects: as `ablation_effects` gives them.
        controls: as `control_changes` gives them for the measure.
        measure: a name of `statistics.effects.MEASURES`.

    Returns:
        The effects of the measure, the controls, and the axis's title.

    >>> effects = pd.DataFrame({"measure": ["accuracy", "auc"], "change": [-0.02, -0.01]})
    >>> own, _, title = of_measure(effects, pd.DataFrame({"change": [0.0]}), "accuracy")
    >>> own["change"].tolist(), title
    ([-2.0], 'Change of accuracy, points')
    """
    own = effects[effects["measure"] == measure].drop(columns="measure")
    title = f"Change of {MEASURES[measure]}"
    if "accuracy" not in measure:
        return own, controls, title
    scaled = [one for one in map(str, own) if one.startswith(("change", "control_"))]
    own = own.assign(**{name: 100 * own[name] for name in scaled})
    return own, controls.assign(change=100 * controls["change"]), f"{title}, points"


def how_to_read(own: pd.DataFrame, kind: str, heads_of: str) -> str:
    """The caption of `effect_chart`.

    Args:
        own: the effects of one measure: k, n_controls, n, n_groups.
        kind: how heads were switched off, a name of `INSTEAD`,
        heads_of: and whose heads, a name of `WHOSE`.
    """
    first = own.iloc[0]
    draws = ", ".join(
        f"{n} of {k} {'head' if k == 1 else 'heads'}"
        for k, n in zip(own["k"], own["n_controls"], strict=True)
    )
    return (
        f"Diamonds: the heads ({WHOSE[heads_of]}) switched off, with 95 % interval; each grey tick "
        f"is a draw of as many random heads of the same layers ({draws}), the "
        "grey bar their 5th to 95th percentile. Left of zero the model does worse. Where a head is "
        f"off, {INSTEAD[kind]}. {first['n']:,} test puzzles in {first['n_groups']:,} contexts."
    )
