"""Charts made once for all visitors.

What takes long about a chart is to build it and check it, not to send it. On the grid's page that
is three quarters of the server's work for a click (tests/bench/load.py tells).
"""

import copy
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa
import streamlit as st
from altair.utils.data import DataType
from altair.utils.schemapi import debug_mode

from pages.main.controls import Place

# Altair's theme, data transformers and debug mode hold for the process, not for a thread.
_one_at_a_time = threading.Lock()
BY_NAME = "by name"
_named: dict[str, pa.Table] = {}  # the frames of the chart that is being drawn


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the browser is told of a chart. Not to be changed: others see it too."""

    make: Callable[[], alt.TopLevelMixin]  # the chart itself is large, and wanted by few
    spec: dict[str, Any]
    data: dict[str, pa.Table]  # small enough to be kept


def drawn(make: Callable[..., alt.TopLevelMixin], *arguments: object, **named: object) -> Drawn:
    """The chart that a function of qkcore makes of these arguments."""
    name = f"{make.__module__}.{make.__qualname__}"
    return Drawn(partial(make, *arguments, **named), *_told_once(name, arguments, named, make))


def drawn_once(
    make: Callable[..., alt.TopLevelMixin], *arguments: object, **named: object
) -> Drawn:
    """Likewise, for what no other visitor will see."""
    again = partial(make, *arguments, **named)
    return Drawn(again, *_told(again))


def _every_row(frame: pd.DataFrame) -> str:
    """What a frame is known by.

    Streamlit's own hash looks at a sample of a large one, and would mix up two of them.
    """
    return _fingerprint(pa.Table.from_pandas(frame))


def _fingerprint(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


@st.cache_resource(max_entries=128, show_spinner=False, hash_funcs={pd.DataFrame: _every_row})
def _told_once(
    name: str,
    arguments: tuple[object, ...],
    named: dict[str, object],
    _make: Callable[..., alt.TopLevelMixin],
) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Keeps neither the chart nor the arguments, which may hold every puzzle."""
    return _told(partial(_make, *arguments, **named))


def _told(make: Callable[[], alt.TopLevelMixin]) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """A chart's specification, not checked (tests have), and the frames that it names."""
    with (
        _one_at_a_time,
        debug_mode(False),
        alt.theme.enable("none"),
        alt.data_transformers.enable(BY_NAME),
    ):
        _named.clear()
        return make().to_dict(validate=False), dict(_named)


def _by_name(frame: DataType) -> dict[str, str]:
    """For Altair: the name that stands for a frame in the specification, instead of its rows."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"charts are drawn from data frames, not from {type(frame).__name__}")
    # Without what names pandas' types, which no browser reads.
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    name = f"data-{_fingerprint(table)[:16]}"
    _named[name] = table
    return {"name": name}


alt.data_transformers.register(BY_NAME, _by_name)


def show_chart(drawn: Drawn, where: Place = st, **options: Any) -> None:
    """As `st.altair_chart`."""
    spec = copy.deepcopy(drawn.spec) | {"datasets": dict(drawn.data)}
    where.vega_lite_chart(spec, **options)
