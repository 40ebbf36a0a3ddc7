"""The dashboard in a real Chromium: started as `make app` starts it, clicked as a person clicks."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests import ROOT

pytestmark = pytest.mark.browser
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def address(planted_path):
    """The address of a server on the planted store."""
    with server_on(planted_path) as found:
        yield found


@pytest.fixture(scope="module")
def family_address(family_path):
    """The address of a server on the store of three runs."""
    with server_on(family_path) as found:
        yield found


@contextmanager
def server_on(store):
    """A server as `make app` starts it, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"STREAMLIT_SERVER_HEADLESS": "true"}
    line = [sys.executable, "-m", "qkcore", "app", "--store", str(store), "--port", str(port)]
    with subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            yield wait_until_healthy(f"http://127.0.0.1:{port}", server)
        finally:
            server.terminate()


def wait_until_healthy(address, server):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            if urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).read() == b"ok":
                return address
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not become healthy within two minutes")


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        if os.environ.get("QKSCOPE_REQUIRE_BROWSER"):
            pytest.fail("no Chromium on this machine, and QKSCOPE_REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def tab(chromium, width=1280, height=1000, **options):
    """An empty tab of a visitor's own; closing its context is the caller's business."""
    context = chromium.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page


@pytest.fixture
def page(chromium):
    page = tab(chromium)
    yield page
    page.context.close()


# How high the page is and how much is on it; null while the script runs or has drawn nothing.
LOOK = """() => {
    const app = document.querySelector("[data-testid='stApp']");
    const main = document.querySelector("[data-testid='stMain']");
    const n = main ? main.querySelectorAll("[data-testid='stElementContainer']").length : 0;
    return app.dataset.testScriptState === "notRunning" && n ? [main.scrollHeight, n].join() : null;
}"""


def settle(page):
    """Wait until the last run of the script has ended, and the page keeps its height.

    A widget tells the server after a moment only; and on busy cores a page that has just been
    opened says for a while that nothing runs, because nothing has begun.
    """
    page.wait_for_selector("[data-testid='stApp'][data-test-connection-state='CONNECTED']")
    page.wait_for_timeout(400)
    looks = []
    for _ in range(600):
        looks = [*looks, page.evaluate(LOOK)][-3:]
        if len(looks) == 3 and looks[0] and len(set(looks)) == 1:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the page does not come to rest: {looks}")


def cell(page, layer, head, n_layers=3, n_heads=4):
    """Where on the screen a cell of the grid is: the axes' own labels give its row and column."""
    chart = page.get_by_test_id("stVegaLiteChart").first
    # Before the grid is drawn, the first chart may be another one, far below.
    chart.locator("svg g.mark-rect path").nth(n_layers * n_heads - 1).wait_for()
    chart.scroll_into_view_if_needed()
    marks = chart.locator("svg g.mark-rect path").all()
    boxes = [mark.bounding_box() for mark in marks[: n_layers * n_heads]]
    boxes.sort(key=lambda box: (-round(box["y"]), box["x"]))  # layer 0 is at the bottom
    box = boxes[layer * n_heads + head]
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def click_until(page, place, shown):
    """Click at a place, given by a function, until something is shown.

    A canvas takes no clicks in its first moments, and what is drawn above it may still move it: a
    person would click again.
    """
    from playwright.sync_api import TimeoutError as TooLate

    for _ in range(5):
        page.mouse.click(*place())
        try:
            shown.wait_for(timeout=20_000)
        except TooLate:
            continue
        return
    raise AssertionError(f"five clicks showed no {shown}")


def test_on_a_phone_the_sidebar_closes_behind_a_page_link(chromium, address):
    phone = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130 Mobile"
    page = tab(chromium, 390, 800, user_agent=phone, has_touch=True, is_mobile=True)
    page.goto(address)
    settle(page)
    sidebar = page.get_by_test_id("stSidebar")
    page.get_by_test_id("stExpandSidebarButton").tap()
    sidebar.get_by_role("link", name="Head grid").tap()
    page.get_by_role("heading", name="Head grid").wait_for()
    settle(page)
    assert sidebar.get_attribute("data-collapsed") == "true"
    page.context.close()


def test_of_a_long_id_the_end_is_seen_and_the_list_shows_all_of_it(page, address):
    page.goto(address)
    settle(page)
    page.get_by_text("Reading, type and id").click()
    box = page.locator(".st-key-run input")
    assert box.evaluate("one => getComputedStyle(one).direction") == "rtl"
    box.click()
    option = page.get_by_role("option").first
    assert option.locator("> div").evaluate("one => getComputedStyle(one).whiteSpace") == "normal"


def test_a_click_on_a_cell_opens_that_head_and_the_link_opens_it_again(page, chromium, address):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/head-grid")  # the first visit to a server that has just started
    settle(page)
    assert not page.get_by_role("dialog").count()
    assert page.get_by_role("heading", name="L1 H2").is_visible()
    clicked = page.get_by_role("heading", name="L2 H3")
    click_until(page, lambda: cell(page, layer=2, head=3), clicked)
    settle(page)
    assert re.search(r"layer=2&head=3", page.url)
    assert "picked by hand" in page.get_by_test_id("stMain").inner_text().lower()
    assert not errors

    page.get_by_text("Link to this view").click()
    link = page.get_by_test_id("stSidebar").get_by_test_id("stCode").inner_text().strip()
    assert "/head-grid?run=planted-1&layer=2&head=3" in link
    elsewhere = chromium.new_context().new_page()
    elsewhere.goto(link)
    elsewhere.get_by_role("heading", name="L2 H3").wait_for()
    elsewhere.context.close()


def test_a_click_moves_nothing_keeps_the_legends_colours_and_the_sidebar_follows(page, address):
    page.goto(f"{address}/head-grid")
    settle(page)
    cell(page, layer=0, head=1)  # scrolled into view
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(scrolled)
    shown = page.get_by_role("heading", name="L0 H1")
    click_until(page, lambda: cell(page, layer=0, head=1), shown)
    settle(page)
    assert page.evaluate(scrolled) == before
    sidebar = page.get_by_test_id("stSidebar")
    assert [sidebar.get_by_label(name, exact=True).input_value() for name in ("Layer", "Head")] == [
        "0",
        "1",
    ]
    legend = page.get_by_test_id("stVegaLiteChart").first.locator("svg g.role-legend-symbol path")
    legend.nth(4).wait_for()  # the chart may just be drawn anew
    colours = [one.get_attribute("fill") for one in legend.all()]
    assert len(set(colours)) == 5
    assert not any("url" in colour for colour in colours)


def test_a_link_into_another_page_leaves_each_name_once_in_the_address(page, family_address):
    page.goto(f"{family_address}/puzzles?run=planted-2&layer=2&head=3")
    settle(page)
    # Before the fields are drawn, Streamlit follows a link without what they hold.
    page.get_by_test_id("stSidebar").get_by_label("Head", exact=True).wait_for()
    page.get_by_text("Link to this view").wait_for()
    page.get_by_text("Open in Try a puzzle").click()
    page.get_by_role("heading", name="Who gets it right").wait_for()
    # Streamlit writes the address in several steps, while the page is drawn and after.
    page.wait_for_function(
        "['run', 'layer', 'head', 'puzzle'].every("
        "name => new URLSearchParams(location.search).getAll(name).length === 1)"
    )
    settle(page)
    assert [page.url.count(f"{name}=") for name in ("run", "layer", "head", "puzzle")] == [1] * 4


def test_hovering_a_cell_shows_its_accuracy_with_n(page, address):
    page.goto(f"{address}/head-grid")
    settle(page)
    page.mouse.move(*cell(page, layer=1, head=2))
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert re.search(r"L1 H2[\s\S]*\d+\.\d\s% \(\d+\.\d to \d+\.\d, n = 60\)", tooltip.inner_text())


LISTED = re.findall(r'title="([^"]+)"', (ROOT / "pages/main/main.py").read_text())
PAGES = [title for title in LISTED if title != "Try a puzzle"]  # which has a file of its own


def turn_to(page, title):
    """Click a page in the list, which a phone folds away, and wait until it has come."""
    is_folded = page.get_by_test_id("stExpandSidebarButton").count()
    if is_folded:
        page.get_by_test_id("stExpandSidebarButton").click()
    link = page.get_by_test_id("stSidebar").get_by_role("link", name=title, exact=True)
    if not page.title().startswith(f"{title} ·"):
        before = page.locator("h1").inner_text()
        link.click()
        page.locator("h1", has_not_text=before).wait_for()
    if is_folded:
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    settle(page)


@pytest.fixture(scope="module")
def phone(chromium, family_address):
    """(page, errors) on a small screen that asks for dark; one visitor looks at all pages."""
    page, errors = tab(chromium, width=390, height=800, color_scheme="dark"), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    page.goto(family_address)
    settle(page)
    yield page, errors
    page.context.close()


@pytest.mark.parametrize("title", PAGES)
def test_a_phone_in_dark_shows_every_page_without_sideways_scrolling_or_error(title, phone):
    page, errors = phone
    turn_to(page, title)
    assert page.locator("h1").is_visible()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    background = page.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert sum(map(int, re.findall(r"\d+", background)[:3])) < 150  # dark
    assert not errors


def is_error(message) -> bool:
    """Streamlit asks for its own health below a page's address first, and is told 404.

    All else counts.
    """
    return message.type == "error" and "404" not in message.text


@pytest.fixture(scope="module")
def screen(chromium, family_address):
    """A page on a large screen; one visitor looks at all pages."""
    page = tab(chromium)
    page.goto(family_address)
    settle(page)
    yield page
    page.context.close()


@pytest.mark.parametrize("title", PAGES)
def test_axe_finds_no_serious_violation_in_light_or_dark(title, screen):
    from axe_playwright_python.sync_playwright import Axe

    turn_to(screen, title)
    serious = []
    for scheme in ("light", "dark"):
        screen.emulate_media(color_scheme=scheme)
        screen.wait_for_timeout(500)
        found = Axe().run(screen).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        serious += [
            (scheme, one["id"], [node["html"][:200] for node in one["nodes"]]) for one in grave
        ]
    assert not serious


def test_an_export_is_downloaded_and_read_back(page, family_address):
    page.goto(f"{family_address}/head-grid?run=planted-1")
    settle(page)
    page.get_by_text("Table, downloads and Python").first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV", exact=True).first.click()
    frame = pd.read_csv(waiting.value.path())
    with page.expect_download() as waiting:
        page.get_by_role("button", name="SVG", exact=True).first.click()
    picture = Path(waiting.value.path()).read_text()
    assert len(frame) == 12
    assert frame.loc[frame["accuracy"].idxmax(), ["layer", "head"]].tolist() == [1, 2]
    assert picture.startswith("<svg")


def test_a_measure_and_a_filter_come_back_with_the_link(page, family_address):
    page.goto(f"{family_address}/head-grid?run=planted-1&measure=AUC&steps=2")
    settle(page)
    text = page.get_by_test_id("stMain").inner_text()
    assert "n = 20)" in text.replace("\xa0", " ")
    assert "AUC asks only how a head orders puzzles" in text


def test_a_row_of_the_puzzles_table_opens_that_puzzle(page, family_address):
    page.goto(f"{family_address}/puzzles?run=planted-1")
    settle(page)
    before = page.get_by_role("heading", level=2).first.inner_text()
    table = page.get_by_test_id("stDataFrame").first
    table.locator("canvas").first.wait_for()

    def checkbox():
        """Of a row further down."""
        box = table.bounding_box()
        return box["x"] + 18, box["y"] + 38 + 35 * 2

    another = page.get_by_role("heading", level=2, name=re.compile(rf"^(?!{before}$)g\d+-[01]$"))
    click_until(page, checkbox, another)
    settle(page)
    heading = page.get_by_role("heading", level=2).first.inner_text()
    assert re.fullmatch(r"g\d+-[01]", heading)
    assert heading != before
    assert f"puzzle_id={heading}" in page.url
