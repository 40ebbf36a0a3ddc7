"""How long after a click on the grid the head stands beside it.

    python -m tests.bench.bench_click [--store FILE.duckdb] [--n 12]

In a real Chromium on a server of its own: from the mouse going down on a cell of Head grid to the
frame in which that head's name and profile are painted, and to the end of all work (the rest of the
page has followed). Each cell is clicked once, so nothing about its head is cached; a second round
over the same cells has it cached. Also says by how many pixels the page has moved.
"""

import argparse
import random
import statistics
from pathlib import Path

from qkcore.bundled import demo_store
from tests.pages.test_browser import CHROMIUM, QUIET, server_on, settle

# Notes when the mouse goes down, and the frame after the text of the column beside the grid has all
# of the head: its name and the last line of its profile.
WATCH = """
name => {
    window.found = null;
    window.down = null;
    addEventListener('pointerdown', () => { window.down = performance.now(); },
                     {capture: true, once: true});
    const observer = new MutationObserver(() => {
        const heading = [...document.querySelectorAll('h2')].find(one => one.innerText === name);
        const link = [...document.querySelectorAll('[data-testid=stPageLink]')]
            .find(one => one.innerText.includes('Try a puzzle on ' + name));
        if (heading && link && window.found === null) {
            window.found = 0;
            requestAnimationFrame(() => setTimeout(() => {
                window.found = performance.now() - window.down;
            }));
            observer.disconnect();
        }
    });
    observer.observe(document.body, {subtree: true, childList: true, characterData: true});
}
"""


def click_times(page, cells) -> list[tuple[float, float, float]]:
    """(milliseconds to paint, to the end, pixels moved) of a click on each cell."""
    figures = []
    for name, (x, y) in cells:
        before = page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop")
        page.evaluate(WATCH, name)
        page.mouse.click(x, y)
        for _ in range(1_000):  # the page's own policy forbids Playwright's way to wait
            if paint := page.evaluate("window.found"):
                break
            page.wait_for_timeout(20)
        else:
            raise SystemExit(f"{name} was clicked and did not come")
        settle(page)
        end = page.evaluate("performance.now() - window.down")
        after = page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop")
        figures.append((paint, end, abs(after - before)))
    return figures


def cells_in_view(page, n: int) -> list[tuple[str, tuple[float, float]]]:
    """Names and places of some cells that need no scrolling."""
    chart = page.get_by_test_id("stVegaLiteChart").first
    chart.scroll_into_view_if_needed()
    found = page.evaluate(
        """() => [...document.querySelectorAll(
                '[data-testid=stVegaLiteChart] svg g.mark-rect path')]
            .map(path => ({words: path.getAttribute('aria-label') || '',
                           box: path.getBoundingClientRect()}))
            .filter(one => one.box.top > 80 && one.box.bottom < innerHeight - 10)
            .map(one => [one.words, one.box.x + one.box.width / 2,
                         one.box.y + one.box.height / 2])"""
    )
    named = {}
    for words, x, y in found:
        numbers = dict(part.strip().split(": ", 1) for part in words.split(";") if ": " in part)
        if {"Layer", "Head"} <= numbers.keys():
            named[f"L{numbers['Layer']} H{numbers['Head']}"] = x, y
    return random.Random(0).sample(sorted(named.items()), min(n, len(named)))


def main() -> None:
    """Print median and worst of both rounds."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--store", type=Path, default=demo_store())
    parser.add_argument("--n", type=int, default=12, help="cells to click")
    options = parser.parse_args()
    with sync_playwright() as playwright, server_on(options.store) as address:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.goto(f"{address}/head-grid")
        settle(page)
        page.wait_for_selector("[data-testid='stVegaLiteChart'] svg g.mark-rect path")
        cells = cells_in_view(page, options.n)
        for what in ("first time", "again"):
            figures = click_times(page, cells)
            for name, values in zip(("paint", "end"), zip(*figures, strict=True), strict=False):
                middle, worst = statistics.median(values), max(values)
                print(
                    f"{what}, {name}: median {middle:.0f} ms, worst {worst:.0f} ms, "
                    f"n = {len(values)}"
                )
            print(f"{what}: moved by at most {max(one[2] for one in figures):.0f} pixels")
        browser.close()


if __name__ == "__main__":
    main()
