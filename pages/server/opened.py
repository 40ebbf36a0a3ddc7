"""The store that the settings name, which may lie in a bundle.

It is checked and unpacked once, when the server starts, so that the first visitor need not wait.
"""

import gc
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from pages.server.settings import Settings, SettingsError, settings
from qkcore.sharing.bundle import BundleError, open_bundle

RETRY_AFTER = 60  # seconds; what cannot be opened is not tried again at every click
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Opened:
    asked: tuple[object, ...]  # what settings and, of a file, which state of it
    at: float
    folder: tempfile.TemporaryDirectory[str]  # gone with this object
    store: Path | None
    error: str


_last: list[_Opened] = []  # one at most


def store_in_use() -> Path:
    """The store to show.

    Raises:
        SettingsError: when the settings cannot be read.
        BundleError: when they name a bundle, and it cannot be opened.
    """
    given = settings()
    if not given.bundle:
        return given.store
    asked = (given.bundle, given.bundle_sha256, given.bundle_max_mb, _state(given.bundle))
    with _one_at_a_time:
        if not _last or _last[0].asked != asked or _is_worth_another_try(_last[0]):
            _last[:] = [_open(given, asked)]
        opened = _last[0]
    if opened.store is None:
        raise BundleError(opened.error)
    return opened.store


def _is_worth_another_try(opened: _Opened) -> bool:
    if opened.store is None:
        return time.monotonic() - opened.at > RETRY_AFTER
    return not opened.store.exists()


def _open(given: Settings, asked: tuple[object, ...]) -> _Opened:
    folder = tempfile.TemporaryDirectory(prefix="qkscope-")
    store, error = None, ""
    try:
        store = open_bundle(
            given.bundle, Path(folder.name), given.bundle_sha256, given.bundle_max_mb * 1_000_000
        )
    except BundleError as caught:
        error = str(caught)
    return _Opened(asked, time.monotonic(), folder, store, error)


def _state(source: str) -> tuple[tuple[int, int, int], ...]:
    """Changes when the files of a bundle do."""
    found = []
    for path in (Path(source), Path(source) / "manifest.json", Path(source) / "results.duckdb"):
        with suppress(OSError, ValueError):
            state = path.stat()
            found.append((state.st_ino, state.st_mtime_ns, state.st_size))
    return tuple(found)


@asynccontextmanager
async def get_ready(app: object) -> AsyncIterator[None]:
    """For `st.App(lifespan=...)`: a bundle is there before the first visitor.

    What is wrong with it, pages say.
    """
    with suppress(BundleError, SettingsError):
        await anyio.to_thread.run_sync(store_in_use)
    gc.freeze()  # what is here now stays: the collector need never look through it again
    yield
