"""What a model stores, by its names in memory, and the size of a file that it is stored in."""

from __future__ import annotations

import re

from torch import nn

from surgery.checkpoint.names import held
from surgery.errors import SurgeryError
from surgery.fingerprint import stored_tensors
from surgery.lazy import Lazy

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_of(text: int | str, what: str = "max_shard_size") -> int:
    """A size in bytes, given as a number or as text such as "200MB"; SurgeryError for anything else."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    found = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b)?\s*", text, re.IGNORECASE)
        if isinstance(text, str)
        else None
    )
    unit = (found[2] or "").upper() if found else ""
    size = int(float(found[1]) * _UNITS.get(unit, 1)) if found and unit in ("", *_UNITS) else 0
    if size <= 0:
        raise SurgeryError(f"{what} is no size", got=repr(text), expected='bytes, or text such as "5GB"')
    return size


def live_tensors(model: nn.Module) -> tuple[dict[str, Lazy], dict[str, str]]:
    """The stored tensors of a model by their names in memory, and of each tie: other name → kept."""
    kept: dict[int, str] = {}
    tensors: dict[str, Lazy] = {}
    same: dict[str, str] = {}
    for name, tensor in stored_tensors(model):
        if id(tensor) in kept:
            same[name] = kept[id(tensor)]
        else:
            kept[id(tensor)] = name
            tensors[name] = held(tensor)
    return tensors, same
