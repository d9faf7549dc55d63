"""How smooth the canvas pans and zooms: frame times in headless Chromium, without a GPU.

Promises: with 2,000 and with 10,000 nodes in view the median frame takes at most 17 ms and the 95th
percentile at most 34 ms.
"""

import os
import shutil
import socket
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.tables import Table, ratio
from tools.chromium import DRAWN, DRAWN_MS, WINDOW, find, launch

FRONTEND = Path(__file__).parents[2] / "widgets" / "frontend"
FRAMES = 240
MEDIAN_MS, P95_MS = 17.0, 34.0
SETTLED = '.ms-canvas[data-settled="true"]'
# What is drawn, how many nodes it has, and by how many steps of the wheel it is made to fill the view.
SCENES = (("net", 2_000, 8), ("net", 10_000, 14), ("strips", 2_000, 5), ("strips", 10_000, 10))
NEAR_STEPS = 4


def tables() -> list[Table]:
    """A net of modules in an opened block, and blocks in strips; all in view and near enough to read."""
    if find() is None or shutil.which("node") is None or not (FRONTEND / "node_modules").exists():
        return []  # what shows the page, or what builds it, is not here
    rows = []
    with _dev_page() as url, sync_playwright() as playwright:
        browser = launch(playwright)
        for kind, count, steps in SCENES:
            page = browser.new_page(viewport=WINDOW)
            page.goto(f"{url}?crowd={kind}&count={count}&only=canvas")
            page.wait_for_selector(DRAWN, timeout=DRAWN_MS)
            page.wait_for_selector(SETTLED, timeout=DRAWN_MS)
            for where, wheel in (("whole", steps), ("near", NEAR_STEPS)):
                for way in ("pan", "zoom"):
                    rows.append(_row(page, f"{kind}, {count:,}", where, way, wheel))
            page.close()
        browser.close()
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    return [
        Table(
            f"Frames of the canvas, {FRAMES} each, load {load}",
            "A median of 17 ms at most, a 95th percentile of 34 ms at most, at 60 frames per second.",
            ("nodes", "view", "gesture", "median", "95th", "of 34 ms", "longest"),
            tuple(rows),
        )
    ]


def _row(page: Page, nodes: str, where: str, way: str, wheel: int) -> tuple[str, ...]:
    script = "([where, way, frames, wheel]) => measureFrames(where, way, frames, wheel)"
    taken = sorted(page.evaluate(script, [where, way, FRAMES, wheel]))
    median, late = statistics.median(taken), taken[int(len(taken) * 0.95)]
    seen = "all in view" if where == "whole" else "near"
    figures = (f"{median:.1f} ms", f"{late:.1f} ms", ratio(late, P95_MS), f"{taken[-1]:.1f} ms")
    missed = " (missed)" if median > MEDIAN_MS or late > P95_MS else ""
    return (nodes, seen, way, figures[0], figures[1] + missed, *figures[2:])


@contextmanager
def _dev_page() -> Iterator[str]:
    """The panels with made-up states, built from this checkout and served on loopback while it lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["node", "dev/serve.mjs", str(port)], cwd=FRONTEND, stdout=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line.startswith("http"):
            raise RuntimeError("widgets/frontend: the dev page did not start. Try: npm run dev there.")
        yield line.split()[0]
    finally:
        server.terminate()
        server.wait()
