"""Try a puzzle in a real Chromium: typed, clicked, changed, shared and opened again."""

import pytest

from tests.pages.test_browser import ROOT, cell, chromium, click_until, page, server_on, settle, tab  # noqa: F401 - fixtures
from tests.stores import demo_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo_address():
    """The address of a server on the demo store."""
    with server_on(ROOT / "data" / "qkscope.duckdb") as found:
        yield found


@pytest.fixture
def live(page, demo_address):  # noqa: F811
    """The page, with its first example scored."""
    page.set_default_timeout(120_000)  # the model is loaded at the first visit
    page.goto(f"{demo_address}/try-a-puzzle?run={demo_run()}")
    scored(page)
    return page


def scored(page):  # noqa: F811
    page.get_by_role("heading", name="Take it away").wait_for()
    settle(page)


def main_text(page):  # noqa: F811
    return page.get_by_test_id("stMain").inner_text()


def fill(page, context, statement):  # noqa: F811
    page.get_by_label("Context", exact=True).fill(context)
    page.get_by_label("Statement", exact=True).fill(statement)
    page.get_by_role("button", name="Score this puzzle").click()
    settle(page)
    scored(page)


def link_on(page):  # noqa: F811
    return (
        page.get_by_test_id("stMain")
        .get_by_test_id("stCode")
        .filter(has_text="puzzle=")
        .inner_text()
        .strip()
    )


def test_a_puzzle_is_typed_a_head_clicked_and_the_link_opens_both_again(live, chromium):  # noqa: F811
    errors = []
    live.on("pageerror", lambda error: errors.append(str(error)))
    fill(
        live,
        "Rex is a lempus. Every lempus is a <b>wumpus</b>. Wumpuses are not shy.",
        "Rex is not shy.",
    )
    assert "The model has never seen" in main_text(live)
    assert "<b>wumpus</b>" in live.get_by_label("Context", exact=True).input_value()
    fill(
        live, "Rex is a lempus. Every lempus is a wumpus. Wumpuses are not shy.", "Rex is not shy."
    )
    assert "The right answer is true (2 steps)" in main_text(live)
    click_until(
        live,
        lambda: cell(live, layer=3, head=2, n_layers=8, n_heads=4),
        live.get_by_role("heading", name="What the query of L3 H2 matches"),
    )
    settle(live)
    headline = next(line for line in main_text(live).splitlines() if "The right answer is" in line)
    assert "L3 H2 says" in headline
    elsewhere = chromium.new_context().new_page()
    elsewhere.set_default_timeout(60_000)
    elsewhere.goto(link_on(live))
    scored(elsewhere)
    assert headline in main_text(elsewhere)
    assert elsewhere.get_by_role("heading", name="What the query of L3 H2 matches").is_visible()
    assert link_on(elsewhere) == link_on(live)
    elsewhere.context.close()
    assert not errors


def test_the_address_names_the_puzzle_and_a_reload_keeps_it(live):
    fill(live, "Rex is a lempus. Every lempus is shy.", "Rex is not shy.")
    live.reload()
    scored(live)
    assert live.get_by_label("Statement", exact=True).input_value() == "Rex is not shy."
    assert "The right answer is false (1 step)" in main_text(live)


def test_what_was_typed_is_there_again_after_another_page(live):
    fill(live, "Rex is a lempus. Every lempus is happy.", "Rex is happy.")
    live.get_by_test_id("stSidebar").get_by_text("Overview").click()
    settle(live)
    assert "puzzle=" not in live.url
    live.get_by_test_id("stSidebar").get_by_text("Try a puzzle").click()
    scored(live)
    assert live.get_by_label("Statement", exact=True).input_value() == "Rex is happy."
    assert "The right answer is true (1 step)" in main_text(live)


def test_changes_show_who_flips_and_axe_finds_no_serious_violation_in_light_or_dark(live):
    from axe_playwright_python.sync_playwright import Axe

    live.get_by_role("button", name="Try these changes").click()
    live.get_by_text("draws for each number of distractors").wait_for()
    assert "model changes its answer" in main_text(live)
    for scheme in ("light", "dark"):
        live.emulate_media(color_scheme=scheme)
        live.wait_for_timeout(500)
        found = Axe().run(live).response["violations"]
        assert not [
            (one["id"], one["nodes"][0]["html"])
            for one in found
            if one["impact"] in ("serious", "critical")
        ], scheme


def test_a_head_is_switched_off_beside_others_and_the_link_opens_it_so(live, chromium):  # noqa: F811
    switch = live.get_by_role("switch", name="Switch this head off")
    assert "off=true" not in link_on(live)
    live.get_by_text("Switch this head off", exact=True).click()
    live.get_by_text("As it is, the model says").wait_for()
    scored(live)
    assert switch.is_checked()
    sentence = next(line for line in main_text(live).splitlines() if "As it is, the" in line)
    assert "stand out" in sentence or "stands out" in sentence
    link = link_on(live)
    assert "off=true" in link
    elsewhere = tab(chromium)
    elsewhere.set_default_timeout(120_000)
    elsewhere.goto(link)
    scored(elsewhere)
    assert sentence in main_text(elsewhere)
    assert elsewhere.get_by_role("switch", name="Switch this head off").is_checked()
    elsewhere.context.close()
    live.get_by_text("Switch this head off", exact=True).click()
    scored(live)
    assert "off=true" not in link_on(live)


