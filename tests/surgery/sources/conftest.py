"""A folder as transformers writes it, and a working folder to write factories into."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.zoo import ZOO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small Llama as transformers writes it."""
    model: Any = ZOO["llama"]()[0]
    model.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """`written("nets", code)`: a module in the working folder; it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def write(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(code)
        names.append(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)
