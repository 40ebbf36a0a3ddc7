"""The image's server in a real Chromium.

It obeys the security headers that other tests only read.
"""

import pytest

from tests.pages.test_browser import LISTED, chromium, settle, tab, turn_to  # noqa: F401
from tests.pages.test_hosting import image  # noqa: F401

pytestmark = pytest.mark.browser


def test_no_page_asks_a_browser_for_what_the_headers_forbid(image, chromium):  # noqa: F811
    address, *_ = image
    said = []
    page = tab(chromium)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    settle(page)
    for title in LISTED:
        turn_to(page, title)
    page.context.close()
    # Streamlit looks for its own addresses below a page's first, which is no error.
    assert not [one for one in said if "404" not in one and "fit-y" not in one]
