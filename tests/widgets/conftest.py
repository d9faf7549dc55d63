"""Gestures of these tests wait for what they ask for, however slow the machine."""

import pytest

from widgets import theatre


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theatre, "PATIENCE_S", 60.0)
