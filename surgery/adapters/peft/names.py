"""Which types of adapters the installed PEFT has, read from its list without importing it."""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PREFIX = "peft:"


@cache
def offered() -> tuple[str, ...]:
    """`peft:loha` and so on for each member of PEFT's enumeration, by the alphabet; none without PEFT.

    Importing PEFT takes longer than all the rest of a session, so its list is read as text.
    """
    spec = find_spec("peft")
    places = () if spec is None else spec.submodule_search_locations or ()
    names: set[str] = set()
    for place in places:
        try:
            tree = ast.parse((Path(place) / "utils" / "peft_types.py").read_text(encoding="utf-8"))
        except (OSError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == "PeftType":
                names |= {
                    item.value.value
                    for item in node.body
                    if isinstance(item, ast.Assign)
                    and isinstance(item.value, ast.Constant)
                    and isinstance(item.value.value, str)
                }
    return tuple(f"{PREFIX}{name.lower()}" for name in sorted(names))


def type_of(kind: str) -> str | None:
    """`LOHA` of `peft:loha`; None for a kind of another name."""
    return kind.removeprefix(PREFIX).upper() if kind.startswith(PREFIX) else None
