"""Tensors written into safetensors files of limited size, one file in memory at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from surgery.checkpoint.names import held
from surgery.errors import SurgeryError
from surgery.fingerprint import stored_tensors
from surgery.lazy import Lazy
from surgery.recipes import compute

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_of(text: int | str) -> int:
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
        raise SurgeryError(
            "max_shard_size is no size", got=repr(text), expected='bytes, or text such as "5GB"'
        )
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


def write(
    folder: Path, stem: str, tensors: Mapping[str, Lazy], limit: int, same: Mapping[str, str] | None = None
) -> None:
    """Writes the tensors as `stem`.safetensors, or as several files of at most `limit` bytes and an index.

    A tensor that is larger alone has a file to itself. Names are told as transformers tells them:
    `stem`-00001-of-00002.safetensors. `same` (other → kept) is noted in the metadata of the file that holds
    the kept tensor. Tensors are computed, and copied from other devices, for one file at a time.
    """
    shards = _divided(tensors, limit)
    files = [f"{stem}.safetensors"]
    if len(shards) > 1:
        files = [
            f"{stem}-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)
        ]
    for file, names in zip(files, shards, strict=True):
        noted = {other: kept for other, kept in (same or {}).items() if kept in names}
        _write_file(folder / file, {name: tensors[name] for name in names}, noted)
    if len(shards) > 1:
        _write_index(folder / f"{stem}.safetensors.index.json", files, shards, tensors)


def _divided(tensors: Mapping[str, Lazy], limit: int) -> list[list[str]]:
    """Names for each file, in their order; a file is begun where the next tensor would not fit."""
    shards: list[list[str]] = [[]]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + _bytes(tensor) > limit:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += _bytes(tensor)
    return shards


def _write_file(file: Path, tensors: Mapping[str, Lazy], same: Mapping[str, str]) -> None:
    from safetensors.torch import save_file

    found: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, lazy in tensors.items():
        whole = compute(lazy, {}).cpu().contiguous()
        place = whole.untyped_storage().data_ptr()
        found[name] = whole.clone() if place in storages else whole  # views of one storage
        storages.add(place)
    save_file(found, file, metadata={"format": "pt", **same})


def _write_index(
    file: Path, files: Sequence[str], shards: list[list[str]], tensors: Mapping[str, Lazy]
) -> None:
    weight_map = {name: shard for shard, names in zip(files, shards, strict=True) for name in names}
    metadata = {
        "total_parameters": sum(tensor.count for tensor in tensors.values()),
        "total_size": sum(_bytes(tensor) for tensor in tensors.values()),
    }
    text = json.dumps({"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}, indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def _bytes(tensor: Lazy) -> int:
    return tensor.count * tensor.dtype.itemsize
