"""Pages are built a few at a time, roughly in order of arrival.

Python builds one page at a time anyway. When many visitors come at once, sharing it would make all
of them wait until the last page is done; taking turns, most see theirs much earlier.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2  # while one waits for DuckDB, another can go on
PATIENCE = 5  # seconds; whoever has waited so long goes on, whatever holds the others up
_turns = threading.BoundedSemaphore(AT_ONCE)
_own = threading.local()  # asked_for: of each turn that this thread asked for, whether it holds it


@contextmanager
def in_turn() -> Iterator[None]:
    """For building a page: waits until less than two others are being built, but not for ever."""
    asked_for: list[bool] = _own.__dict__.setdefault("asked_for", [])
    asked_for.append(_turns.acquire(timeout=PATIENCE))
    try:
        yield
    finally:
        if asked_for.pop():
            _turns.release()


@contextmanager
def out_of_turn() -> Iterator[None]:
    """For waiting in the middle of a page: others are built meanwhile. Outside a turn, nothing."""
    asked_for: list[bool] = _own.__dict__.get("asked_for", [])
    if not (asked_for and asked_for[-1]):
        yield
        return
    asked_for[-1] = False
    _turns.release()
    try:
        yield
    finally:
        asked_for[-1] = _turns.acquire(timeout=PATIENCE)
