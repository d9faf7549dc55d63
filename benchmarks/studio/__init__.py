"""The studio's page, measured in the headless Chromium of the tests."""

from benchmarks.studio import frames, opening, page
from benchmarks.tables import Table

__all__ = ["tables"]


def tables() -> list[Table]:
    """Frames of the canvas, the way to the first picture, then the whole page."""
    return frames.tables() + opening.tables() + page.tables()
