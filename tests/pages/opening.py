"""A page in Streamlit's own test runner, opened as a link opens it: none is drawn before it."""

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests import ROOT

MAIN = ROOT / "pages/main/main.py"
LISTED = re.findall(r'"(pages/\w+/\w+\.py)"', MAIN.read_text())
FIRST = "pages/results/overview.py"  # what an address without a page shows
LIVE = "pages/live/try_a_puzzle.py"

_files = tempfile.TemporaryDirectory()


def opened(page: str = FIRST, query: Mapping[str, str] | None = None) -> AppTest:
    """The page once it has run, with what the address says.

    Args:
        page: as main.py lists it, such as "pages/results/head_grid.py".
        query: names and values after the question mark.
    """
    at = AppTest.from_file(MAIN, default_timeout=120)
    at.query_params.update(query or {})
    if page != FIRST:
        at.switch_page(str(_named_as_in_the_address(page)))
    return at.run()


@cache
def _named_as_in_the_address(page: str) -> Path:
    """An empty file in the page's stead.

    Before its first run a test knows pages by the names of their files (`AppTest.switch_page` says
    so), and a server by their places in the address: head_grid and head-grid.
    """
    file = Path(_files.name) / f"{Path(page).stem.replace('_', '-')}.py"
    file.touch()
    return file


def looks(at: AppTest, patience: float = 120) -> Iterator[AppTest]:
    """The page as it stands, and again at each later look, until it waits for no worker.

    Fails after so many seconds of patience.
    """
    deadline = time.monotonic() + patience
    yield at
    while waits := [one.value for one in at.info if "…" in one.value or "before you" in one.value]:
        assert time.monotonic() < deadline, f"after {patience} seconds the page still says: {waits}"
        time.sleep(0.05)
        yield at.run()


def answered(at: AppTest) -> AppTest:
    """The page once its worker has answered."""
    for look in looks(at):
        assert not look.exception
    return at
