"""Curves and bars: tidy frame in, Altair chart out. What all charts share is in `theme`."""

import altair as alt
import numpy as np
import pandas as pd

from qkcore.charts.theme import GREY, LINES, SMALL_FONT, legible, print_words, title_lines
from qkcore.wording import accuracy_text, gap_text, percent, texts_of

RULE = "surface rule"
AXES = {
    "steps": "Steps (rules to apply)",
    "distractors": "Distractors (premises that do not matter)",
}


def difficulty_curves(
    curves: pd.DataFrame,
    luck: pd.DataFrame,
    chance: float,
    head: str,
    by: str = "steps",
    vote: str | None = None,
    title: str = "Accuracy",
    rule: str | None = None,
) -> alt.LayerChart:
    """Accuracy of a head, of the model and maybe of a vote at each difficulty.

    95 % intervals are drawn as bands.

    Args:
        curves: who (the head's name, "model", the vote's name, or "surface rule", which is dashed
            and without band), the column `by`, accuracy, low, high, n.
        luck: the column `by`, q95: what the best of all heads gets by luck, 95th percentile. May be
            empty.
        chance: accuracy of guessing.
        head: its name in the legend.
        by: "steps" or "distractors".
        vote: its name in the legend; None: there is none.
        title: what the shares are, for the axis.
        rule: which surface rule it is, for paper.

    >>> from qkcore import ResultStore, accuracy_by, demo_store, difficulty_curves, exam
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> curves = accuracy_by(exam(store, run, 6, 1), ["steps"], ["head", "model"])
    >>> luck = store.luck_lines(run, "test", "steps")
    >>> chart = difficulty_curves(curves.replace({"who": {"head": "L6 H1"}}), luck, 0.5, "L6 H1")
    >>> type(chart).__name__
    'LayerChart'
    """
    named = [head, "model", *([vote] if vote else [])]
    shapes = ["circle", "square", "diamond"][: len(named)]
    frame = curves.assign(text=texts_of(curves, accuracy_text, "accuracy", "low", "high", "n"))
    x = _whole_numbers(frame, by)
    y = alt.Y(
        "accuracy:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%")
    )
    tooltip = [
        alt.Tooltip("who:N", title="Who"),
        alt.Tooltip(f"{by}:Q", title=by.capitalize(), format="d"),
        alt.Tooltip("text:N", title=title),
    ]
    legend = alt.Legend(orient="top", title=None, labelLimit=260, symbolOpacity=1)
    colour = alt.Color("who:N", scale=alt.Scale(domain=named), legend=legend)
    shape = alt.Shape("who:N", scale=alt.Scale(domain=named, range=shapes), legend=legend)
    base = alt.Chart(frame[frame["who"].isin(named)]).encode(x=x, color=colour, tooltip=tooltip)
    bands = base.encode(y=alt.Y("low:Q", title=title), y2=alt.Y2("high:Q"))
    layers = [
        *_reference_line(chance, "chance"),
        alt.Chart(frame[frame["who"] == RULE])
        .mark_line(color=GREY, strokeDash=[7, 4], point=alt.OverlayMarkDef(color=GREY, size=30))
        .encode(x=x, y=y, tooltip=tooltip),
        # One point makes no band, so a bar stands for it; both are drawn, the bar thin.
        bands.mark_area(opacity=0.15, line=False),
        bands.mark_rule(strokeWidth=1.5, opacity=0.6),
        base.mark_line().encode(y=y),
        base.mark_point(filled=True, size=80, opacity=1).encode(y=y, shape=shape),
    ]
    if len(luck):
        layers.append(_luck_marks(luck, by))
    keys = [("line", f"chance, {percent(chance)}")]
    if (frame["who"] == RULE).any():
        keys.append(("dashed", f'{RULE} "{rule}"' if rule else RULE))
    if len(luck):
        keys.append(("dotted", "luck line"))
    words = print_words(f"{title} of {head} by {by}", *keys, ("band", "95 % interval"))
    return alt.LayerChart(layer=layers, height=300, usermeta=words)


