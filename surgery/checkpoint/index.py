"""The index of several safetensors files: which tensor lies in which, and whether that is so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from surgery.checkpoint.headers import given_once
from surgery.errors import SurgeryError


def weight_map(index: Path) -> dict[str, str]:
    """File by tensor, as an index says. SurgeryError if it is none, or names a file outside its folder."""
    try:
        found = json.loads(index.read_text(encoding="utf-8"), object_pairs_hook=given_once)["weight_map"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    except OSError as error:
        raise SurgeryError(f"cannot be read: {error.strerror}", path=str(index)) from None
    if not isinstance(found, dict) or not found or not all(isinstance(file, str) for file in found.values()):
        raise SurgeryError("is no index of safetensors shards", path=str(index))
    for file in dict.fromkeys(found.values()):
        if file in ("", ".", "..") or any(mark in file for mark in "/\\\0"):
            raise SurgeryError("the index names a file outside its folder", path=str(index), got=repr(file))
    return found


def refuse_other(index: Path, said: Mapping[str, str], found: Mapping[str, Path]) -> None:
    """SurgeryError unless each tensor was `found` where the index `said`, and it names them all."""
    for name, file in said.items():
        if name not in found:
            raise SurgeryError("lacks a tensor that the index names", path=str(index.parent / file), got=name)
        if found[name].name != file:
            raise SurgeryError(
                f"names the wrong file for {name}", path=str(index), got=file, expected=found[name].name
            )
    if further := next((name for name in found if name not in said), None):
        raise SurgeryError(
            "holds a tensor that the index does not name", path=str(found[further]), got=further
        )
