"""Runs pages of examples as they stand; as a program it keeps the charts of those in docs/operations."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surgery.cli import main as command

FOLDER = Path(__file__).parent.parent / "docs" / "operations"
PAGES = sorted(FOLDER.glob("*.md"))


def blocks(text: str) -> list[tuple[str, str]]:
    """The examples of a page, as language and code."""
    return re.findall(r"```(python|sh)\n(.*?)```", text, flags=re.DOTALL)


def images(text: str) -> list[str]:
    """The names of the charts that a page shows."""
    return re.findall(r"!\[[^\]]*\]\(images/([^)]+)\)", text)


def run(page: Path, before_commands: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    """Runs all examples of a page in the current folder, in order; the names that its Python made.

    `before_commands` gets them before the first command, to write what the page takes for granted.
    """
    scope: dict[str, Any] = {"__name__": __name__}  # where classes of the page say they are from
    for kind, text in blocks(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(text, page.name, "exec"), scope)
            continue
        if before_commands is not None:
            before_commands(scope)
        for line in text.strip().splitlines():
            _command(line, page.name)
    return scope


def _command(line: str, page: str) -> None:
    argv, sys.argv = sys.argv, shlex.split(line)
    try:
        command()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"{page}: `{line}` ended with {ended.code}") from None
    finally:
        sys.argv = argv


def main(names: list[str]) -> None:
    """Runs these pages, or all, and keeps their charts."""
    for page in PAGES:
        if names and page.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            run(page)
            for name in images(page.read_text(encoding="utf-8")):
                (FOLDER / "images").mkdir(exist_ok=True)
                shutil.copyfile(name, FOLDER / "images" / name)
        print(page.stem)


if __name__ == "__main__":
    main(sys.argv[1:])
