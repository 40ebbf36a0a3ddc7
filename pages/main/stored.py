"""How pages read stored results: a question at a time, answers cached.

Connection and answers are tied to the file's identity, so a store that is replaced is read anew at
the next click. The connection locks nobody out who replaces the file, as publishing does.
"""

import atexit
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import streamlit as st

from pages.server.opened import store_in_use
from qkcore.results.store import ResultStore

Rest = ParamSpec("Rest")
Answer = TypeVar("Answer")


def store_path() -> Path:
    """The store to show."""
    return store_in_use()


def ask(
    question: Callable[Concatenate[ResultStore, Rest], Answer],
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer to a question: a method of `ResultStore`, or a function that takes a store first.

    Raises:
        StoreError: when the store cannot be read.
    """
    path = store_path()
    try:
        state = path.stat()
        stamp = (state.st_ino, state.st_mtime_ns, state.st_size)
    except OSError:
        stamp = None  # opening it says what is wrong
    name = f"{question.__module__}.{question.__qualname__}"
    return _answer(str(path), stamp, name, arguments, named, question)


@st.cache_resource(max_entries=2, show_spinner=False)
def _opened(path: str, stamp: tuple | None) -> ResultStore:
    return ResultStore.kept(path)


atexit.register(_opened.clear)  # DuckDB complains about connections that outlive the interpreter


@st.cache_data(max_entries=64, show_spinner=False)
def _answer(
    path: str,
    stamp: tuple | None,
    name: str,
    arguments: tuple,
    named: dict[str, Any],
    _question: Callable[..., Any],
) -> Any:
    return _question(_opened(path, stamp), *arguments, **named)
