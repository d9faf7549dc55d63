"""docs/prompt-bench.md runs as it stands, in order, in an empty folder."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from surgery.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "prompt-bench.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_it_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python first, then the commands on the script that it made; both print the same bars."""
    monkeypatch.chdir(tmp_path)
    assert [kind for kind, _ in BLOCKS] == ["python"] * 4 + ["sh"]
    scope: dict[str, object] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "prompt-bench.md", "exec"), scope)
            continue
        scope["s"].script.write("edits.surgery.json")  # type: ignore[attr-defined]
        said = [_run(line, monkeypatch, capsys) for line in text.strip().splitlines()]
    bars = str(scope["blame"]).splitlines()[1:3]
    assert all(
        bar.rpartition("  ")[0].split()[:3] == line.split()[:3] for bar, line in _beside(bars, said[0])
    )
    assert '"kind": "text"' in said[1] and "KL(original ‖ edited) 0 nats" in said[2]


def _beside(bars: list[str], said: str) -> list[tuple[str, str]]:
    lines = said.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("Position "))
    return list(zip(bars, lines[start + 1 :], strict=False))


def _run(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, line
    return capsys.readouterr().out
