"""Rows of tensors read from safetensors files, each where it lies, without the rest of its file.

Nothing is mapped into memory: a file that shrinks while it is read would end the process then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from surgery.checkpoint.headers import Header, Place, Stamp, opened, read_header, stamp_of
from surgery.errors import SurgeryError
from surgery.fingerprint import bytes_of, digest_of, hashed
from surgery.lazy import Lazy, Stored, nodes

_AT_ONCE = 8_000_000  # bytes, whole elements of any dtype


@dataclass
class _Opened:
    """A file that is read: its header, and what it was when opened."""

    handle: int
    header: Header
    stamp: Stamp


@dataclass
class Reader:
    """Reads from safetensors files, by several threads at a time. `read_bytes` is what was read so far."""

    read_bytes: int = 0
    _files: dict[Path, _Opened] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            os.close(file.handle)
        self._files.clear()

    def rows(self, stored: Stored, start: int, stop: int) -> Tensor:
        """The elements `start` to `stop` along the first dimension. SurgeryError if they cannot be read."""
        one = torch.Size(stored.shape[1:]).numel() * stored.dtype.itemsize
        made = self._read(stored, start * one, (stop - start) * one)
        return made.view(stop - start, *stored.shape[1:])

    def whole(self, stored: Stored) -> Tensor:
        """All of a tensor."""
        return self._read(stored, 0, stored.count * stored.dtype.itemsize).view(stored.shape)

    def digest(self, stored: Stored) -> str:
        """The digest of a tensor, a little of it in memory at a time."""
        made, size = hashed(), stored.count * stored.dtype.itemsize
        for offset in range(0, size, _AT_ONCE):
            made.update(bytes_of(self._read(stored, offset, min(_AT_ONCE, size - offset))))
        return digest_of(stored.dtype, stored.shape, made.hexdigest())

    def named(self, file: Path, name: str) -> Tensor:
        """All of the tensor that a file has by this name."""
        place = self._opened(file).header.tensors.get(name)
        if place is None:
            raise SurgeryError("holds no tensor of this name", path=str(file), got=name)
        return self.whole(Stored(shape=place.shape, dtype=place.dtype, file=file, name=name))

    def everything(self, file: Path) -> dict[str, Tensor]:
        """All tensors of a file by name."""
        return {name: self.named(file, name) for name in self._opened(file).header.tensors}

    def stamp(self, file: Path) -> Stamp:
        """What a file was when it was opened, by its size and the time of its last change."""
        return self._opened(file).stamp

    @property
    def stamps(self) -> dict[Path, Stamp]:
        """What each file was when it was opened."""
        return {path: file.stamp for path, file in self._files.items()}

    def note(self, lazy: Lazy) -> None:
        """Whoever reads what this is made from by another way wants it to stay as it is, too."""
        for node in nodes([lazy]):
            if isinstance(node, Stored):
                self._opened(node.file)

    def refuse_changed(self) -> None:
        """SurgeryError for a file that was written into since it was opened."""
        for file, opened_file in self._files.items():
            try:
                changed = stamp_of(os.stat(file)) != opened_file.stamp
            except OSError:
                changed = True
            if changed:
                raise SurgeryError("was changed while it was read", path=str(file))

    def _read(self, stored: Stored, offset: int, size: int) -> Tensor:
        found = self._opened(stored.file)
        place = found.header.tensors.get(stored.name)
        if place is None or (place.shape, place.dtype) != (stored.shape, stored.dtype):
            raise SurgeryError("is not as its header said before", path=f"{stored.file}: {stored.name}")
        made = torch.empty(size // stored.dtype.itemsize, dtype=stored.dtype)
        data: Any = made.view(torch.uint8).numpy()
        _fill(memoryview(data), found.handle, place, offset, stored.file)
        with self._lock:
            self.read_bytes += size
        return made

    def _opened(self, file: Path) -> _Opened:
        with self._lock:
            if file not in self._files:
                self._files[file] = _open(file)
            return self._files[file]


def _fill(view: memoryview, handle: int, place: Place, offset: int, file: Path) -> None:
    done = 0
    while done < len(view):
        try:
            got = os.preadv(handle, [view[done:]], place.start + offset + done)
        except OSError as error:
            raise SurgeryError(f"cannot be read: {error.strerror}", path=str(file)) from None
        if not got:
            raise SurgeryError("is truncated", path=str(file), hint="copying the file again")
        done += got


def _open(file: Path) -> _Opened:
    handle = opened(file)
    try:
        return _Opened(handle, read_header(handle, file), stamp_of(os.fstat(handle)))
    except BaseException:
        os.close(handle)
        raise
