"""Looks at the studio: waits until it has drawn, refuses anything from another host, saves what it saw.

`python -m tools.look URL` looks at a running one; without an address it starts one on the demonstration.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tools.chromium import DRAWN, DRAWN_MS, WINDOW, guard, launch
from tools.serve import Studio


def look(url: str, save: Path | None = None, schemes: tuple[str, ...] = ("light", "dark")) -> float:
    """Seconds until the canvas was drawn the first time; with `save`, a picture per colour scheme."""
    seconds: list[float] = []
    with sync_playwright() as playwright, contextlib.closing(launch(playwright)) as browser:
        for scheme in schemes if save else schemes[:1]:
            context = browser.new_context(viewport=WINDOW, color_scheme=scheme)
            left = guard(context)
            page = context.new_page()
            started_s = time.monotonic()
            page.goto(url, wait_until="commit")
            page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
            seconds.append(time.monotonic() - started_s)
            if save:
                save.mkdir(parents=True, exist_ok=True)
                work_a_little(page)
                page.screenshot(path=save / f"studio-{scheme}.png")
            page.close(run_before_unload=True)
            if left:
                raise SystemExit(f"The page asked other hosts: {', '.join(left)}")
    return seconds[0]


def work_a_little(page: Page) -> None:
    """Brings the page into the middle of some work: cut, measured, a block opened, a tie prepared."""
    row = lambda path: page.locator(f'[role="treeitem"][data-path="{path}"]')  # noqa: E731
    row("model.layers.1").click()
    page.keyboard.press("p")
    page.get_by_role("button", name="Apply remove").click()
    page.get_by_role("button", name="Evaluate").click()
    page.locator(".ms-area-chart .js-plotly-plot").wait_for(timeout=60_000)
    row("model.layers.4").dblclick()
    row("model.layers.4").click()
    row("model.layers.5").click(modifiers=["Control"])
    page.keyboard.press("t")
    page.get_by_role("button", name="Apply tie").and_(page.locator(":enabled")).wait_for()
    page.wait_for_load_state("networkidle")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.look", description=__doc__)
    parser.add_argument("url", nargs="?", help="the address that the server printed")
    parser.add_argument("--save", type=Path, help="a folder for studio-light.png and studio-dark.png")
    args = parser.parse_args()
    if args.url:
        print(f"drawn after {look(args.url, args.save):.1f} s")
    else:
        with Studio() as studio:
            print(f"drawn after {look(studio.url, args.save):.1f} s")


if __name__ == "__main__":
    sys.exit(main())