def difference_curves(
    differences: pd.DataFrame, names: dict[str, str], by: str = "steps"
) -> alt.LayerChart:
    """How far one run is ahead of another at each difficulty, for the heads and for the models.

    Args:
        differences: who, the column `by`, n, gap, low, high, p: first run minus other.
        names: who to what stands in the legend.
        by: "steps" or "distractors".
    """
    frame = differences.assign(
        text=texts_of(differences, gap_text, "gap", "low", "high", "p"),
        # Side by side, so that the intervals do not hide each other.
        place=differences[by] + differences["who"].map({"head": -0.06, "model": 0.06}),
        who=differences["who"].map(names),
        **{name: 100 * differences[name] for name in ("gap", "low", "high")},
    )
    domain = list(names.values())
    legend = alt.Legend(orient="top", title=None, labelLimit=340, symbolOpacity=1, columns=1)
    base = alt.Chart(frame).encode(
        x=_whole_numbers(frame, by, "place"),
        color=alt.Color("who:N", scale=alt.Scale(domain=domain), legend=legend),
        tooltip=[
            alt.Tooltip("who:N", title="Who"),
            alt.Tooltip(f"{by}:Q", title=by.capitalize(), format="d"),
            alt.Tooltip("text:N", title="First run minus other"),
            alt.Tooltip("n:Q", title="Puzzles", format=","),
        ],
    )
    axis = alt.Axis(title="Difference in points", format="+d")
    shape = alt.Shape(
        "who:N", scale=alt.Scale(domain=domain, range=["circle", "square"]), legend=legend
    )
    return alt.LayerChart(
        layer=[
            _zero_line().encode(y=alt.Y("zero:Q")),
            base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", axis=axis), y2=alt.Y2("high:Q")),
            base.mark_line().encode(y=alt.Y("gap:Q")),
            base.mark_point(filled=True, size=80, opacity=1).encode(y=alt.Y("gap:Q"), shape=shape),
        ],
        height=280,
        usermeta=print_words(f"Difference of two runs by {by}", ("interval", "95 % interval")),
    )


def gap_chart(gaps: pd.DataFrame, by: str, title: str) -> alt.LayerChart:
    """A gap to the model in points with its 95 % interval, along a line at zero.

    Args:
        gaps: the column `by`, n, gap, low, high, p.
        by: "steps" or "distractors", or a column of names, such as runs; a line break in a name
            begins a new line.
        title: whose gap, for the axis.

    >>> from qkcore import ResultStore, demo_store, exam, gap_chart, gaps
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> by_steps = gaps(exam(store, run, 6, 1), ["steps"])
    >>> type(gap_chart(by_steps, "steps", "Gap of L6 H1, points")).__name__
    'LayerChart'
    """
    frame = gaps.assign(
        text=texts_of(gaps, gap_text, "gap", "low", "high", "p"),
        who="head",
        **{name: 100 * gaps[name] for name in ("gap", "low", "high")},
    )
    is_number = by in AXES
    colour = alt.Color("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None)
    tooltip = [
        alt.Tooltip(f"{by}:{'Q' if is_number else 'N'}", title=by.replace("_", " ").capitalize()),
        alt.Tooltip("text:N", title="Gap"),
        alt.Tooltip("n:Q", title="Puzzles", format=","),
    ]
    base = alt.Chart(frame).encode(color=colour, tooltip=tooltip)
    axis = alt.Axis(title=title if is_number else title_lines(title), format="+d")
    if is_number:
        x = _whole_numbers(frame, by)
        bars = base.encode(x=x, y=alt.Y("low:Q", axis=axis), y2=alt.Y2("high:Q"))
        points = base.encode(x=x, y=alt.Y("gap:Q", axis=axis))
        zero = _zero_line().encode(y=alt.Y("zero:Q"))
    else:
        y = alt.Y(
            f"{by}:N", title=None, axis=alt.Axis(labelLimit=0, labelExpr=LINES, labelOffset=-5)
        )
        bars = base.encode(y=y, x=alt.X("low:Q", axis=axis), x2=alt.X2("high:Q"))
        points = base.encode(y=y, x=alt.X("gap:Q", axis=axis))
        zero = _zero_line().encode(x=alt.X("zero:Q"))
    layers = [
        zero,
        bars.mark_rule(strokeWidth=2),
        points.mark_point(filled=True, size=80, opacity=1),
    ]
    words = print_words(
        f"Gap to the model by {by}" if is_number else "Gap of the chosen head to the model",
        ("interval", "95 % interval"),
    )
    height = 260 if is_number else 60 + 40 * len(frame)
    return alt.LayerChart(layer=layers, height=height, usermeta=words)


def agreement_bars(agreement: pd.DataFrame, by: str, names: dict[str, str]) -> alt.LayerChart:
    """Who is right on how many of the puzzles of each difficulty: bars stacked to 100 %.

    Args:
        agreement: the column `by`, verdict ("both", "only head", "only model", "neither"), n,
            share.
        by: "steps" or "distractors".
        names: verdict to what people read, in the order they are stacked.
    """
    frame = agreement.assign(
        name=agreement["verdict"].map(names),
        order=agreement["verdict"].map({verdict: place for place, verdict in enumerate(names)}),
        text=[
            f"{percent(share)} ({n:,} puzzles)"
            for share, n in zip(agreement["share"], agreement["n"], strict=True)
        ],
        label=[f"{100 * share:.0f}" if share >= 0.06 else "" for share in agreement["share"]],
    )
    base = alt.Chart(frame).encode(
        y=alt.Y(f"{by}:O", title=AXES[by], axis=alt.Axis(labelOverlap=False)),
        x=alt.X(
            "share:Q", stack="zero", title="Share of test puzzles", axis=alt.Axis(format=".0%")
        ),
        order=alt.Order("order:Q"),
        tooltip=[
            alt.Tooltip(f"{by}:O", title=by.capitalize()),
            alt.Tooltip("name:N", title="Right"),
            alt.Tooltip("text:N", title="Puzzles"),
        ],
    )
    # Head and model in their own colours; both: the vote's; neither: grey. The order and the labels
    # say it too.
    domain = [names["only head"], names["only model"], names["both"], "", names["neither"]]
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=domain),
        legend=alt.Legend(
            orient="top", title=None, values=list(names.values()), columns=2, labelLimit=200
        ),
    )
    bars = base.mark_bar().encode(color=colour)
    text = base.encode(
        x=alt.X("share:Q", stack="zero", bandPosition=0.5),
        text=alt.Text("label:N"),
        detail=alt.Detail("order:Q"),
    )
    height, words = 130 + 36 * frame[by].nunique(), print_words(f"Who is right, by {by}")
    return alt.LayerChart(layer=[bars, *legible(text)], height=height, usermeta=words)


