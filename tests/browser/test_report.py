"""Reports and pictures in a real browser: nothing is fetched, nothing runs, nothing sticks out."""

from __future__ import annotations

import pytest
import torch
from playwright.sync_api import Browser, Page

import surgery
from surgery.report import report_html
from tests.surgery.picture.test_picture import HOSTILE, Hostile
from tools import chromium

OUTSIDE = """() => [...document.querySelectorAll('svg text')].filter(text => {
  const box = text.getBBox(), frame = text.ownerSVGElement.viewBox.baseVal;
  return box.x < frame.x || box.x + box.width > frame.x + frame.width
    || box.y < frame.y || box.y + box.height > frame.y + frame.height;
}).map(text => text.textContent)"""


def edited(name: str) -> surgery.Session:
    """A model with an edit and a sweep, or one whose names are markup."""
    if name == HOSTILE:
        session = surgery.open(Hostile(), inputs=(torch.randn(2, 4),))
        session.remove("blocks[0]")
        return session
    session = surgery.open(name)
    session.remove("model.layers[3]")
    session.sweep("remove", "model.layers[6:]", budget_s=0)
    session.evaluate(0)
    return session


def opened(page: Page, html: str) -> list[str]:
    """Shows the text; what went wrong with it."""
    wrong: list[str] = []
    page.on("request", lambda request: wrong.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.set_content(html)
    return wrong


@pytest.mark.parametrize("name", ["demo", HOSTILE])
def test_a_report_stands_by_itself(browser: Browser, name: str) -> None:
    """Light and dark, wide and narrow: it asks for nothing, alerts nobody, and fits its window."""
    html = report_html(edited(name))
    for scheme, width in (("light", 1180), ("dark", 400)):
        context = chromium.fresh(browser, color_scheme=scheme, viewport={"width": width, "height": 800})
        left = chromium.guard(context)
        page = context.new_page()
        assert opened(page, html) == left == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        dark = (
            page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(23, 27, 33)"
        )
        assert dark == (scheme == "dark")
        context.close()


@pytest.mark.parametrize("name", ["demo", HOSTILE])
def test_a_picture_stands_by_itself(browser: Browser, name: str) -> None:
    """All that is written in it lies within it, in the fonts that are here."""
    context = chromium.fresh(browser)
    page = context.new_page()
    assert opened(page, edited(name).picture()) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.locator("svg title").count() == 1
    context.close()
