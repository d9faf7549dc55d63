"""docs/security.md promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


def test_every_named_test_is_there() -> None:
    """By file and function, and with a sentence of what it holds."""
    assert len(NAMED) > 30
    for file, name in NAMED:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert found and ast.get_docstring(found[0]), f"{file}::{name}"


def test_every_line_names_a_test() -> None:
    """A row of a table without one would be a wish."""
    rows = [
        line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| not trusted")
    ]
    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::\w+` \|$", row)] == []
