"""What is shown while weights are written: a bar where there is a screen, lines in a log."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import surgery
from surgery.cli import main
from surgery.show import progress
from surgery.stream import writing
from tests.surgery.stream.test_streamed_replay import saved


def test_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """The first, the last, and those ten seconds after another; time left is by the speed so far."""
    clock = iter([0.0, 4.0, 20.0, 25.0, 40.0, 41.0])
    lines = progress._Lines(10.0, lambda: next(clock))
    for done in (1000, 1500, 2000, 2500, 3000, 5000):
        lines(done, 5000)
    assert capsys.readouterr().err.splitlines() == [
        "1.00 kB of 5.00 kB",
        "2.00 kB of 5.00 kB, 0:01:00 left",
        "3.00 kB of 5.00 kB, 0:00:40 left",
        "5.00 kB of 5.00 kB",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the bytes, and no line for each."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress.bytes_shown() as told:
        assert told is not None
        told(0, 4_000_000)
        told(4_000_000, 4_000_000)
    shown = capsys.readouterr().err
    assert "weights" in shown and "4.0/4.0 MB" in shown


def test_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By tqdm, which knows how to draw there."""
    kernel = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    with progress.bytes_shown() as told:
        assert told is not None
        told(1_000_000, 4_000_000)
        told(4_000_000, 4_000_000)
    assert "4.00M/4.00M" in capsys.readouterr().err


def test_nothing_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    """A replay in memory shows nothing."""
    with progress.bytes_shown(False) as told:
        assert told is None
    assert capsys.readouterr() == ("", "")


def test_python_shows_it_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """By True; a function of one's own is told instead, and by default nobody is."""
    told: list[tuple[int, int]] = []
    for progress_asked in (True, lambda done, of: told.append((done, of)), None, False):
        with progress.telling(progress_asked) as tell:
            if tell is not None:
                tell(0, 2000)
    assert told == [(0, 2000)] and capsys.readouterr().err == "0 B of 2.00 kB\n"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A streamed replay on the command line, into files of 8 KB."""
    base = saved("llama", tmp_path / "base")
    session = surgery.open(base)
    session.remove("model.layers.1")
    script = session.script.write(tmp_path / "edits.json")
    places = [str(script), "--model", str(base), "--out", str(tmp_path / "out")]
    return ["surgery", "replay", *places, "--memory", "50MB", "--shard-size", "8KB"]


def test_the_command_says_how_far_it_is(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a log by lines on standard error; the files are of the size asked for."""
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert not ended.value.code and "saved to" in said.out
    files = list((tmp_path / "out").glob("*.safetensors"))
    total = re.findall(r"^(.+) of \1$", said.err, re.MULTILINE)
    assert len(files) > 5 and len(total) == 1


def test_ctrl_c_says_how_to_go_on(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit status 130, one sentence, no traceback; then the same with `--resume` ends well."""
    plain = writing.Ledger.note

    def note(self: Any, *said: Any) -> None:
        plain(self, *said)
        if len(self.whole) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(writing.Ledger, "note", note)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 130 and re.search(
        r"out: stopped.* whole and kept beside it\. Try: .*--resume", said
    )
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and (tmp_path / "out" / "surgery.json").is_file()


@pytest.mark.parametrize("option", [["--resume"], ["--shard-size", "8KB"], ["--plain"]])
def test_options_of_a_folder_need_one(
    option: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--out` they say nothing."""
    monkeypatch.setattr(sys, "argv", [*words[:5], *option])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and f"{option[0]} says how a model is saved" in capsys.readouterr().err
