"""Charts made once for all visitors: what takes long about a chart is to build it and check it, not to send it.

On the grid's page that is three quarters of the server's work for a click (tests/bench/load.py tells).
"""

import copy
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa
import streamlit as st

# Altair's theme and data transformers hold for the process, not for a thread.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart, and what the browser is told of it. Not to be changed: others see it too."""

    chart: alt.TopLevelMixin
    spec: dict
    data: dict[str, pa.Table]  # small enough to be kept


def drawn(make: Callable[..., alt.TopLevelMixin], *arguments, **named) -> Drawn:
    """The chart that a function of qkcore makes of these arguments."""
    return _drawn(f"{make.__module__}.{make.__qualname__}", arguments, named, make)


def _every_row(frame: pd.DataFrame) -> tuple:
    """What a frame is known by; Streamlit's own hash looks at a sample of a large one, and would mix up two of them."""
    rows = pd.util.hash_pandas_object(frame).to_numpy().tobytes()
    return tuple(frame.columns), frame.shape, hashlib.sha256(rows).hexdigest()


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs={pd.DataFrame: _every_row})
def _drawn(name: str, arguments: tuple, named: dict, _make: Callable) -> Drawn:
    return drawn_once(_make, *arguments, **named)


def drawn_once(make: Callable[..., alt.TopLevelMixin], *arguments, **named) -> Drawn:
    """Likewise, for what no other visitor will see."""
    chart = make(*arguments, **named)
    with _one_at_a_time, alt.theme.enable("none"), alt.data_transformers.enable("default", max_rows=None):
        spec = chart.to_dict(validate=False)  # tests have checked it; checking takes a third of the time
    rows = spec.pop("datasets", {})
    return Drawn(chart, spec, {name: pa.Table.from_pylist(values) for name, values in rows.items()})


def show_chart(drawn: Drawn, where=st, **options) -> Any:
    """As `st.altair_chart`."""
    return where.vega_lite_chart(copy.deepcopy(drawn.spec) | {"datasets": dict(drawn.data)}, **options)
