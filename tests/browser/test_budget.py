"""The budget on the page: drag, see what goes and what it may cost, let go, apply; and what is suggested."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.by_hand import CANVAS, SLOW, block

PICTURE = "canvas => canvas.toDataURL()"
# A frame after the slider moved, with the kernel asked for nothing.
DRAGGED = """async ([canvas, slider, place]) => {
    slider.value = String(place);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);
    return canvas.toDataURL();
}"""


def swept(page: Page) -> None:
    """Every block was tried, and the tab of budgets is open."""
    page.get_by_role("textbox", name="Seconds for all blocks").fill("1")
    page.get_by_role("button", name="What would each cost?").click()
    expect(page.get_by_role("button", name="Best: remove layers.")).to_be_visible(timeout=3 * SLOW)
    page.get_by_role("tab", name="Budget").click()
    expect(page.get_by_role("slider", name="How much to save")).to_be_visible(timeout=SLOW)


def test_a_budget_is_dragged_measured_and_applied(studio_page: Page) -> None:
    """Cells fade in rank order at once; on release it is measured; Apply makes one step for each edit."""
    page, panel = studio_page, studio_page.locator(".ms-budget")
    swept(page)
    slider = page.get_by_role("slider", name="How much to save")
    expect(page.get_by_role("button", name="Apply", exact=True)).to_be_disabled()
    page.wait_for_selector('.ms-canvas[data-settled="true"]')
    canvas = page.locator(CANVAS).first
    pictures = [canvas.evaluate(PICTURE)]
    for place in (1, 2, 3):
        handles = [canvas.element_handle(), slider.element_handle(), place]
        pictures.append(page.evaluate(DRAGGED, handles))
    assert len(set(pictures)) == 4, "a cell more is faint at each place"

    slider.focus()
    slider.press("ArrowLeft")
    expect(panel.locator(".ms-budget-share")).to_have_text("−19.6 %")
    assert re.search(
        r"2 edits, perplexity \d+\.\d+, expected within", slider.get_attribute("aria-valuetext") or ""
    )
    expect(panel).to_contain_text(
        re.compile(r"measured \d+\.\d+, \+\d+\.\d+ ± \d+\.\d+; (within|interaction)"), timeout=SLOW
    )
    panel.get_by_role("button", name="Apply 2 edits").click()
    expect(page.locator(".ms-figures")).to_contain_text("1.21 M", timeout=SLOW)
    expect(page.locator(".ms-history .ms-state")).to_have_count(3)
    expect(block(page, "model.layers.8")).to_have_count(0)
    expect(panel).to_have_count(0)


def test_a_suggestion_says_why_and_is_made(studio_page: Page) -> None:
    """Its line has saving, cost and interval; its reasons are there when they are asked for."""
    page = studio_page
    swept(page)
    listed = page.get_by_role("region", name="Suggestions")
    first = listed.get_by_role("listitem").first
    expect(first).to_contain_text(re.compile(r"remove \d−148 k · perplexity \+\d+\.\d+ ± \d+\.\d+"))
    first.get_by_role("button", name="Why remove").click()
    expect(first).to_contain_text("The best of 10 edits by what they cost for the parameters they save.")
    first.get_by_role("button", name="Apply remove").click()
    expect(page.locator(".ms-figures")).to_contain_text("1.36 M", timeout=SLOW)
