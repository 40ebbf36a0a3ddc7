"""The image's server in a real Chromium.

It obeys the security headers that other tests only read.
"""

import re

import pytest

from tests.pages.test_browser import chromium, settle  # noqa: F401
from tests.pages.test_hosting import image  # noqa: F401

pytestmark = pytest.mark.browser


def test_no_page_asks_a_browser_for_what_the_headers_forbid(image, chromium):  # noqa: F811
    address, app, *_ = image
    said = []
    page = chromium.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for place in [
        "",
        *re.findall(r'url_path="([\w-]+)"', (app / "pages/main/main.py").read_text()),
    ]:
        page.goto(f"{address}/{place}")
        settle(page)
    page.close()
    # Streamlit looks for its own addresses below a page's first, which is no error.
    assert not [one for one in said if "404" not in one]
