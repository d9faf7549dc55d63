"""docs/report.md runs as it stands, in order, in an empty folder."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from surgery.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_it_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python first, then the commands on the script that it made."""
    monkeypatch.chdir(tmp_path)
    assert [kind for kind, _ in BLOCKS] == ["python", "python", "sh"]
    scope: dict[str, object] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "report.md", "exec"), scope)
            continue
        scope["s"].script.write("edits.surgery.json")  # type: ignore[attr-defined]
        for line in text.strip().splitlines():
            monkeypatch.setattr(sys, "argv", shlex.split(line))
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, line
    for name in ("before", "after", "after-dark", "graph", "edited"):
        assert Path(f"{name}.svg").read_text(encoding="utf-8").startswith("<svg ")
    for name in ("report", "result"):
        assert "Size against perplexity" in Path(f"{name}.html").read_text(encoding="utf-8")
