"""Whenever a streamed replay is killed, its place is empty or whole, and `resume` comes to the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery.checkpoint.manifest import read_manifest
from surgery.stream import writing
from tests.surgery.saving.folders import content
from tests.surgery.stream.test_streamed_replay import saved, tensors_in

KILLS = 50


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base in several files, a script, what comes of it, and a folder that something else lies in."""
    folder = tmp_path_factory.mktemp("kills")
    saved("llama", folder / "one")
    surgery.open(folder / "one", skeleton=True).save(folder / "base", max_shard_size="30KB")
    session = surgery.open(folder / "base")
    session.sparsify("**.mlp", ratio=0.3)
    session.swap("model.layers.0", "model.layers.1")
    session.script.write(folder / "edits.json")
    replay(folder, folder / "expected", resume=False)
    surgery.open(folder / "one", skeleton=True).save(folder / "before")
    return folder


def replay(folder: Path, out: Path, *, resume: bool, overwrite: bool = False) -> None:
    """Streamed, into some twenty files."""
    options = {"memory": "50MB", "max_shard_size": "8KB"}
    surgery.replay(folder / "edits.json", folder / "base", out, **options, resume=resume, overwrite=overwrite)


class Run:
    """A process that replays, with all imports of this one; it says when it writes, and each file."""

    def __init__(self, folder: Path, out: Path, overwrite: bool) -> None:
        self.said, say = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(say)
            return
        status = 1
        try:
            torch.set_num_threads(1)  # the threads of the parent are not here
            told(say)
            replay(folder, out, resume=True, overwrite=overwrite)
            status = 0
        finally:
            os._exit(status)

    def wrote(self, files: int) -> None:
        """It writes now and has so many more files than it found, or has ended."""
        for _ in range(1 + files):
            if not os.read(self.said, 1):
                break

    def ended(self) -> int:
        """Its exit status, or less than nothing for the signal that killed it."""
        os.close(self.said)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def told(say: int) -> None:
    """In this process, it is said when writing begins and after each file, which takes 5 ms or more."""
    begin, note = writing.Ledger.begin, writing.Ledger.note

    def begun(self: writing.Ledger, *words: Any) -> Any:
        os.write(say, b"!")
        return begin(self, *words)

    def noted(self: writing.Ledger, name: str, digests: Any) -> None:
        time.sleep(0.005)
        note(self, name, digests)
        os.write(say, b".")

    writing.Ledger.begin = begun  # type: ignore[method-assign]
    writing.Ledger.note = noted  # type: ignore[method-assign]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process with threads is better not forked")
@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_at_any_moment(overwrite: bool, original: Path, tmp_path: Path) -> None:
    """Half of fifty kills each, over a free place and over a model: old or new, never between."""
    random.seed(7 + overwrite)
    expected, before = content(original / "expected"), content(original / "before")
    out, kills, done = tmp_path / "out", 0, 0
    whole: list[int] = []  # how many files were, at each kill

    def start_over() -> None:
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
        if overwrite:
            shutil.copytree(original / "before", out)

    start_over()
    while kills < KILLS // 2:
        run = Run(original, out, overwrite)
        run.wrote(random.randrange(6))
        time.sleep(random.uniform(0, 0.01))  # within the next file, or while the folder is put in its place
        os.kill(run.pid, signal.SIGKILL)
        status = run.ended()
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
        found = content(out) if out.exists() else None
        assert found in ([before, expected] if overwrite else [None, expected])
        if found == expected:
            done += 1
            start_over()
        else:
            notes = next(tmp_path.glob(".surgery-*/whole"), None)
            whole.append(notes.read_text().count('"file"') if notes else 0)
    assert done > 0 and len(set(whole)) > 5
    replay(original, out, resume=True, overwrite=overwrite)
    assert content(out) == expected and [path.name for path in tmp_path.iterdir()] == ["out"]
    assert read_manifest(out)["fingerprint"] == surgery.Script.read(original / "edits.json").result
    assert surgery.open(out).fingerprint() == read_manifest(out)["fingerprint"]


def test_the_command_is_killed(original: Path, tmp_path: Path) -> None:
    """A process of its own, killed early, once more later, and the same command again."""
    out = tmp_path / "out"
    words = ["replay", original / "edits.json", "--model", original / "base", "--out", out]
    words += ["--memory", "50MB", "--shard-size", "8KB", "--resume"]
    command = [sys.executable, "-m", "surgery.cli", *map(str, words)]
    for files in (2, 8):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while running.poll() is None:
            notes = next(iter(tmp_path.glob(".surgery-*/whole")), None)
            if notes is not None and notes.read_text().count('"file"') > files:
                running.kill()
                break
            time.sleep(0.0005)
        assert running.wait(60) == -signal.SIGKILL
        assert not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"fingerprint {surgery.Script.read(original / 'edits.json').result}" in done.stdout
    assert content(out) == content(original / "expected")
    assert tensors_in(out) == tensors_in(original / "expected")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
