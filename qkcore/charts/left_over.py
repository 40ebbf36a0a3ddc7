"""What is left of a gap, and how sure the choice of a head is: tidy frame in, Altair chart out.

What all charts share is in `theme`.
"""

import altair as alt
import pandas as pd

from qkcore.charts.theme import GREY, print_words, title_lines
from qkcore.wording import percent, signed_tenths, tenths

ROW = 40  # pixels


def what_is_left(steps: pd.DataFrame) -> alt.LayerChart:
    """The gap to the model, and what each rival leaves of it, from the top down.

    Args:
        steps: as `left_over` gives them: step, rival, left, low, high, rival_accuracy; in order.

    >>> from qkcore import ResultStore, demo_store, left_over, what_is_left
    >>> store = ResultStore.kept(demo_store())
    >>> steps = left_over(store, store.runs()["run_id"].iloc[0])
    >>> type(what_is_left(steps)).__name__
    'LayerChart'
    """
    frame = steps.assign(
        who="head",
        **{name: 100 * steps[name] for name in ("left", "low", "high")},
        label=[_points(left) for left in steps["left"]],
        text=[
            f"{_points(left)} points ({_points(low)} to {_points(high)})"
            for left, low, high in steps[["left", "low", "high"]].itertuples(index=False)
        ],
        beside=[
            f"{rival}, {percent(accuracy)}"
            for rival, accuracy in steps[["rival", "rival_accuracy"]].itertuples(index=False)
        ],
    )
    tooltip = [
        alt.Tooltip("step:N", title="Step"),
        alt.Tooltip("text:N", title="Head ahead by"),
        alt.Tooltip("beside:N", title="Best rival so far"),
    ]
    y = alt.Y("step:N", sort=None, title=None, axis=alt.Axis(labelLimit=0))
    axis = alt.Axis(
        title=title_lines("Head ahead of its best rival, points"), format="+d", tickMinStep=1
    )
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    colour = alt.Color("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None)
    end = alt.X("left:Q", axis=axis, scale=alt.Scale(zero=True, nice=True))
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=GREY, strokeWidth=1.5)
    layers = [
        base.mark_bar(height=16, opacity=0.55).encode(x=end, x2=alt.datum(0), color=colour),
        base.mark_rule(strokeWidth=2, color=GREY).encode(
            x=alt.X("low:Q", axis=axis), x2=alt.X2("high:Q")
        ),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=end, color=colour),
        zero.encode(x=alt.X("zero:Q", axis=axis)),
        base.mark_text(align="left", dx=8, dy=-12, color=GREY).encode(
            x=alt.X("left:Q", axis=axis), text=alt.Text("label:N")
        ),
    ]
    words = print_words("What is left of the gap", ("interval", "95 % interval"))
    return alt.LayerChart(layer=layers, height=60 + ROW * len(frame), usermeta=words)


def stability_curve(stability: pd.DataFrame, title: str = "Test accuracy") -> alt.LayerChart:
    """Test accuracy of the chosen head by how many validation puzzles chose it.

    Args:
        stability: n, median, low, high (shares), same_head, as `ResultStore.stability` gives them.
        title: what the shares are, for the axis.
    """
    frame = stability.assign(
        who="head",
        text=[
            f"{percent(median)} ({tenths(low)} to {tenths(high)})"
            for median, low, high in stability[["median", "low", "high"]].itertuples(index=False)
        ],
        same=[percent(share) for share in stability["same_head"]],
    )
    ticks = frame["n"].tolist()
    base = alt.Chart(frame).encode(
        x=alt.X(
            "n:Q",
            title="Validation puzzles",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=ticks, format=",d"),
        ),
        color=alt.Color("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None),
        tooltip=[
            alt.Tooltip("n:Q", title="Validation puzzles", format=","),
            alt.Tooltip("text:N", title=title),
            alt.Tooltip("same:N", title="Same head as all puzzles choose"),
        ],
    )
    y = alt.Y("median:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%"))
    ends = base.encode(y=alt.Y("low:Q", title=title), y2=alt.Y2("high:Q"))
    layers = [
        ends.mark_area(opacity=0.15, line=False),
        ends.mark_rule(strokeWidth=1.5, opacity=0.6),
        base.encode(y=y).mark_line(),
        base.encode(y=y).mark_point(filled=True, size=80, opacity=1),
    ]
    words = print_words(
        f"{title} of the chosen head, by how many validation puzzles chose it",
        ("band", "5th to 95th percentile of draws"),
    )
    return alt.LayerChart(layer=layers, height=220, usermeta=words)


def _points(share: float) -> str:
    """Points, to a tenth.

    >>> _points(-0.1234)
    '−12.3'
    """
    return signed_tenths(share)
