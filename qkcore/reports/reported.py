"""The run that a report is of, and how its figures and differences look.

What is said of it is in `reports/findings` and `reports/inside`.
"""

from dataclasses import dataclass

import altair as alt
import pandas as pd

from qkcore.charts.paper import paper_figure
from qkcore.reports.contents import Figure
from qkcore.results.store import ResultStore
from qkcore.wording import head_name, run_text, set_names, short_names

FIGURE_WIDTH = 6.3  # inches


@dataclass(frozen=True, slots=True)
class Reported:
    """The run that a report is of."""

    store: ResultStore
    run: pd.Series  # a row of `ResultStore.runs`
    head: tuple[int, int]  # chosen on validation puzzles
    marks: pd.DataFrame  # `answers.exam` of that head: the test puzzles
    measure: str

    @property
    def run_id(self) -> str:
        """The run's id in the store."""
        return str(self.run["run_id"])

    @property
    def head_name(self) -> str:
        """Such as L17 H4."""
        return head_name(*self.head)

    @property
    def model_name(self) -> str:
        """The model as people call it, told from all others of the store."""
        return short_names(self.store.runs()["model"].unique())[self.run["model"]]

    def figure(self, chart: alt.TopLevelMixin, caption: str, about: str | None = None) -> Figure:
        """A chart of this run, or of what it is about instead."""
        about = about or named(self.store, self.run)
        return Figure(paper_figure(chart, None, about, "", FIGURE_WIDTH), caption)


def named(store: ResultStore, run: pd.Series) -> str:
    """A run's model, set and reading as people call them, told from all others of the store."""
    runs = store.runs()
    models, sets = short_names(runs["model"].unique()), set_names(runs)
    return run_text(models[run["model"]], sets[run["puzzle_set"]], run["rope"])
