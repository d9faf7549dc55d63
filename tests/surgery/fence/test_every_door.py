"""A new door cannot forget to ask: files of the engine that open something are known by name."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]

# What opens files in native code, where the interpreter's own hook does not see it.
UNSEEN = {
    "safe_open",
    "load_file",
    "save_file",
    "from_pretrained",
    "load_from_disk",
    "snapshot_download",
    "from_file",
}

ASKED_BEFORE = {
    # file that opens: who has asked by then
    "surgery/keeping.py": "files of its own in a temporary folder",
    "surgery/sources/weights.py": "a file of its own in a temporary folder",
}


def _calls(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found.add(name)
    return found


def test_what_opens_in_native_code_asks_the_fence() -> None:
    """Each file with such a call imports the fence, or says here who asked."""
    silent = []
    for package in ("graph", "surgery", "widgets"):
        for file in sorted((ROOT / package).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if "node_modules" in name or name.startswith("surgery/demo/"):
                continue
            asks = "fence." in file.read_text(encoding="utf-8")
            if _calls(file) & UNSEEN and not asks and not ASKED_BEFORE.get(name):
                silent.append(name)
    assert silent == []