def premise_in_the_prompt(page, word):  # noqa: F811
    strip = page.get_by_test_id("stVegaLiteChart").nth(1)
    strip.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = strip.locator("svg text", has_text=word).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_hovering_a_token_tells_its_value_and_a_click_leaves_its_premise_out(live):
    fill(live, "Rex is a lempus. Every lempus is shy. Wren is a wumpus.", "Rex is shy.")
    at = premise_in_the_prompt(live, "Wren")
    live.mouse.move(*at)
    tooltip = live.locator("#vg-tooltip-element")
    tooltip.get_by_text("Wren").wait_for()
    assert any(sign.isdigit() for sign in tooltip.inner_text())
    click_until(live, lambda: at, live.get_by_text("Left out: Wren is a wumpus."))
    scored(live)
    context = live.get_by_label("Context", exact=True)
    assert context.input_value() == "Rex is a lempus. Every lempus is shy."
    assert "The right answer is true (1 step)" in main_text(live)
    live.get_by_role("button", name="Put it back").click()
    scored(live)
    assert context.input_value() == "Rex is a lempus. Every lempus is shy. Wren is a wumpus."


def test_a_premise_is_left_out_by_keyboard(live):
    fill(live, "Rex is a lempus. Every lempus is shy. Wren is a wumpus.", "Rex is shy.")
    live.get_by_label("Leave out a premise and score again").focus()
    live.keyboard.type("Wren")
    live.keyboard.press("ArrowDown")
    live.keyboard.press("Enter")
    live.get_by_text("Left out: Wren is a wumpus.").wait_for()
    scored(live)


def style(page, selector, name):  # noqa: F811
    return page.locator(selector).first.evaluate(f"one => getComputedStyle(one).{name}")


def test_the_prompt_is_drawn_as_wide_as_the_page_and_in_its_type(live):
    strip = live.get_by_test_id("stVegaLiteChart").nth(1)
    page_width = live.get_by_test_id("stMainBlockContainer").bounding_box()["width"]
    assert strip.bounding_box()["width"] > 0.8 * page_width
    fonts = strip.locator("svg text").evaluate_all("all => all.map(one => one.style.fontFamily)")
    attributes = strip.locator("svg text").evaluate_all(
        "all => all.map(one => one.getAttribute('font-family'))"
    )
    assert "mono" not in " ".join(filter(None, [*fonts, *attributes])).lower()


def test_typed_text_runs_as_its_first_letter_does(live):
    for selector in (".st-key-live-context textarea", ".st-key-live-statement input"):
        assert style(live, selector, "unicodeBidi") == "plaintext"


def test_after_a_refusal_the_old_result_is_dimmed_and_still_legible(live):
    from axe_playwright_python.sync_playwright import Axe

    live.get_by_label("Statement", exact=True).fill("")
    live.get_by_role("button", name="Score this puzzle").click()
    live.get_by_text("This is the result of the puzzle before").wait_for()
    scored(live)
    assert style(live, ".st-key-live-before", "filter") == "grayscale(1)"
    assert style(live, ".st-key-live-before [data-testid=stVegaLiteChart]", "opacity") == "0.45"
    found = Axe().run(live).response["violations"]
    serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    assert not serious
    live.get_by_label("Statement", exact=True).fill("Max is cold.")
    live.get_by_role("button", name="Score this puzzle").click()
    live.locator(".st-key-live-before").wait_for(state="detached")


def test_the_whole_page_works_by_keyboard(live):
    live.get_by_label("Statement", exact=True).focus()
    live.keyboard.press("Control+A")
    live.keyboard.type("Max is not cold.")
    button = live.get_by_role("button", name="Score this puzzle")
    for _ in range(30):
        live.keyboard.press("Tab")
        if button.evaluate("one => one === document.activeElement"):
            break
    live.keyboard.press("Enter")
    live.get_by_text("The right answer is true (2 steps)").wait_for()


def test_clicking_twice_does_no_harm(live):
    live.get_by_label("Statement", exact=True).fill("Rex is cold.")
    live.keyboard.press("Tab")  # taken over, and drawn, before a click that drawing would swallow
    settle(live)
    button = live.get_by_role("button", name="Score this puzzle")
    button.click()
    button.click()
    live.get_by_text("The right answer is true (1 step)").wait_for()
    scored(live)
    assert not live.get_by_test_id("stException").count()


def test_two_visitors_at_once_are_both_served(demo_address, chromium):  # noqa: F811
    pages = [chromium.new_context().new_page() for _ in range(2)]
    for one in pages:
        one.set_default_timeout(120_000)
        one.goto(f"{demo_address}/try-a-puzzle?run={demo_run()}")
    for one in pages:
        scored(one)
        one.context.close()


def test_a_phone_shows_the_page_without_sideways_scrolling_in_light_and_dark(
    demo_address,
    chromium,  # noqa: F811
):
    page = tab(chromium, width=390, height=800)  # noqa: F811
    page.set_default_timeout(120_000)
    page.goto(f"{demo_address}/try-a-puzzle?run={demo_run()}")
    scored(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(500)
        width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= 390, scheme
    page.context.close()
