"""The prompt bench on the page: ask, see where the answers part, find the step that did it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.by_hand import SLOW, apply, block, verb
from tests.browser.test_gestures import AXE, SERIOUS

STOPS = "() => [...document.querySelectorAll('.ms-prompt-text button')].filter(b => b.tabIndex === 0).length"


def test_ask_and_blame(studio_page: Page) -> None:
    """With keys alone after the edits: Q, a text, Enter; Tab to the token, Enter; bars for both steps."""
    page = studio_page
    block(page, "model.layers.6").click()
    verb(page, "Adjust").click()
    page.get_by_role("toolbar", name="Ways to adjust").get_by_role("button", name="Scale").click()
    page.get_by_role("textbox", name=re.compile("Factor")).first.fill("0.3")
    apply(page, "scale")
    block(page, "model.layers.2").click()
    page.keyboard.press("p")
    apply(page, "remove")
    block(page, "model.layers.0").focus()
    page.keyboard.press("q")
    bench = page.get_by_role("region", name="Prompt bench")
    prompt = bench.get_by_role("textbox", name="Prompt")
    expect(prompt).to_be_focused()
    prompt.fill("The for statement is")
    bench.get_by_role("textbox", name="Tokens").fill("24")
    prompt.press("Enter")
    expect(bench).to_contain_text("They part at position", timeout=SLOW)
    original = bench.get_by_role("toolbar", name=re.compile("Tokens of original"))
    expect(original.get_by_role("button")).to_have_count(24)
    assert page.evaluate(STOPS) == 2  # one stop of Tab in each text
    marked = original.get_by_role("button", name=re.compile("the first difference"))
    expect(marked).to_have_attribute("tabindex", "0")
    marked.focus()
    page.keyboard.press("Enter")
    bars = bench.get_by_role("region", name="Blame of each step")
    expect(bars.get_by_role("row")).to_have_count(3, timeout=SLOW)
    expect(bars).to_contain_text("remove layers[2]")
    expect(marked).to_have_attribute("aria-pressed", "true")
    page.add_script_tag(path=AXE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert page.evaluate(SERIOUS) == [], scheme
    page.keyboard.press("Escape")
    expect(bench).to_have_count(0)


def test_stop_keeps_what_was_written(studio_page: Page) -> None:
    """A long answer is stopped from the bench; what was written stays."""
    page = studio_page
    page.get_by_role("button", name="Prompt", exact=True).click()
    bench = page.get_by_role("region", name="Prompt bench")
    bench.get_by_role("textbox", name="Prompt").fill("The")
    bench.get_by_role("textbox", name="Tokens").fill("900")
    bench.get_by_role("button", name="Ask both").click()
    tokens = bench.get_by_role("toolbar", name=re.compile("Tokens of edited")).get_by_role("button")
    expect(tokens.nth(2)).to_be_attached(timeout=SLOW)
    bench.get_by_role("button", name="Stop").click()
    expect(bench).to_contain_text("Stopped.", timeout=SLOW)
    assert 3 <= tokens.count() < 900
