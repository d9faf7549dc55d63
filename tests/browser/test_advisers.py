"""Advisers as a person asks them: in the panel of measures, by the palette, and what the graph shows then."""

import re

from playwright.sync_api import Page, expect

from tests.browser.by_hand import SLOW


def test_advisers_are_asked_where_they_are_shown(studio_page: Page) -> None:
    """Bars and a step from the ranking, a heat map of pairs; the palette asks, and the canvas has colours."""
    page, report = studio_page, studio_page.locator(".ms-report")
    page.get_by_role("tab", name="Advice").click()
    adviser = report.get_by_label("Adviser")
    adviser.select_option("weight_norm")
    report.get_by_role("button", name="Ask for weight norm").click()
    expect(report.locator(".ms-bars li")).to_have_count(10, timeout=SLOW)
    expect(page.locator(".ms-legend")).to_contain_text("weight norm", timeout=SLOW)
    expect(page.get_by_label("Colour by")).to_have_value("advice:weight_norm")
    report.get_by_role("button", name="Remove model.layers.1").click()
    expect(page.locator(".ms-inspector")).to_contain_text('s.remove("model.layers[1]")', timeout=SLOW)
    adviser.select_option("weight_similarity")
    report.get_by_role("button", name="Ask for weight similarity").click()
    expect(report.locator("canvas")).to_be_visible(timeout=SLOW)
    report.locator("canvas").hover(position={"x": 60, "y": 20})
    expect(report.locator(".ms-heat-at")).to_have_text(
        re.compile(r"^model\.layers\.1 and model\.layers\.\d: ")
    )
    page.keyboard.press("Control+k")
    page.keyboard.type("colour by stable")
    page.keyboard.press("Enter")
    expect(page.locator(".ms-legend")).to_contain_text("stable rank", timeout=SLOW)
