"""What switching heads off does, beside control heads: tidy frame in, Altair chart out.

What all charts share is in `theme`.
"""

import altair as alt
import pandas as pd

from qkcore.charts.theme import GREY, SMALL_FONT, print_words

ROW = 54  # pixels
ROWS = {"model": "as it is", "head": "this head off", "control": "other heads off"}


def effect_chart(effects: pd.DataFrame, controls: pd.DataFrame, title: str) -> alt.LayerChart:
    """The heads' effect against the spread of the controls', by how many heads are off.

    A row a number of heads. The heads are the coloured diamond with its 95 % interval; each control
    draw is a grey tick, and the grey bar goes from the 5th to the 95th percentile of them.

    Args:
        effects: k, heads, change, change_low, change_high, control_low, control_high, n_controls,
            n_as_harmful, p of one measure, as `ablation_effects` gives them; in the order of k.
        controls: k, change, as `results.effects.control_changes` gives them.
        title: of the axis, with its unit.

    >>> import pandas as pd
    >>> from qkcore import effect_chart
    >>> row = {"k": 1, "heads": "L15 H7", "change": -0.04, "change_low": -0.06,
    ...        "change_high": -0.02, "control_low": -0.03, "control_high": 0.02, "n_controls": 20,
    ...        "n_as_harmful": 0, "p": 0.048}
    >>> draws = pd.DataFrame({"k": [1, 1], "change": [-0.03, 0.02]})
    >>> type(effect_chart(pd.DataFrame([row]), draws, "Change of AUC")).__name__
    'LayerChart'
    """
    frame = effects.assign(
        who="head",
        off=_named(effects["k"]),
        text=[
            _interval(*row)
            for row in effects[["change", "change_low", "change_high"]].itertuples(index=False)
        ],
        spread=[
            f"{_number(low)} to {_number(high)}"
            for low, high in effects[["control_low", "control_high"]].itertuples(index=False)
        ],
        rank=[
            f"{count} of {n} (p = {p:.3f})"
            for count, n, p in effects[["n_as_harmful", "n_controls", "p"]].itertuples(index=False)
        ],
    )
    draws = controls.assign(off=_named(controls["k"]), text=controls["change"].map(_number))
    y = alt.Y("off:N", sort=None, title=None, axis=alt.Axis(labelLimit=120))
    axis = alt.Axis(title=title, format="+~g")
    tooltip = [
        alt.Tooltip("heads:N", title="Switched off"),
        alt.Tooltip("text:N", title=title),
        alt.Tooltip("spread:N", title="Control heads, 5th to 95th percentile"),
        alt.Tooltip("rank:N", title="Controls that lose as much"),
    ]
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    of_controls = alt.Chart(draws).encode(
        y=y,
        tooltip=[alt.Tooltip("off:N", title="Control"), alt.Tooltip("text:N", title=title)],
    )
    colour = alt.Color("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=GREY, strokeWidth=1.5)
    layers = [
        base.mark_bar(height=22, opacity=0.22, color=GREY).encode(
            x=alt.X("control_low:Q", axis=axis, scale=alt.Scale(zero=True, nice=True)),
            x2=alt.X2("control_high:Q"),
        ),
        of_controls.mark_tick(color=GREY, thickness=1.5, size=22, opacity=0.8).encode(
            x=alt.X("change:Q", axis=axis)
        ),
        zero.encode(x=alt.X("zero:Q", axis=axis)),
        base.mark_rule(strokeWidth=2.5).encode(
            x=alt.X("change_low:Q", axis=axis), x2=alt.X2("change_high:Q"), color=colour
        ),
        base.mark_point(filled=True, size=110, opacity=1, shape="diamond").encode(
            x=alt.X("change:Q", axis=axis), color=colour
        ),
    ]
    words = print_words(f"{title} with heads switched off", ("interval", "95 % interval"))
    return alt.LayerChart(layer=layers, height=50 + ROW * len(frame), usermeta=words)


def switched_off_strip(leads: pd.DataFrame, title: str) -> alt.LayerChart:
    """One puzzle: the model's lead as it is, and with one head off after the other.

    Args:
        leads: who ("model" as it is, "head" switched off, "control" heads switched off), name (of
            the head), lead, answer; a row a head.
        title: of the axis: for which candidate the lead is.
    """
    frame = leads.assign(
        row=leads["who"].map(ROWS),
        text=leads["lead"].map(_number),
    )
    y = alt.Y("row:N", sort=[*ROWS.values()], title=None, axis=alt.Axis(labelLimit=140))
    x = alt.X("lead:Q", title=title, scale=alt.Scale(zero=True, nice=True))
    tooltip = [
        alt.Tooltip("name:N", title="Switched off"),
        alt.Tooltip("text:N", title=title),
        alt.Tooltip("answer:N", title="Answer"),
    ]
    base = alt.Chart(frame).encode(x=x, y=y, tooltip=tooltip)
    colour = alt.Color("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None)
    is_control = alt.datum["who"] == "control"
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=GREY, strokeWidth=1.5)
    layers = [
        zero.encode(x=alt.X("zero:Q", title=title)),
        base.transform_filter(is_control).mark_tick(color=GREY, thickness=2, size=22),
        *(
            base.transform_filter(alt.datum["who"] == who)
            .mark_point(filled=True, size=110, opacity=1, shape=shape)
            .encode(color=colour)
            for who, shape in (("model", "square"), ("head", "diamond"))
        ),
        base.transform_filter(alt.datum["who"] != "control")
        .mark_text(align="left", dx=9, dy=-11, color=GREY, fontSize=SMALL_FONT)
        .encode(text="text:N"),
    ]
    words = print_words("The model on one puzzle, with heads switched off one at a time")
    return alt.LayerChart(layer=layers, height=160, usermeta=words)


def _named(counts: pd.Series) -> list[str]:
    """What stands beside a row.

    >>> _named(pd.Series([1, 3]))
    ['1 head', '3 heads']
    """
    return [f"{k} head{'s' * (k != 1)}" for k in counts]


def _interval(change: float, low: float, high: float) -> str:
    return f"{_number(change)} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    """A change, to three digits.

    >>> _number(-0.0371), _number(2)
    ('−0.0371', '+2')
    """
    return f"{value:+.3g}".replace("-", "−")
