"""What modules remember of the mother's room is another's in a fork."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from widgets.server.mother import places


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module as libraries are that ask the environment once."""
    made = ModuleType("library_of_places")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_places_move_with_their_room(library: ModuleType) -> None:
    """As text, as paths, and as attributes of an object; what is elsewhere stays."""
    old, new = "/rooms/mother", "/rooms/room-7"
    library.HOME = f"{old}/hub"  # type: ignore[attr-defined]
    library.CACHE = Path(old, "hub", "cache")  # type: ignore[attr-defined]
    library.store = SimpleNamespace(prefix=f"{old}/store")  # type: ignore[attr-defined]
    library.ELSEWHERE = "/usr/share"  # type: ignore[attr-defined]
    found = places.below(old)
    assert {place.name for place in found} == {"HOME", "CACHE", "prefix"}
    places.move(found, old, new)
    assert f"{new}/hub" == library.HOME and Path(new, "hub", "cache") == library.CACHE
    assert library.store.prefix == f"{new}/store" and library.ELSEWHERE == "/usr/share"
    assert places.below(old) == ()


def test_what_is_temporary_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The standard library keeps the folder it found first."""
    monkeypatch.setattr(tempfile, "tempdir", "/rooms/mother")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    places.move((), "/rooms/mother", str(tmp_path))
    assert tempfile.gettempdir() == str(tmp_path)


def test_objects_that_warn_are_left_alone(library: ModuleType, recwarn: pytest.WarningsRecorder) -> None:
    """To look for places asks no object for an attribute."""

    class Deprecated:
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"was asked for {name}")

    library.old = Deprecated()  # type: ignore[attr-defined]
    assert places.below("/rooms/mother") == () and not recwarn.list
