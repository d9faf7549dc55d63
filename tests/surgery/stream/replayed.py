"""A script that was replayed by a run that nobody stopped, and room for one more replay of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import surgery
from surgery.checkpoint.manifest import read_manifest
from tests.surgery.stream.test_streamed_replay import saved

Options = dict[str, Any]
SMALL: Options = {"memory": "50MB", "max_shard_size": "8KB"}


class Made:
    """A base, a parent, a script on them, and a place for the result."""

    def __init__(self, folder: Path) -> None:
        self.base, self.script = folder / "base", folder / "edits.json"
        self.out, self.whole = folder / "new" / "out", folder / "whole"

    def replay(self, **options: Any) -> surgery.Session:
        """Streamed, into files of 8 KB."""
        return surgery.replay(self.script, self.base, self.out, **(SMALL | options))

    @property
    def beside(self) -> list[Path]:
        """What lies beside the place of the result."""
        folder = self.out.parent
        return sorted(path for path in folder.iterdir() if path != self.out) if folder.is_dir() else []

    def check(self) -> None:
        """The result is whole, and nothing else is there."""
        assert self.beside == []
        assert {path.name for path in self.out.iterdir()} == {path.name for path in self.whole.iterdir()}
        for file in self.whole.glob("*.safetensors"):
            assert (self.out / file.name).read_bytes() == file.read_bytes()
        assert read_manifest(self.out) == read_manifest(self.whole)


def replayed(folder: Path, more: Callable[[surgery.Session], Any], **options: Any) -> Path:
    """A decoder merged with another one, and `more`: the script in the folder, and its result."""
    made = Made(folder)
    saved("llama", made.base)
    session = surgery.open(made.base)
    session.merge("**.mlp.up_proj", parents=[str(saved("llama", folder / "parent"))], weights=(0.5, 0.5))
    more(session)
    session.script.write(made.script)
    surgery.replay(made.script, made.base, made.whole, **(SMALL | options))
    return folder


def copied(original: Path, place: Path) -> Made:
    """The base, the parent and the script in folders of their own."""
    folder = shutil.copytree(original, place / "made")
    script = folder / "edits.json"
    script.write_text(script.read_text().replace(str(original), str(folder)))
    return Made(folder)
