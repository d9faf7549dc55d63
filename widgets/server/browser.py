"""The page on the user's screen: in the browser, or in a window of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
_ELSEWHERE = {
    "darwin": [
        f"/Applications/{name}.app/Contents/MacOS/{name}"
        for name in ("Chromium", "Google Chrome", "Microsoft Edge")
    ],
    "win32": [
        rf"{root}\{place}"
        for root in (r"C:\Program Files", r"C:\Program Files (x86)")
        for place in (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
    ],
}


def show(url: str) -> None:
    """Open the page in the user's browser, if there is a screen to show one."""
    screen = (
        sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if screen:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(url)


class Window:
    """A window without tabs or address, of a browser that has such, with a profile of its own."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.profile = Path(tempfile.mkdtemp(prefix="surgery-window-"))
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def found(cls) -> Window | None:
        """With the first browser that is there."""
        found = next(filter(None, map(shutil.which, PROGRAMS)), None)
        found = found or next(
            (place for place in _ELSEWHERE.get(sys.platform, []) if Path(place).exists()), None
        )
        return None if found is None else cls(found)

    def open(self, url: str, closed: Callable[[], object]) -> None:
        """Opens it; `closed` is called, in another thread, once a person has closed it."""
        process = self.process = subprocess.Popen(
            [
                self.program,
                f"--app={url}",
                f"--user-data-dir={self.profile}",
                "--no-first-run",
                "--no-default-browser-check",
                "--window-size=1440,900",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def wait() -> None:
            process.wait()
            closed()

        threading.Thread(target=wait, daemon=True).start()

    def close(self) -> None:
        """Closes it, if it is still open, and removes its profile."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        shutil.rmtree(self.profile, ignore_errors=True)
