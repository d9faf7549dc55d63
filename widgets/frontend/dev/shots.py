"""Pictures of the panels with made-up states: python dev/shots.py URL OUT (run `npm run dev` first)."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGS = "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run"
ARGS += " --disable-background-networking --disable-component-update --disable-sync"
SHOTS = [
    ("demo", 1440, 900, "light"),
    ("demo", 1440, 900, "dark"),
    ("demo", 1024, 640, "light"),
    ("first", 1440, 900, "light"),
    ("wrong", 1440, 900, "dark"),
    ("many", 1440, 900, "light"),
    ("busy", 1280, 800, "light"),
    ("prompt", 1440, 900, "light"),
    ("prompt", 1440, 900, "dark"),
    ("prompt", 1024, 700, "light"),
    ("prompt_image", 1440, 900, "dark"),
    ("advised", 1440, 900, "light"),
    ("advised", 1440, 900, "dark"),
    ("alike", 1440, 900, "light"),
    ("alike", 1440, 900, "dark"),
]


def main(url: str, out: Path, only: str) -> None:
    """Take the pictures; anything the page complains of is printed."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS.split())
        for scene, width, height, theme in SHOTS:
            name = f"{scene}-{width}-{theme}"
            if only not in name:
                continue
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.on("pageerror", lambda error: print("ERROR", error))
            page.on("console", lambda m: print(m.text) if m.type in ("error", "warning") else None)
            page.goto(f"{url}?scene={scene}")
            page.wait_for_function("document.querySelectorAll('[data-ready=true]').length >= 6")
            page.wait_for_timeout(150)
            page.screenshot(path=str(out / f"{name}.png"))
            page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
