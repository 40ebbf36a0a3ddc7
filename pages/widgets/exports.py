"""What is on screen, to take away.

A table twin of the chart, its data, its picture, a figure for a paper, and the Python that gives
it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

import qkcore
from pages.main.chosen import Chosen
from pages.main.stored import ask, store_path
from pages.server.settings import told
from qkcore.charts.paper import COLUMN, FORMATS, PAGE, paper_figure, picture
from qkcore.charts.theme import for_print
from qkcore.results.findings import ON_ANSWER
from qkcore.results.rival_line import rival_line
from qkcore.results.store import ResultStore
from qkcore.wording import full_name, run_text

SHARES = (
    "accuracy low high balanced_accuracy balanced_low balanced_high auc share head_accuracy "
    "model_accuracy who_accuracy than_accuracy rival_accuracy chosen_share same_head median "
    "lost lost_low lost_high found found_low found_high lost_by_chance middle_accuracy "
    "output_accuracy"
).split()
POINTS = "gap gain left own_lead gap_low gap_high net net_low net_high".split()  # of shares
RUN_HERE = "# With QKScope's Python, in the folder where the dashboard was started"


def offer(
    name: str, frame: pd.DataFrame, code: str, make: Callable[[], alt.TopLevelMixin] | None = None
) -> None:
    """An expander with the table, downloads and code.

    Args:
        name: part of the files' names, without spaces.
        frame: what the chart draws; the files hold it as it is, shares from 0 to 1, but for folders
            of a server in names of models.
        code: Python that gives the frame, see `python_for`.
        make: makes the chart that downloads as a picture, where there is one.
    """
    frame = _without_folders(frame)
    with st.expander("Table, downloads and Python"):
        st.dataframe(
            **shown(frame),
            hide_index=True,
            width="stretch",
            height=min(400, 38 + 35 * len(frame)),
            key=f"table {name}",
            alt=f"Table: {name.replace('-', ' ')}",
        )
        files = {
            "CSV": ("csv", "text/csv", lambda: frame.to_csv(index=False).encode()),
            "Parquet": (
                "parquet",
                "application/vnd.apache.parquet",
                lambda: frame.to_parquet(index=False),
            ),
        }
        if make is not None:
            files |= {
                "SVG": ("svg", "image/svg+xml", lambda: svg(make())),
                "PNG": ("png", "image/png", lambda: png(make())),
            }
        with st.container(horizontal=True):
            for label, (ending, kind, content) in files.items():
                st.download_button(
                    label,
                    content,
                    f"qkscope-{name}.{ending}",
                    kind,
                    key=f"{name} {ending}",
                    on_click="ignore",
                )
        if make is not None:
            it: Chosen | None = st.session_state.get("chosen")
            about, note = "", ""
            if it is not None:
                about = run_text(it.run["model_name"], it.run["set_name"], it.run["rope"])
                note = ask(rival_line, it.run_id)
            offer_for_paper(name, make, about, note)
        st.code(code, language="python", wrap_lines=True)


def offer_for_paper(
    name: str, make: Callable[[], alt.TopLevelMixin], about: str, note: str = ""
) -> None:
    """The chart at a column's width and at a page's, in three formats; drawn when asked for.

    Args:
        name: part of the files' names, without spaces.
        make: makes the chart.
        about: below the figure's title: model and puzzles.
        note: below its key.
    """
    st.caption(
        f"Figure for a paper, in 8-point type and colours that print in grey: one column wide "
        f"({COLUMN} inches), or two ({PAGE} inches)."
    )
    kinds = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
    with st.container(horizontal=True):
        for columns, width in (("1 column", COLUMN), ("2 columns", PAGE)):
            for ending in FORMATS:
                st.download_button(
                    f"{columns}, {ending.upper()}",
                    partial(paper_file, make, about, note, width, ending),
                    f"qkscope-{name}-{columns.replace(' ', '-')}.{ending}",
                    kinds[ending],
                    key=f"{name} {columns} {ending}",
                    on_click="ignore",
                )


def paper_file(
    make: Callable[[], alt.TopLevelMixin], about: str, note: str, width: float, ending: str
) -> bytes:
    """A figure for a paper, as a file; see `paper_figure`."""
    return picture(paper_figure(make(), None, about, note, width), ending)


def _without_folders(frame: pd.DataFrame) -> pd.DataFrame:
    """Models, where a column names them, without the folders that they lie in.

    >>> _without_folders(pd.DataFrame({"model": ["/srv/x.gguf", "Qwen/Qwen3-0.6B"]})).model.tolist()
    ['x', 'Qwen/Qwen3-0.6B']
    """
    if "model" not in frame or not pd.api.types.is_string_dtype(frame["model"]):
        return frame
    return frame.assign(model=frame["model"].map(full_name))


def shown(frame: pd.DataFrame, **titles: str) -> dict[str, Any]:
    """`data` and `column_config` for `st.dataframe`.

    With one decimal, as people quote them: shares in percent, their differences in points.
    """
    names = [str(name) for name in frame]
    points = [name for name in names if name in POINTS]
    if points and "accuracy" not in names:  # then the interval is of the difference
        points += [name for name in ("low", "high") if name in names]
    shares = [
        name
        for name in names
        if (name in SHARES or name.startswith(ON_ANSWER)) and name not in points
    ]
    columns = {
        name: st.column_config.NumberColumn(titles.get(name, name), format="%.1f %%")
        for name in shares
    } | {
        name: st.column_config.NumberColumn(titles.get(name, f"{name}, points"), format="%+.1f")
        for name in points
    }
    return {
        "data": frame.assign(**{name: 100 * frame[name] for name in (*shares, *points)}),
        "column_config": titles | columns,
    }


def _spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """On white, with the light theme's colours, whatever the page shows."""
    colours = (
        st.get_option(f"theme.light.chart{kind}Colors") for kind in ("Categorical", "Diverging")
    )
    return for_print(chart, *colours)


