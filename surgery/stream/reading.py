"""Rows of tensors read from safetensors files, each where it lies, without the rest of its file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.lazy import Lazy, Stored


@dataclass
class _Opened:
    """A file that is read: where its data begins, where tensors lie in it, and what it was when opened."""

    handle: int
    start: int
    offsets: Mapping[str, tuple[int, int]]
    stamp: tuple[int, int]


@dataclass
class Reader:
    """Reads from safetensors files, by several threads at a time. `read_bytes` is what was read so far."""

    read_bytes: int = 0
    _files: dict[Path, _Opened] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._files.values():
            os.close(opened.handle)
        self._files.clear()

    def rows(self, stored: Stored, start: int, stop: int) -> Tensor:
        """The elements `start` to `stop` along the first dimension. SurgeryError if they cannot be read."""
        opened = self._opened(stored.file)
        one = torch.Size(stored.shape[1:]).numel() * stored.dtype.itemsize
        return self._read(stored, opened, start * one, (stop - start) * one).view(
            stop - start, *stored.shape[1:]
        )

    def whole(self, stored: Stored) -> Tensor:
        """All of a tensor."""
        opened = self._opened(stored.file)
        return self._read(stored, opened, 0, stored.count * stored.dtype.itemsize).view(stored.shape)

    def note(self, lazy: Lazy) -> None:
        """Whoever reads what this is made from by another way wants it to stay as it is, too."""
        if isinstance(lazy, Stored):
            self._opened(lazy.file)
        for item in lazy.inputs:
            self.note(item)

    def refuse_changed(self) -> None:
        """SurgeryError for a file that was written into since it was opened."""
        for file, opened in self._files.items():
            try:
                changed = _stamp(os.stat(file)) != opened.stamp
            except OSError:
                changed = True
            if changed:
                raise SurgeryError("was changed while it was read", path=str(file))

    def _read(self, stored: Stored, opened: _Opened, offset: int, size: int) -> Tensor:
        begin, end = opened.offsets[stored.name]
        made = torch.empty(size // stored.dtype.itemsize, dtype=stored.dtype)
        if end - begin != stored.count * stored.dtype.itemsize:
            raise SurgeryError("is not as its header said before", path=f"{stored.file}: {stored.name}")
        data: Any = made.view(torch.uint8).numpy()
        view = memoryview(data)
        done = 0
        while done < size:
            try:
                got = os.preadv(opened.handle, [view[done:]], opened.start + begin + offset + done)
            except OSError as error:
                raise SurgeryError(f"cannot be read: {error.strerror}", path=str(stored.file)) from None
            if not got:
                raise SurgeryError("is truncated", path=str(stored.file), hint="copying the file again")
            done += got
        with self._lock:
            self.read_bytes += size
        return made

    def _opened(self, file: Path) -> _Opened:
        with self._lock:
            if file not in self._files:
                self._files[file] = _open(file)
            return self._files[file]


def _open(file: Path) -> _Opened:
    handle = -1
    try:
        handle = os.open(file, os.O_RDONLY)
        length = int.from_bytes(os.pread(handle, 8, 0), "little")
        said = json.loads(os.pread(handle, length, 8))
        offsets = {name: tuple(at["data_offsets"]) for name, at in said.items() if name != "__metadata__"}
        return _Opened(handle, 8 + length, offsets, _stamp(os.fstat(handle)))
    except Exception as error:
        if handle >= 0:
            os.close(handle)
        if isinstance(error, OSError):
            raise SurgeryError(f"cannot be read: {error.strerror}", path=str(file)) from None
        raise SurgeryError("is no safetensors file", path=str(file)) from None


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
