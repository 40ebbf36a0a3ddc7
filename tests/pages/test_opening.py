"""A page that a test opens directly is the page that a visitor comes to by the list of pages."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from tests import ROOT
from tests.pages.opening import FIRST, LISTED, MAIN, answered, looks, opened
from tests.pages.test_pages import said


@pytest.mark.parametrize("page", LISTED)
def test_a_page_opened_directly_is_the_one_that_the_list_opens(page, family_path, monkeypatch):
    monkeypatch.setenv("QKSCOPE_STORE", str(family_path))
    directly = answered(opened(page))
    listed = AppTest.from_file(MAIN, default_timeout=120).run()
    if page != FIRST:
        answered(listed.switch_page(str(ROOT / page)).run())
    assert directly.title[0].value == listed.title[0].value
    assert said(directly) == said(listed)


def test_a_page_that_waits_for_ever_is_a_failure():
    page = SimpleNamespace(info=[SimpleNamespace(value="Loading the model …")], run=lambda: page)
    with pytest.raises(AssertionError, match=r"still says: .*Loading the model"):
        list(looks(page, patience=0.1))
