"""The studio's page, measured in the headless Chromium of the tests."""

from benchmarks.studio import frames, page
from benchmarks.tables import Table

__all__ = ["tables"]


def tables() -> list[Table]:
    """Frames of the canvas, then the whole page."""
    return frames.tables() + page.tables()
