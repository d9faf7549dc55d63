"""A file is there whole, or as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from surgery import SurgeryError
from surgery.whole_file import write_whole


def test_it_replaces_what_is_there(tmp_path: Path) -> None:
    """In UTF-8, with the line breaks it has; nothing else is left in the folder."""
    place = tmp_path / "a.txt"
    place.write_text("before")
    assert write_whole(place, "één\nzwei\n", "the text") == place
    assert place.read_bytes() == "één\nzwei\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_cannot_be_written_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what it would have been, and where."""
    place = tmp_path / "a.txt"
    place.write_text("before")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SurgeryError, match=r"a\.txt: cannot write the text: No space left on device"):
        write_whole(place, "after", "the text")
    assert place.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]
