"""How long the web app takes from the click to the first picture: new visitors and reloads."""

import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.tables import Table
from tools.chromium import DRAWN, DRAWN_MS, WINDOW, find, launch
from tools.serve import SERVE, Studio

ROUNDS = 3
LIMIT_S = 3.0
SETTLE_S = 20.0
"""Until the next spare process is ready and the machine is quiet."""


def tables() -> list[Table]:
    """One table; none where there is no browser."""
    if find() is None:
        return []
    rows = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        with Studio((*SERVE, "--keep", "0")) as studio:
            rows.append(_row("a new visitor, spare process ready", _new_visitors(browser, studio, SETTLE_S)))
            rows.append(_row("a reload", _reloads(browser, studio)))
        with Studio((*SERVE, "--keep", "0", "--no-spare")) as studio:
            rows.append(_row("a new visitor, no spare process", _new_visitors(browser, studio, 2.0)))
        browser.close()
    promise = "The demonstration in headless Chromium, from navigation to painted graph; empty cache."
    return [Table("The first picture", promise, ("who", "median", "worst", "at most"), tuple(rows))]


def _row(who: str, taken_s: list[float]) -> tuple[str, ...]:
    promised = f"{LIMIT_S:.0f} s" if "spare process ready" in who else ""
    return who, f"{statistics.median(taken_s):.1f} s", f"{max(taken_s):.1f} s", promised


def _new_visitors(browser: Browser, studio: Studio, settle_s: float) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        time.sleep(settle_s)
        page = browser.new_context(viewport=WINDOW).new_page()
        taken.append(_until_drawn(page, lambda page=page: page.goto(studio.url, wait_until="commit")))
        page.close(run_before_unload=True)
    return taken


def _reloads(browser: Browser, studio: Studio) -> list[float]:
    page = browser.new_context(viewport=WINDOW).new_page()
    _until_drawn(page, lambda: page.goto(studio.url, wait_until="commit"))
    time.sleep(SETTLE_S)
    taken = [_until_drawn(page, lambda: page.reload(wait_until="commit")) for _ in range(ROUNDS)]
    page.close(run_before_unload=True)
    return taken


def _until_drawn(page: Page, ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    return time.perf_counter() - began
