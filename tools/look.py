"""Looks at the studio: waits until it has drawn, refuses anything from another host, saves what it saw.

`python -m tools.look URL` looks at a running one; without an address it starts one on the demonstration.
`--save docs/images` writes a picture of each main state (`tools.states`), `--only evaluated` some of them.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tools.chromium import DRAWN, DRAWN_MS, fresh, guard, launch
from tools.gestures import settle, write_configs
from tools.serve import SERVE, Studio
from tools.states import STORIES


@contextlib.contextmanager
def looking(browser: Browser, url: str, *, dark: bool = False) -> Iterator[tuple[Page, float]]:
    """A page on which the canvas is drawn, and after how many seconds; refuses what asks other hosts."""
    context = fresh(browser, color_scheme="dark" if dark else "light")
    left = guard(context)
    page = context.new_page()
    started_s = time.monotonic()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
    yield page, time.monotonic() - started_s
    page.close(run_before_unload=True)
    context.close()
    if left:
        raise SystemExit(f"The page asked other hosts: {', '.join(left)}")


@contextlib.contextmanager
def models() -> Iterator[Path]:
    """A folder for what the pictures need, of a name that may be read in them; it is gone afterwards."""
    folder = Path(tempfile.gettempdir(), "models")
    folder.mkdir()  # never one that is somebody's
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def look(url: str) -> float:
    """Seconds until the canvas was drawn."""
    with (
        sync_playwright() as playwright,
        contextlib.closing(launch(playwright)) as browser,
        looking(browser, url) as (_, seconds),
    ):
        return seconds


def save(url: str, folder: Path, scratch: Path, only: Sequence[str] = ()) -> None:
    """Writes a picture of each story, or of those named; models that a story needs are made in `scratch`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_configs(scratch)
    with sync_playwright() as playwright, contextlib.closing(launch(playwright)) as browser:
        for picture in STORIES:
            if picture.name not in (only or [story.name for story in STORIES if story.in_all]):
                continue
            started_s = time.monotonic()
            shutil.rmtree(scratch / ".kept", ignore_errors=True)  # what the page before left behind
            with looking(browser, url, dark=picture.dark) as (page, _):
                picture.story(page, scratch)
                settle(page)
                place = folder / f"{picture.name}.png"
                page.screenshot(path=place)
            print(f"{time.monotonic() - started_s:5.1f} s  {place}", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.look", description=__doc__)
    parser.add_argument("url", nargs="?", help="the address that the server printed")
    parser.add_argument("--save", type=Path, help="a folder for the pictures")
    parser.add_argument("--only", nargs="+", default=(), choices=[story.name for story in STORIES])
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(models())
        url = args.url
        if url is None:
            # Recent models and steps that were left behind stay out of the pictures.
            environment = {**os.environ, "JUPYTER_DATA_DIR": str(scratch / ".kept"), "HF_HUB_OFFLINE": "1"}
            # A page for each picture, one soon after the other.
            serve = (*SERVE, "--keep", "0", "--visitors", "32")
            url = stack.enter_context(Studio(serve, folder=scratch, environment=environment)).url
        if args.save is None:
            print(f"drawn after {look(url):.1f} s")
        else:
            save(url, args.save, scratch, args.only)


if __name__ == "__main__":
    sys.exit(main())
