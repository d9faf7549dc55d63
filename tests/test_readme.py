"""The README's examples run as they stand, in order, in an empty folder."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from surgery.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_readme_is_short() -> None:
    """Under 120 lines."""
    assert README.count("\n") < 120


def test_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python block measures and saves; the commands that follow work on what it left."""
    monkeypatch.chdir(tmp_path)
    (python,) = blocks("python")
    exec(compile(python, "README.md", "exec"), {})
    assert "perplexity" in capsys.readouterr().out
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("surgery ")]
    assert len(commands) == 5
    for line in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, line
    for folder in ("out", "replayed"):
        assert list((tmp_path / folder).glob("*.safetensors")), folder
