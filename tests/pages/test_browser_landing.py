"""The landing page in a real Chromium: name, pages, matrix, and the drawing that moves."""

import pytest

from tests.pages.test_browser import (  # noqa: F401 - fixtures
    CHROMIUM,
    QUIET,
    chromium,
    click_until,
    page,
    server_on,
    settle,
    tab,
)
from tests.results.test_verdicts import store_of
from tests.stores import planted_store

pytestmark = pytest.mark.browser
HEADER, ROW = 36, 66  # pixels, as pages/widgets/matrix.py draws the matrix
MODEL, SET = 190, 176


@pytest.fixture(scope="module")
def landing(tmp_path_factory):
    """The address of a server on three runs: one, one on its twin, and one of another model."""
    path = tmp_path_factory.mktemp("landing") / "s.duckdb"
    planted_store(path, run_id="other-1", model="/srv/models/other.Q4_1.gguf")
    with server_on(store_of(path, "word")) as found:
        yield found


def test_the_tab_names_page_and_program_and_the_mark_is_its_icon(page, landing):  # noqa: F811
    for place, title in (("", "Overview"), ("/head-grid", "Head grid"), ("/method", "Method")):
        page.goto(f"{landing}{place}")
        settle(page)
        assert page.title() == f"{title} · QKScope"
        assert page.get_by_test_id("stSidebarLogo").is_visible()
    icon = page.locator("link[rel~='icon']").last.get_attribute("href")
    assert "svg" in icon


def test_a_link_of_the_first_version_opens_and_the_pickers_say_what_it_named(page, landing):  # noqa: F811
    page.goto(f"{landing}/head-grid?run=twin")
    settle(page)
    sidebar = page.get_by_test_id("stSidebar")
    assert sidebar.get_by_label("Puzzle set").input_value() == "run-set, twin"
    assert sidebar.get_by_label("Model").input_value() == "planted"
    assert "run=twin" in page.url


def test_another_model_is_picked_by_its_short_name_and_the_link_follows(page, landing):  # noqa: F811
    page.goto(landing)
    settle(page)
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_label("Model").click()
    page.get_by_role("option", name="other", exact=True).click()
    settle(page)
    assert "run=other-1" in page.url
    assert page.get_by_role("heading", name="other on planted-set").is_visible()
    assert "srv" not in page.get_by_test_id("stSidebar").inner_text()


def test_a_click_on_a_cell_opens_that_run_on_the_head_grid(page, landing):  # noqa: F811
    page.goto(landing)
    settle(page)
    table = page.get_by_test_id("stDataFrame").first
    table.locator("canvas").first.wait_for()

    def twin():
        table.scroll_into_view_if_needed()  # each time: what is drawn above it may push it away
        box = table.bounding_box()
        return box["x"] + MODEL + SET * 1.5, box["y"] + HEADER + ROW / 2

    click_until(page, twin, page.get_by_role("heading", name="Head grid"))
    settle(page)
    assert "/head-grid?" in page.url
    assert "run=twin" in page.url
    page.go_back()


def moving(page):  # noqa: F811
    """The drawing's pixels now, and two seconds later."""
    picture = page.locator("img[alt*='query times key']")
    picture.wait_for()
    looks = []
    for pause in (700, 2_600):
        page.wait_for_timeout(pause)
        looks.append(picture.screenshot())
    return looks[0] != looks[1]


@pytest.mark.parametrize(
    ("asks", "moves"), [([], True), (["--force-prefers-reduced-motion"], False)]
)
def test_the_drawing_moves_and_holds_still_for_who_asks_for_that(chromium, landing, asks, moves):  # noqa: F811
    """The flag is the system's setting.

    What Playwright emulates for a page does not reach the pictures in it.
    """
    own = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *asks])
    page = tab(own)  # noqa: F811
    page.goto(f"{landing}/?run=other-1")
    assert moving(page) is moves
    own.close()


def test_nothing_breaks_the_servers_policy(chromium, landing):  # noqa: F811
    page, said = tab(chromium), []  # noqa: F811
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{landing}/?run=other-1")
    page.locator("img[alt*='query times key']").wait_for()
    settle(page)
    assert not [text for text in said if "Content Security Policy" in text]
    page.context.close()
