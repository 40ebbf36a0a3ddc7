"""The landing page in a real Chromium: name, groups of pages, matrix, and the drawing that moves."""

import base64
import re
import urllib.parse

import pytest

from tests.pages.test_browser import (  # noqa: F401 -- fixtures
    chromium,
    page,
    server_on,
    settle,
    tab,
)
from tests.results.test_verdicts import store_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def landing(tmp_path_factory):
    """The address of a server on a store of a run and its twin."""
    with server_on(store_of(tmp_path_factory.mktemp("landing") / "s.duckdb", "word")) as found:
        yield found


def test_name_mark_and_groups_of_pages_are_there(page, family_address):  # noqa: F811
    page.goto(f"{family_address}/head-grid")
    settle(page)
    assert page.title() == "Head grid · QKScope"
    icon = page.locator("link[rel='shortcut icon']").get_attribute("href")
    assert icon.startswith("data:image/svg") or icon.endswith(".svg")
