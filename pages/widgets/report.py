"""A run's report, to take away: written when it is asked for."""

from functools import partial

import streamlit as st

from pages.main.chosen import Chosen
from pages.main.stored import store_path
from qkcore.reports.write import report_file
from qkcore.results.store import ResultStore

KINDS = {".html": "text/html", ".pdf": "application/pdf"}


def offer_report(it: Chosen) -> None:
    """The report of the chosen run as one HTML file or as PDF; nothing where no head was chosen."""
    if it.best is None:
        return
    st.header("Report of this run", anchor=False)
    st.caption(
        "Verdict, figures, tables, settings, the code behind it and how to cite it, of the head "
        "chosen on validation puzzles. In one file that needs no network; the same as "
        "`qkscope report`."
    )
    with st.container(horizontal=True):
        for ending, kind in KINDS.items():
            st.download_button(
                f"Report, {ending[1:].upper()}",
                partial(written, str(store_path()), it.run_id, ending),
                f"qkscope-{it.run_id}{ending}",
                kind,
                key=f"report {ending}",
                on_click="ignore",
            )


def written(store: str, run_id: str, ending: str) -> bytes:
    """The report, from the store as it is when somebody asks."""
    with ResultStore.open(store) as opened:
        return report_file(opened, run_id, ending, store_path().name)
