"""How tensors lie in safetensors files: which in which, from which byte to which, under what header."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from surgery.checkpoint.headers import DTYPES
from surgery.errors import SurgeryError
from surgery.lazy import Lazy

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Span:
    """Where a tensor's bytes lie in its file: from `start` to `stop`."""

    name: str
    lazy: Lazy
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """A safetensors file: its name, its header as bytes, and its tensors in the order of their bytes."""

    file: str
    header: bytes
    spans: tuple[Span, ...]

    @property
    def size_bytes(self) -> int:
        """The size of the file."""
        return self.spans[-1].stop if self.spans else len(self.header)

    @property
    def tensor_bytes(self) -> int:
        """The size of its tensors."""
        return self.size_bytes - len(self.header)


def shards(stem: str, tensors: Mapping[str, Lazy], limit: int, same: Mapping[str, str]) -> list[Shard]:
    """The files for these tensors, of at most `limit` bytes; a tensor that is larger alone has one to itself.

    Names are told as transformers tells them: `stem`-00001-of-00002.safetensors. `same` (other → kept) is
    noted in the metadata of the file that holds the kept tensor.
    """
    groups: list[list[str]] = [[]]
    size = 0
    for name, lazy in tensors.items():
        if groups[-1] and size + size_of(lazy) > limit:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += size_of(lazy)
    count = len(groups)
    return [
        _shard(
            f"{stem}.safetensors" if count == 1 else f"{stem}-{number:05}-of-{count:05}.safetensors",
            {name: tensors[name] for name in names},
            {other: kept for other, kept in same.items() if kept in names},
        )
        for number, names in enumerate(groups, 1)
    ]


def index_of(made: Iterable[Shard]) -> str:
    """The index of several files, as transformers writes it."""
    spans = {span.name: (shard.file, span.lazy) for shard in made for span in shard.spans}
    metadata = {
        "total_parameters": sum(lazy.count for _, lazy in spans.values()),
        "total_size": sum(size_of(lazy) for _, lazy in spans.values()),
    }
    weight_map = {name: file for name, (file, _) in sorted(spans.items())}
    return json.dumps({"metadata": metadata, "weight_map": weight_map}, indent=2) + "\n"


def size_of(lazy: Lazy) -> int:
    """Bytes of a tensor."""
    return lazy.count * lazy.dtype.itemsize


def _shard(file: str, tensors: Mapping[str, Lazy], same: Mapping[str, str]) -> Shard:
    # The widest elements first, so that each tensor is aligned to its own.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)
    said: dict[str, object] = {"__metadata__": {"format": "pt", **same}}
    place = 0
    for name, lazy in ordered:
        end = place + size_of(lazy)
        said[name] = {
            "dtype": _name_of(lazy.dtype, name),
            "shape": list(lazy.shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    spans, start = [], len(header)
    for name, lazy in ordered:
        spans.append(Span(name, lazy, start, start + size_of(lazy)))
        start = spans[-1].stop
    return Shard(file, header, tuple(spans))


def _name_of(dtype: torch.dtype, name: str) -> str:
    if dtype not in _NAMES:
        raise SurgeryError("safetensors has no name for this dtype", path=name, got=str(dtype))
    return _NAMES[dtype]