def margin_curves(exam: pd.DataFrame, candidates: tuple[str, ...] | None) -> alt.LayerChart:
    """How a head's margins spread, a line for each right answer; what lies right of zero is right.

    Args:
        exam: answer (candidate index) and margin, a row a puzzle.
        candidates: what the answers are called, None where puzzles differ in them.

    >>> from qkcore import ResultStore, demo_store, exam, margin_curves
    >>> store = ResultStore.kept(demo_store())
    >>> run = store.runs()["run_id"].iloc[0]
    >>> type(margin_curves(exam(store, run, 6, 1), store.candidates(run))).__name__
    'LayerChart'
    """
    names = ["all answers"] * len(exam)
    if candidates:
        names = [f'answer is "{candidates[answer]}"' for answer in exam["answer"]]
    frame = exam[["margin"]].assign(answer=names)
    width = max((frame["margin"].max() - frame["margin"].min()) / 40, 1e-6)
    # Bins of equal width, one edge at zero, so that no bin mixes right and wrong.
    frame = frame.assign(bin=np.ceil(frame["margin"] / width - 1).astype(int))
    sizes = frame.groupby(["answer", "bin"]).size().unstack("bin", fill_value=0)
    counts = pd.DataFrame({"n": sizes.stack()}).reset_index()
    counts = counts.assign(low=counts["bin"] * width, high=(counts["bin"] + 1) * width)
    counts = counts.drop(columns="bin")
    lines = (
        alt.Chart(counts.assign(who="head"))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("low:Q", title="Margin (above 0 is right)"),
            y=alt.Y("n:Q", title="Puzzles"),
            color=alt.Color("who:N", scale=alt.Scale(domain=["head", "model"]), legend=None),
            strokeDash=alt.StrokeDash(
                "answer:N", title=None, legend=alt.Legend(orient="top", symbolSize=400)
            ),
            tooltip=[
                alt.Tooltip("answer:N", title="Right answer"),
                alt.Tooltip("low:Q", title="Margin above", format=".2f"),
                alt.Tooltip("high:Q", title="and up to", format=".2f"),
                alt.Tooltip("n:Q", title="Puzzles", format=","),
            ],
        )
    )
    zero = _zero_line().mark_rule(color=GREY, strokeWidth=2).encode(x=alt.X("zero:Q"))
    words = print_words("Margins, by right answer")
    return alt.LayerChart(layer=[zero, lines], height=220, usermeta=words)


def _whole_numbers(frame: pd.DataFrame, by: str, column: str | None = None) -> alt.X:
    """Steps or distractors along x, ticks at whole numbers only.

    `column` holds where marks stand, if not there.
    """
    values = sorted(int(value) for value in frame[by].unique())
    return alt.X(
        f"{column or by}:Q",
        title=AXES[by],
        axis=alt.Axis(format="d", tickMinStep=1, values=values),
        scale=alt.Scale(domain=[values[0] - 0.4, values[-1] + 0.4], nice=False),
    )


def _zero_line() -> alt.Chart:
    """A line at the one value of "zero", to be encoded as x or y."""
    return alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY)


def _reference_line(value: float, label: str) -> list[alt.Chart]:
    line = (
        alt.Chart(pd.DataFrame({"value": [value]}))
        .mark_rule(color=GREY, strokeWidth=1)
        .encode(y=alt.Y("value:Q"))
    )
    return [
        line,
        line.mark_text(color=GREY, align="left", dx=4, dy=7, x=0, text=label, fontSize=SMALL_FONT),
    ]


def _luck_marks(luck: pd.DataFrame, by: str) -> alt.Chart:
    """A dotted tick at each difficulty; a line would invite reading between whole numbers."""
    left, right = luck[by].astype(float) - 0.3, luck[by].astype(float) + 0.3
    frame = luck.assign(
        left=left, right=right, label="luck line: best of all heads by chance, 95th percentile"
    )
    return (
        alt.Chart(frame)
        .mark_rule(color=GREY, strokeWidth=2, strokeDash=[2, 3])
        .encode(
            x=alt.X("left:Q"),
            x2=alt.X2("right:Q"),
            y=alt.Y("q95:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="What"),
                alt.Tooltip("q95:Q", title="Accuracy", format=".1%"),
            ],
        )
    )
