"""What a streamed save comes from and is laid out as, in a few hashes that another run can compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch

from surgery.fingerprint import tensor_digest
from surgery.lazy import Held, Known, Lazy, Recipe, Reduction, Stored
from surgery.script import made_with
from surgery.stream.device import CPU
from surgery.stream.layout import Shard
from surgery.stream.reading import Reader

Identity = dict[str, Any]
"""`layout` and `recipes` are hashes, `files` are stamps by path, `made_with` what equal bits hang on."""


def identity_of(shards: Sequence[Shard], reader: Reader, device: torch.device = CPU) -> Identity:
    """The identity of a plan: the same one where each file would come out with the same bits.

    Files count by size and time of the last change, as `reader` found them when it opened them. `device` is
    where functions are computed.
    """
    layout, known, files = hashlib.sha256(), dict[Lazy, str](), dict[str, list[int]]()
    recipes = hashlib.sha256()
    for shard in shards:
        layout.update(f"{shard.file} {len(shard.header)} ".encode() + shard.header)
        for span in shard.spans:
            recipes.update(f"{span.name} {_described(span.lazy, known)}\n".encode())
    for lazy in known:
        if isinstance(lazy, Stored) and str(lazy.file) not in files:
            files[str(lazy.file)] = list(reader.stamp(lazy.file))
    return {
        "layout": layout.hexdigest(),
        "recipes": recipes.hexdigest(),
        "files": dict(sorted(files.items())),
        "made_with": made_with(device.type) | _settings(),
    }


def _settings() -> dict[str, str]:
    """What else of torch the bits hang on."""
    return {
        "the precision of products": torch.get_float32_matmul_precision(),
        "the choice of deterministic algorithms": str(torch.are_deterministic_algorithms_enabled()),
    }


def difference(before: Identity, now: Identity) -> str | None:
    """What is other than before, in words; None if nothing is."""
    for key, value in now["made_with"].items():
        if (was := before["made_with"].get(key)) != value:
            return f"{key} is {value} and was {was}"
    for file, stamp in now["files"].items():
        if file not in before["files"]:
            return f"{file} was not read then"
        if before["files"][file] != stamp:
            return f"{file} was changed since"
    if further := next((file for file in before["files"] if file not in now["files"]), None):
        return f"{further} was read then and is not now"
    if before["recipes"] != now["recipes"]:
        return "the steps, or the model they are made on, come to other tensors"
    if before["layout"] != now["layout"]:
        return "the tensors lie otherwise in files, as another shard size has them"
    return None if before == now else "more is different than can be told"


def _described(lazy: Lazy, known: dict[Lazy, str]) -> str:
    """A hash over a tensor's recipe down to files, names, arguments and values at hand."""
    if lazy not in known:
        inputs = [_described(item, known) for item in lazy.inputs]
        said = [type(lazy).__name__, str(lazy.dtype), list(lazy.shape), *_of_its_own(lazy), inputs]
        known[lazy] = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    return known[lazy]


def _of_its_own(lazy: Lazy) -> list[str]:
    if isinstance(lazy, Stored):
        return [str(lazy.file), lazy.name]
    if isinstance(lazy, Held):
        return [tensor_digest(lazy.parameter)]
    if isinstance(lazy, Known):
        return [tensor_digest(lazy.tensor)]
    if isinstance(lazy, Recipe | Reduction):
        return [lazy.function, repr(sorted(lazy.arguments.items()))]
    return []
