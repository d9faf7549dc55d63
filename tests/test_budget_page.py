"""docs/budget.md runs as it stands, in order, in an empty folder."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

import surgery
from surgery.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "budget.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_it_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python first, in one session, then the commands."""
    monkeypatch.chdir(tmp_path)
    assert [kind for kind, _ in BLOCKS] == ["python", "python", "python", "sh"]
    scope: dict[str, object] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "budget.md", "exec"), scope)
            continue
        for line in text.strip().splitlines():
            monkeypatch.setattr(sys, "argv", shlex.split(line))
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, line
    session = scope["s"]
    assert isinstance(session, surgery.Session) and not session.steps and session.history.current.trials
    assert Path("plan.surgery.json").is_file()
