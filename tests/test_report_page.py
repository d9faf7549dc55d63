"""docs/report.md runs as it stands, in order, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.pages import run

PAGE = Path(__file__).parent.parent / "docs" / "report.md"


def test_it_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python first, then the commands on the script that it made."""
    monkeypatch.chdir(tmp_path)
    run(PAGE, lambda scope: scope["s"].script.write("edits.surgery.json"))
    for name in ("before", "after", "after-dark", "graph", "edited"):
        assert Path(f"{name}.svg").read_text(encoding="utf-8").startswith("<svg ")
    for name in ("report", "result"):
        assert "Size against perplexity" in Path(f"{name}.html").read_text(encoding="utf-8")
