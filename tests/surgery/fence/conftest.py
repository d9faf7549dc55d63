"""A disk as a server has it: models to read, a folder to write to, and what is nobody's business."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from surgery.demo import DECODER
from surgery.fence import Fence, fenced_in


@dataclass(frozen=True)
class Disk:
    """`models` with the decoder in it, `out`, and `secret`: the same decoder, outside."""

    models: Path
    out: Path
    secret: Path

    @property
    def model(self) -> Path:
        """The one that may be opened."""
        return self.models / "decoder"

    @property
    def fence(self) -> Fence:
        """Round the two folders."""
        return Fence.of((self.models,), (self.out,))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Its folders, made anew."""
    found = Disk(tmp_path / "models", tmp_path / "out", tmp_path / "secret")
    found.models.mkdir()
    found.out.mkdir()
    for place in (found.model, found.secret):
        shutil.copytree(DECODER, place)
    return found


@pytest.fixture
def fenced(disk: Disk) -> Iterator[Disk]:
    """The disk, with the fence put up."""
    with fenced_in(disk.fence):
        yield disk
