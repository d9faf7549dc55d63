"""Runs the pages of docs/operations and keeps the charts they make: `python -m tools.pages [NAME …]`."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from surgery.cli import main as command

FOLDER = Path(__file__).parent.parent / "docs" / "operations"
PAGES = sorted(FOLDER.glob("*.md"))


def blocks(text: str) -> list[tuple[str, str]]:
    """The examples of a page, as language and code."""
    return re.findall(r"```(python|sh)\n(.*?)```", text, flags=re.DOTALL)


def images(text: str) -> list[str]:
    """The names of the charts that a page shows."""
    return re.findall(r"!\[[^\]]*\]\(images/([^)]+)\)", text)


def run(page: Path) -> None:
    """Runs all examples of a page in the current folder, in order and in one scope."""
    scope: dict[str, object] = {"__name__": page.stem}
    for kind, text in blocks(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(text, page.name, "exec"), scope)
            continue
        for line in text.strip().splitlines():
            argv, sys.argv = sys.argv, shlex.split(line)
            try:
                command()
            except SystemExit as ended:
                if ended.code:
                    raise RuntimeError(f"{page.name}: `{line}` ended with {ended.code}") from None
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
