"""Headers of safetensors files, checked against the file before anything is read by them."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from surgery import fence
from surgery.errors import SurgeryError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "C64": torch.complex64,
}
"""Dtypes by the names that safetensors has for them."""

LONGEST_HEADER = 100_000_000
"""Bytes; safetensors reads none that is longer."""

Stamp = tuple[int, int]
"""Size and time of the last change of a file, in bytes and ns: other ones, and it was written into."""


@dataclass(frozen=True)
class Place:
    """A tensor of a file: its dtype and shape, and from which byte of the file to which it lies."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its text pairs, and its tensors by name, sorted."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Place]


def header_of(file: Path) -> Header:
    """The header of a file. SurgeryError if it cannot be read, is truncated or no safetensors file."""
    handle = opened(file)
    try:
        return read_header(handle, file)
    finally:
        os.close(handle)


def opened(file: Path) -> int:
    """A descriptor to read `file` by; SurgeryError if there is none to be had."""
    try:
        if not fence.reading(file).exists():
            raise SurgeryError("the file is not there", path=str(file))
        if not file.is_file():  # a pipe would never end
            raise SurgeryError("is no file", path=str(file))
        return os.open(file, os.O_RDONLY)
    except SurgeryError:
        raise
    except (OSError, ValueError) as error:
        raise SurgeryError(f"cannot be read: {getattr(error, 'strerror', error)}", path=str(file)) from None


def read_header(handle: int, file: Path) -> Header:
    """The same of an open file, whose name is for errors; known from before unless it was changed."""
    known = _File(handle, file, os.fstat(handle))
    try:
        return _parsed(known) if known.may_be_kept else _parsed.__wrapped__(known)
    except OSError as error:
        raise SurgeryError(f"cannot be read: {error.strerror}", path=str(file)) from None


def stamp_of(status: os.stat_result) -> Stamp:
    """By what a file is known to be as it was."""
    return status.st_size, status.st_mtime_ns


class _File:
    """An open file; another descriptor of the same, unchanged, is equal to it."""

    def __init__(self, handle: int, file: Path, status: os.stat_result) -> None:
        self.handle, self.file, self.size = handle, file, status.st_size
        self.key = (status.st_dev, status.st_ino, stamp_of(status))
        # Clocks of file systems tick slowly: what was written just now may be written again within the tick.
        self.may_be_kept = time.time_ns() - status.st_mtime_ns > 1_000_000_000

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _File) and self.key == other.key


@lru_cache(maxsize=256)
def _parsed(known: _File) -> Header:
    file, size = known.file, known.size
    length = int.from_bytes(os.pread(known.handle, 8, 0), "little")
    if size < 8 or not 2 <= length <= min(size - 8, LONGEST_HEADER):
        raise _foreign(file, f"a header of {length:,} bytes in a file of {size:,}")
    try:
        said = json.loads(_read(known.handle, length, 8), object_pairs_hook=given_once)
    except (ValueError, RecursionError) as error:
        told = str(error) if isinstance(error, _GivenTwice) else "its header is no JSON"
        raise _foreign(file, told) from None
    if not isinstance(said, dict):
        raise _foreign(file, "its header is no object")
    metadata = said.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _foreign(file, "its metadata is not text")
    tensors = {name: _place(said[name], name, 8 + length, file) for name in sorted(said)}
    _refuse_gaps(tensors, 8 + length, size, file)
    return Header(metadata, tensors)


class _GivenTwice(ValueError):
    """A key of a JSON object that is there twice."""


def given_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError for a key given twice, since readers differ on which one counts."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _GivenTwice(f"{key!r} is there twice")
        seen.add(key)
    return found


def _read(handle: int, length: int, at: int) -> bytes:
    """Exactly so many bytes, or fewer where the file ends."""
    found = bytearray()
    while len(found) < length:
        part = os.pread(handle, length - len(found), at + len(found))
        if not part:
            break
        found += part
    return bytes(found)


def _place(said: Any, name: str, start: int, file: Path) -> Place:
    if not name.isascii() and name != name.encode(errors="replace").decode():
        raise _foreign(file, "the name of a tensor is no text")
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise _foreign(file, f"{name} is described as no tensor is")
    if not isinstance(said["dtype"], str):
        raise _foreign(file, f"the dtype of {name} is no text")
    if said["dtype"] not in DTYPES:
        raise SurgeryError(
            f"{name} has a dtype that is not supported", path=str(file), got=said["dtype"][:40]
        )
    dtype, shape, offsets = DTYPES[said["dtype"]], said["shape"], said["data_offsets"]
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise _foreign(file, f"shape or place of {name} are no counts")
    if dtype.itemsize * math.prod(side or 1 for side in shape) >= 2**63:
        raise _foreign(file, f"the shape of {name} is beyond all bounds")
    count = dtype.itemsize * math.prod(shape)
    if offsets[1] - offsets[0] != count:
        raise _foreign(
            file,
            f"{name} is {count:,} bytes by shape and dtype, and {offsets[1] - offsets[0]:,} by its place",
        )
    return Place(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _refuse_gaps(tensors: Mapping[str, Place], start: int, size: int, file: Path) -> None:
    """Every byte after the header belongs to one tensor: none to two, none to nobody."""
    at = start
    for name, place in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if place.start != at:
            kind = "lies over another tensor" if place.start < at else "leaves a gap before it"
            raise _foreign(file, f"{name} {kind}")
        at = place.stop
    if at != size:
        raise _foreign(file, f"its tensors take {at - start:,} bytes, and {size - start:,} are there")


def _foreign(file: Path, reason: str) -> SurgeryError:
    return SurgeryError(
        f"is truncated or no safetensors file ({reason})", path=str(file), hint="copying the file again"
    )
