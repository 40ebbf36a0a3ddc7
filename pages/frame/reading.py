"""How pages read stored results: one cached question at a time, the file closed in between.

A cached answer is tied to the file's identity, so a store that is replaced is read anew at the next click.
"""

from pathlib import Path

import streamlit as st

from pages.frame.settings import settings
from qkcore.store import ResultStore


def store_path() -> Path:
    """The store to show."""
    return settings().store


def ask(question: str, *arguments):
    """The answer of a `ResultStore` method, by its name.

    Raises:
        StoreError: when the store cannot be read.
    """
    path = store_path()
    try:
        state = path.stat()
        stamp = (state.st_ino, state.st_mtime_ns, state.st_size)
    except OSError:
        stamp = None  # `ResultStore.open` says what is wrong
    return _answer(str(path), stamp, question, arguments)


@st.cache_data(max_entries=256, show_spinner=False)
def _answer(path: str, stamp: tuple | None, question: str, arguments: tuple):
    with ResultStore.open(path) as store:
        return getattr(store, question)(*arguments)
