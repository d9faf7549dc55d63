"""docs/headless.md runs as it stands, in order, on a small decoder and two that were tuned from it."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

import surgery
from surgery.cli import main
from surgery.demo import FOLDERS

PAGE = (Path(__file__).parent.parent / "docs" / "headless.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh|yaml)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `base`, `tuned-a` and `tuned-b`, where the page is read."""
    for seed, name in enumerate(("base", "tuned-a", "tuned-b")):
        session = surgery.open(FOLDERS["demo"])
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in session.model.parameters() if seed else ():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.002)
        session.save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_runs_as_it_stands(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python, commands and the mergekit file; what CI would do is read alone."""
    assert [kind for kind, _ in BLOCKS] == ["python", "sh", "yaml", "yaml", "sh", "python"]
    (here / "merge.yml").write_text(BLOCKS[3][1])
    scope: dict[str, object] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "headless.md", "exec"), scope)
        for line in text.strip().splitlines() if kind == "sh" else ():
            monkeypatch.setattr(sys, "argv", shlex.split(line))
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, line
    for name in ("edited", "merged", "by-hand"):
        assert surgery.load(here / name)
