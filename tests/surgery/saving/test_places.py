"""Where a model may be written: full and read-only disks, links, mounts, names, and what is there already."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.cli import main
from surgery.fingerprint import Fingerprinter
from surgery.stream.writing import write
from tests.surgery.saving.folders import content, module


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`small_disk("size=200k")`: a file system of its own, where mounting is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if (
            shutil.which("mount") is None
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            pytest.skip("nothing can be mounted here")
        mounted.append(place)
        return place

    yield mount
    for _ in mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(small_disk: Callable[..., Path]) -> None:
    """For real: the sentence names the folder, the old model is whole, and the room is free again."""
    disk = small_disk("size=200k")
    folder = surgery.open(module(), (torch.zeros(1, 4),)).save(disk / "model")
    before, free = content(folder), shutil.disk_usage(disk).free
    large = surgery.open(nn.Sequential(nn.Linear(300, 300)), (torch.zeros(1, 300),))
    with pytest.raises(
        SurgeryError, match=r"model: could not be written, and nothing was changed.*No space left"
    ):
        large.save(folder, overwrite=True)
    assert content(folder) == before and [entry.name for entry in disk.iterdir()] == ["model"]
    assert shutil.disk_usage(disk).free == free


def test_a_disk_that_is_read_only(small_disk: Callable[..., Path], session: Session) -> None:
    """For real, also for root."""
    disk = small_disk("size=200k")
    session.save(disk / "model")
    before = content(disk / "model")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for folder in (disk / "model", disk / "other" / "model"):
        with pytest.raises(SurgeryError, match="nothing was changed: Read-only file system"):
            session.save(folder, overwrite=True)
    assert content(disk / "model") == before and len(list(disk.iterdir())) == 1


def test_where_a_disk_is_mounted(small_disk: Callable[..., Path], session: Session) -> None:
    """Such a folder cannot be renamed: said before anything is written, with a place that can."""
    disk = small_disk("size=200k")
    with pytest.raises(
        SurgeryError, match=r"is where a disk is mounted.*Try: a folder inside it, such as .*model"
    ):
        session.save(disk)
    assert list(disk.iterdir()) == []
    session.save(disk / "model")


def test_a_link_is_followed(session: Session, old: Path, tmp_path: Path) -> None:
    """The folder it leads to is replaced, and it stays a link."""
    link = tmp_path / "link"
    link.symlink_to(old)
    assert session.save(link, overwrite=True) == link
    assert link.is_symlink() and content(link) == content(old)
    assert Fingerprinter()(surgery.load(old, into=module())) == session.fingerprint()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["alone", "link"]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(SurgeryError):
        session.save(loop)


def test_what_cannot_be_a_place(session: Session, tmp_path: Path) -> None:
    """Names no file can have, and files in the way."""
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "model", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(SurgeryError):
            session.save(place, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    session.save(tmp_path / ("x" * 250))


def test_others_may_read_it_as_any_folder(session: Session, tmp_path: Path) -> None:
    """Permissions are those a folder made by hand has."""
    (tmp_path / "byhand").mkdir()
    folder = session.save(tmp_path / "model")
    assert folder.stat().st_mode == (tmp_path / "byhand").stat().st_mode


def test_what_came_in_the_meantime_is_kept(
    session: Session, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's file that appears while the save runs is not swept away."""

    def and_meanwhile(*words: Any, **more: Any) -> dict[str, str]:
        digests = write(*words, **more)
        (old / "notes.txt").write_text("mine")
        return digests

    monkeypatch.setattr("surgery.checkpoint.save.write", and_meanwhile)
    with pytest.raises(SurgeryError, match=r"no save of a model wrote; got notes\.txt"):
        session.save(old, overwrite=True)
    assert (old / "notes.txt").read_text() == "mine"
    assert [entry.name for entry in old.parent.iterdir()] == ["model"]


def test_the_command_says_how_to_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An existing folder is refused with the option in the hint, and with the option it is replaced."""
    script = surgery.open("demo").script.write(tmp_path / "none.surgery.json")

    def replay(*words: str) -> int:
        line = ["surgery", "replay", str(script), "--out", str(tmp_path / "out"), *words]
        monkeypatch.setattr("sys.argv", line)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    assert replay() == 0
    manifest = tmp_path / "out" / "surgery.json"
    before = manifest.stat().st_ino
    assert replay() == 2
    assert "exists and is not empty" in (said := capsys.readouterr().err) and "--overwrite" in said
    assert manifest.stat().st_ino == before
    assert replay("--overwrite") == 0
    assert manifest.stat().st_ino != before
    assert json.loads(manifest.read_text())["loads_with"] == "transformers"
