"""The page about simplifying runs as it stands, and says what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.pages import run

PAGE = Path(__file__).parent.parent / "docs" / "simplify.md"


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its example prints how many parameters go, and its command writes a folder."""
    monkeypatch.chdir(tmp_path)
    run(PAGE)
    assert capsys.readouterr().out.count("14,338 → 14,202 parameters (-136)") == 2
    assert (tmp_path / "simpler").is_dir()
