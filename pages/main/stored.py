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
from pages.server.settings import settings, told
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore

Rest = ParamSpec("Rest")
Answer = TypeVar("Answer")


def store_path() -> Path:
    """The store to show."""
    return store_in_use()


def store_told() -> str:
    """The store as a command on a page names it; a bundle's own store is unpacked for a while only.

    Raises:
        SettingsError: when the settings cannot be read.
        BundleError: when they name a bundle, and it cannot be opened.
    """
    return "STORE.duckdb" if settings().bundle else told(store_path().resolve())


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


def ask_known(
    question: Callable[Concatenate[ResultStore, Rest], Answer | None],
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """As `ask`, where the page has seen that there are puzzles to answer from.

    Raises:
        StoreError: when the store cannot be read, or there is no answer: what the page has seen may
            have been replaced since.
    """
    answer = ask(question, *arguments, **named)
    if answer is None:
        raise StoreError("The results have changed while this page was drawn; reload it.")
    return answer


@st.cache_resource(max_entries=2, show_spinner=False)
def _opened(path: str, stamp: tuple[int, int, int] | None) -> ResultStore:
    return ResultStore.kept(path)


atexit.register(_opened.clear)  # DuckDB complains about connections that outlive the interpreter


# Fifty visitors with heads of their own ask some hundreds of questions; most answers are small.
@st.cache_data(max_entries=1_000, max_size="64MB", show_spinner=False)
def _answer(
    path: str,
    stamp: tuple[int, int, int] | None,
    name: str,
    arguments: tuple[object, ...],
    named: dict[str, object],
    _question: Callable[..., Any],
) -> Any:  # noqa: ANN401 -- `ask` says what it is
    return _question(_opened(path, stamp), *arguments, **named)
