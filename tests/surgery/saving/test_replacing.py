"""Whatever happens while a folder is written, the old one is whole, or the new one is; no litter is left."""

from __future__ import annotations

import errno
import linecache
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from safetensors import SafetensorError

import surgery
from surgery import Session, SurgeryError
from surgery.checkpoint import replacing
from surgery.fingerprint import Fingerprinter
from tests.surgery.saving.folders import content, module

FULL = OSError(errno.ENOSPC, "No space left on device")
STEPS = {
    "making the folder": "pathlib.Path.mkdir",
    "weights": "os.pwrite",
    "text": "pathlib.Path.write_text",
    "manifest": "pathlib.Path.write_text",
    "flushing": "os.fsync",
    "swapping": "surgery.checkpoint.replacing._exchanged",
}
ERRORS = [
    FULL,
    PermissionError(errno.EACCES, "Permission denied"),
    OSError(errno.EROFS, "Read-only file system"),
]


@pytest.mark.parametrize("error", [*ERRORS, KeyboardInterrupt(), MemoryError()], ids=repr)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_the_old_folder(
    step: str, error: BaseException, session: Session, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk is a sentence; what interrupts goes through; nothing has changed either way."""
    before, write_text = content(old), Path.write_text

    def fails(*words: Any, **more: Any) -> Any:
        if step == "manifest" and words[0].name != "surgery.json":  # the last of the texts
            return write_text(*words, **more)
        raise error

    monkeypatch.setattr(STEPS[step], fails)
    if isinstance(error, OSError):
        with pytest.raises(
            SurgeryError, match=f"model: could not be written, and nothing was changed: {error.strerror}"
        ):
            session.save(old, overwrite=True)
    else:
        with pytest.raises(type(error)):
            session.save(old, overwrite=True)
    monkeypatch.undo()
    assert content(old) == before
    assert [entry.name for entry in old.parent.iterdir()] == ["model"]


def test_what_safetensors_says_is_a_sentence(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer has an error type of its own; folders that were made for the save are gone again."""

    def fails(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("surgery.checkpoint.save.write", fails)
    with pytest.raises(SurgeryError, match=r"nothing was changed: I/O error: No space left"):
        session.save(tmp_path / "a" / "b" / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("interrupted", [1, 2])
def test_renaming_that_fails_leaves_the_old_folder(
    interrupted: int, error: BaseException, session: Session, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot swap, two renames do it: if either fails or is interrupted, it is as before."""
    before, rename = content(old), os.rename
    calls: list[Any] = []

    def fails(*words: Any) -> None:
        calls.append(words)
        if len(calls) == interrupted:
            raise error
        rename(*words)

    monkeypatch.setattr(replacing, "_exchanged", lambda *_: False)
    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(SurgeryError if error is FULL else KeyboardInterrupt):
        session.save(old, overwrite=True)
    assert content(old) == before
    assert [entry.name for entry in old.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("swap", [True, False])
def test_replacing(swap: bool, session: Session, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one step or in two, the folder holds the new model then, and nothing lies beside it."""
    if not swap:
        monkeypatch.setattr(replacing, "_exchanged", lambda *_: False)
    session.save(old, overwrite=True)
    assert Fingerprinter()(surgery.load(old, into=module())) == session.fingerprint()
    assert [entry.name for entry in old.parent.iterdir()] == ["model"]


def test_a_folder_that_cannot_be_put_back_is_named(
    session: Session, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If even that fails, nothing is deleted and the sentence says where the old folder is."""
    before, rename = content(old), os.rename
    calls: list[Any] = []

    def only_once(*words: Any) -> None:
        calls.append(words)
        if len(calls) > 1:
            raise FULL
        rename(*words)

    monkeypatch.setattr(replacing, "_exchanged", lambda *_: False)
    monkeypatch.setattr(os, "rename", only_once)
    with pytest.raises(SurgeryError, match="what was there is called") as refusal:
        session.save(old, overwrite=True)
    aside = next(old.parent.iterdir())
    assert str(aside) in str(refusal.value)
    assert content(aside) == before


@pytest.mark.skipif(sys.platform != "linux", reason="a system call of Linux")
def test_linux_swaps_in_one_step(tmp_path: Path) -> None:
    """At no moment is there no folder: both names stay, with each other's content."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    if not replacing._exchanged(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "one" / "file").read_text() == "other"
    assert (tmp_path / "other" / "file").read_text() == "one"


class Interrupting:
    """Raises KeyboardInterrupt before the `number`th line that runs in these files."""

    def __init__(self, number: int, files: tuple[str, ...]) -> None:
        self.left, self.files, self.where = number, files, ""

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(self.files):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
                self.where = f"{frame.f_code.co_name}: {line}"
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("swap", [True, False])
def test_an_interruption_before_any_line(
    swap: bool, session: Session, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old or new, whole; litter only if the clearing itself is interrupted."""
    if not swap:
        monkeypatch.setattr(replacing, "_exchanged", lambda *_: False)
    source = shutil.copytree(old, old.parent.parent / "source")
    before = content(old)
    session.save(old, overwrite=True)
    after = content(old)
    number, seen = 0, set()
    while True:
        number += 1
        shutil.rmtree(old.parent)
        shutil.copytree(source, old)
        interrupting = Interrupting(number, ("checkpoint/replacing.py",))
        previous = sys.gettrace()
        sys.settrace(interrupting)
        try:
            session.save(old, overwrite=True)
        except KeyboardInterrupt:
            seen.add(interrupting.where.partition(":")[0])
        else:
            break
        finally:
            sys.settrace(previous)
        assert content(old) in (before, after), interrupting.where
        if "_clear" not in interrupting.where:
            assert [entry.name for entry in old.parent.iterdir()] == ["model"], interrupting.where
    assert {"written_whole", "put_in_place", "flush", "sync", "_clear"} <= seen and number > 20
    assert content(old) == after


def test_killed_half_way(old: Path) -> None:
    """A process that is killed while it writes leaves the old folder whole."""
    before = content(old)
    code = (
        "import os, sys, torch, surgery\n"
        "from torch import nn\n"
        "os.pwrite = lambda *a, **k: os._exit(9)\n"
        "s = surgery.open(nn.Sequential(nn.Linear(4, 4)), (torch.zeros(1, 4),))\n"
        f"s.save({str(old)!r}, overwrite=True)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 9
    assert content(old) == before