def svg(chart: alt.TopLevelMixin) -> bytes:
    """The chart as SVG."""
    import vl_convert  # some 50 MB, and wanted by few

    return vl_convert.vegalite_to_svg(_spec(chart)).encode()


def png(chart: alt.TopLevelMixin) -> bytes:
    """The chart as PNG, two pixels a point."""
    import vl_convert

    return vl_convert.vegalite_to_png(_spec(chart), scale=2)


def python_for(
    question: Callable[..., Any], *arguments: object, then: tuple[Any, ...] | None = None
) -> str:
    """Python that asks the store what the page asked, to run where the dashboard was started.

    Args:
        question: as `stored.ask` takes it,
        *arguments: likewise.
        then: a function of the answer and its further arguments.
    """
    functions: list[Callable[..., Any]] = [ResultStore]
    if question.__qualname__.startswith("ResultStore."):
        call = f"store.{question.__name__}({_listed(arguments)})"
    else:
        functions.append(question)
        call = _call(question, "store", arguments)
    store = told(store_path().resolve())
    lines = [f"with ResultStore.open({store!r}) as store:", f"    answer = {call}"]
    if then:
        function, *further = then
        functions.append(function)
        lines.append(f"answer = {_call(function, 'answer', further)}")
    return "\n".join([RUN_HERE, *imports_of(functions), "", *lines, "print(answer)"])


def imports_of(functions: Iterable[Callable[..., Any]]) -> list[str]:
    """Lines that import these, from qkcore itself where they are public.

    >>> from qkcore.statistics.exams import gaps, kappa
    >>> imports_of([gaps, kappa, ResultStore])
    ['from qkcore import ResultStore, gaps', 'from qkcore.statistics.exams import kappa']
    """
    names: dict[str, set[str]] = {}
    for one in functions:
        home = "qkcore" if one.__name__ in qkcore.__all__ else one.__module__
        names.setdefault(home, set()).add(one.__name__)
    return [f"from {home} import {', '.join(sorted(names[home]))}" for home in sorted(names)]


def _call(function: Callable[..., Any], first: str, arguments: Sequence[Any]) -> str:
    given = f"{first}, {_listed(arguments)}" if arguments else first
    return f"{function.__name__}({given})"


def _listed(arguments: Sequence[Any]) -> str:
    return ", ".join(repr(argument) for argument in arguments)
