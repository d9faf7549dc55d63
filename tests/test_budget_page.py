"""docs/budget.md runs as it stands, in order, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgery
from tools.pages import run

PAGE = Path(__file__).parent.parent / "docs" / "budget.md"


def test_it_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python first, in one session, then the commands."""
    monkeypatch.chdir(tmp_path)
    session = run(PAGE)["s"]
    assert isinstance(session, surgery.Session) and not session.steps and session.history.current.trials
    assert Path("plan.surgery.json").is_file()
