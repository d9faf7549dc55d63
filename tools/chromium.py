"""The headless Chromium that tests, screenshots and `make fresh` look through, kept on this machine."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
DRAWN = '.ms-canvas[data-ready="true"]'
DRAWN_MS = 120_000  # four seconds on an idle machine; a busy one may take its time
WINDOW = {"width": 1440, "height": 900}


def find() -> str | None:
    """The Chromium to use: `SURGERY_CHROMIUM`, Debian's, or one on the PATH."""
    named = os.environ.get("SURGERY_CHROMIUM")
    if named:
        return named
    if Path("/usr/bin/chromium").exists():
        return "/usr/bin/chromium"
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def launch(playwright: Playwright) -> Browser:
    """Start it; Playwright's own browsers are not needed."""
    path = find()
    if path is None:
        raise RuntimeError("No Chromium found. Try: install one, or name it in SURGERY_CHROMIUM.")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def fresh(browser: Browser, **options: Any) -> BrowserContext:
    """A context of its own, with our window; what is done in it may take as long as a first picture."""
    made = browser.new_context(**{"viewport": WINDOW, **options})
    made.set_default_timeout(DRAWN_MS)
    return made


def guard(context: BrowserContext) -> list[str]:
    """Stop every request of the context that would leave this machine; the list that gathers them."""
    left: list[str] = []

    def check(route: Route) -> None:
        url = route.request.url
        if is_local(url):
            route.continue_()
        else:
            left.append(url)
            route.abort()

    def watch(page: Page) -> None:
        page.on("websocket", lambda socket: None if is_local(socket.url) else left.append(socket.url))

    context.route("**/*", check)
    context.on("page", watch)
    return left


def is_local(url: str) -> bool:
    """Whether loading `url` stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in LOOPBACK
