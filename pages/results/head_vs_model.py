"""Who is right when: the chosen head, the model, both or neither? And does the model use it?"""

import math

import streamlit as st

from pages.main.chosen import chosen
from pages.main.controls import pick
from pages.main.stored import ask
from pages.widgets.curves import exam_of
from pages.widgets.drawing import drawn, show_chart
from pages.widgets.exports import offer, python_for
from pages.widgets.rules import MEASURE_NAMES
from pages.widgets.usage import show_usage
from pages.widgets.verdict import groups_sentence, show_verdict
from qkcore.charts.curves import agreement_bars, gap_chart
from qkcore.results.answers import exam
from qkcore.results.findings import near_runs, run_gaps
from qkcore.results.store import ResultStore
from qkcore.results.summaries import run_titles
from qkcore.statistics.exams import DIFFICULTY, agreement, gaps, kappa
from qkcore.wording import gap_text, percent, short_names, with_minus

it = chosen()
st.title("Head vs. model")
NAMES = {
    "both": "both",
    "only head": f"only {it.name}",
    "only model": "only the model",
    "neither": "neither",
}
MOST_RUNS = 60  # that a chart shows, a line each
marks = exam_of(it)


def show_headline() -> None:
    """Counts, paired test and agreement."""
    shares = agreement(marks, []).set_index("verdict")["share"]
    measure = ask(ResultStore.measure, it.run_id)
    fair, raw = (
        gaps(marks, [], "head", than, measure).iloc[0] for than in ("calibrated_model", "model")
    )
    columns = ["gap", "low", "high", "p"]
    same = ((marks["head"] == marks["model"]) & (marks["head"] >= 0)).mean()
    alike = kappa(marks)
    alike_text = with_minus(f"{alike:.2f}")
    st.markdown(
        f"Of {len(marks):,} test puzzles, both are right on {percent(shares['both'])}, only "
        f"{it.name} on **{percent(shares['only head'])}**, only the model on "
        f"**{percent(shares['only model'])}**, neither on {percent(shares['neither'])}. Paired, by "
        f"{MEASURE_NAMES[measure]}: {gap_text(*raw[columns])} against the model as it is, "
        f"**{gap_text(*fair[columns])}** against the calibrated model. "
        f"{groups_sentence(int(raw['n']), int(raw['n_groups']))}"
    )
    st.markdown(
        f"They give the same answer on {percent(same)} of the puzzles. "
        + (
            "One of them is always right or never, so it cannot be said whether they are right on "
            "the same puzzles."
            if math.isnan(alike)
            else f"Cohen's kappa of being right is {alike_text} (0: right independently of each "
            "other, 1: right on the same puzzles)."
        )
    )
    st.caption(
        f"{it.name}: {it.how}. Interval and p of a gap are of one method, which counts contexts "
        "and not puzzles where several puzzles share one."
    )


def show_by_difficulty() -> None:
    """The same, as puzzles get harder."""
    by = pick(st, "By", "by", list(DIFFICULTY))
    known = marks.dropna(subset=[by])
    if known.empty:
        st.caption(f"The puzzles of this run do not say their {by}.")
        return
    table = agreement(known, [by])
    chart = drawn(agreement_bars, table, by, NAMES)
    show_chart(
        chart,
        width="stretch",
        key=f"agreement {it.run_id} {it.name} {by}",
        alt=f"Share of test puzzles by who is right, at each number of {by}; the table below has "
        "the numbers",
    )
    st.caption(
        f"Each bar is all test puzzles of that many {by} (n = {len(known):,} in all), in percent, "
        f"from the left: {', '.join(NAMES.values())}."
    )
    offer(
        "who-is-right",
        table,
        python_for(exam, it.run_id, it.layer, it.head, then=(agreement, [by])),
        chart.make,
    )


def show_runs() -> None:
    """The gap of each run's own best head."""
    st.header("Every run", anchor=False)
    table = ask(run_gaps)
    if table.empty:
        st.caption("No run has both validation and test puzzles.")
        return
    whole = table
    table = near_runs(whole, it.run, MOST_RUNS)
    titles = ask(run_titles)
    table["model"] = table["model"].map(short_names(whole["model"]))  # no folder of the server
    table["run"] = [titles[run_id] for run_id in table["run_id"]]
    chart = drawn(gap_chart, table, "run", "Chosen head minus model as it is, points")
    show_chart(
        chart,
        width="stretch",
        key="gap of runs",
        alt="Gap between the chosen head and the model in each run; the table below has the "
        "numbers",
    )
    st.caption(
        "Each run's head was chosen on its validation puzzles and is reported on its test puzzles, "
        "with 95 % interval."
        + (
            ""
            if len(table) == len(whole)
            else f" Of {len(whole):,} runs the chart shows those of this model and those on this "
            "puzzle set; the table has all."
        )
    )
    offer("gap-of-runs", whole, python_for(run_gaps), chart.make)


if marks.empty:
    st.info(
        'This run has no test puzzles: give some puzzles of the file the split "test" and score it '
        "again."
    )
else:
    show_verdict(it)
    show_headline()
    show_by_difficulty()
    show_usage(it)
show_runs()
