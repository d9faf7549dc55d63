"""The studio's page, measured in the headless Chromium of the tests."""

from benchmarks.studio.frames import tables

__all__ = ["tables"]
