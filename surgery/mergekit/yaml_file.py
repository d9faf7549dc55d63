"""YAML read safely: plain data, one document, no key twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from surgery import fence
from surgery.errors import SurgeryError


def load(path: Path) -> Any:
    """The one document of a file as plain data; SurgeryError for anything else."""
    fence.reading(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SurgeryError(f"cannot read the file: {reason}", path=str(path)) from None
    try:
        documents = list(yaml.load_all(text, Loader=_Once))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "it is nested too deeply"
        raise SurgeryError(f"is not YAML: {problem}{line}", path=str(path)) from None
    if len(documents) != 1:
        raise SurgeryError(
            "holds several merges" if documents else "is empty",
            path=str(path),
            got=f"{len(documents)} documents",
            expected="one",
            hint="a file for each, replayed one after another" if documents else None,
        )
    return documents[0]


class _Once(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which the last would count."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
