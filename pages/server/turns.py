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


@contextmanager
def in_turn() -> Iterator[None]:
    """For building a page: waits until less than two others are being built, but not for ever."""
    has_turn = _turns.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if has_turn:
            _turns.release()
