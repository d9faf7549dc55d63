"""Safetensors files written tensor by tensor, several at a time, within a limit of memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

import torch

from graph.units import short
from surgery.errors import SurgeryError
from surgery.fingerprint import bytes_of, digest_of, hashed
from surgery.lazy import Lazy
from surgery.recipes import one_thread
from surgery.stream.layout import Shard, Span, index_of, shards
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker, room

Told = Callable[[int, int], None]
"""Hears of bytes written, of how many."""


def write(
    folder: Path,
    stem: str,
    tensors: Mapping[str, Lazy],
    limit: int,
    same: Mapping[str, str] | None = None,
    *,
    memory_bytes: int | None = None,
    told: Told | None = None,
) -> dict[str, str]:
    """Writes the tensors into files of at most `limit` bytes each, with an index where these are several.

    Gives the digest of each tensor by name, as `surgery.fingerprint.tensor_digest` has it. At most
    `memory_bytes` are taken at a time by what is read and computed, all tensors taken together; SurgeryError,
    before anything is written, where one alone needs more. What lies in memory already does not count.
    """
    made = shards(stem, tensors, limit, same or {})
    if memory_bytes is not None:
        for shard in made:
            _refuse_large(shard, memory_bytes)
    with Reader() as reader, one_thread():
        digests = _Writer(folder, made, reader, memory_bytes, told or (lambda done, of: None)).run()
        reader.refuse_changed()
    if len(made) > 1:
        (folder / f"{stem}.safetensors.index.json").write_text(index_of(made), encoding="utf-8")
    return digests


def _refuse_large(shard: Shard, memory_bytes: int) -> None:
    for span in shard.spans:
        if (needed := room(span.lazy)) > memory_bytes:
            raise SurgeryError(
                "cannot be made in so little memory",
                path=span.name,
                got=short(memory_bytes, "B"),
                expected=f"{short(needed, 'B')} or more",
            )


class _Room:
    """Memory that is shared out: whoever asks for more than is left waits, unless nobody else has any."""

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes, self.used_bytes = limit_bytes, 0
        self._changed = Condition()

    @contextmanager
    def of(self, size_bytes: int) -> Iterator[None]:
        """Within, so much is taken."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self.limit_bytes is None
                    or not self.used_bytes
                    or self.used_bytes + size_bytes <= self.limit_bytes
                )
            )
            self.used_bytes += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self.used_bytes -= size_bytes
                self._changed.notify_all()


class _Writer:
    def __init__(
        self, folder: Path, made: list[Shard], reader: Reader, memory_bytes: int | None, told: Told
    ) -> None:
        self.folder, self.shards, self.maker, self.told = folder, made, Maker(reader), told
        self.room = _Room(memory_bytes)
        self.handles: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.stopped = False

    def run(self) -> dict[str, str]:
        """Writes all; the digests by name."""
        total = sum(shard.size_bytes for shard in self.shards)
        try:
            for shard in self.shards:
                self._begin(shard)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                work = [
                    pool.submit(self._write, shard, span) for shard in self.shards for span in shard.spans
                ]
                self._watch(work, total)
        finally:
            for handle in self.handles.values():
                os.close(handle)
        return self.digests

    def _watch(self, work: list[Future[int]], total: int) -> None:
        left, done = set(work), 0
        try:
            while left:
                ended, left = wait(left, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in ended)
                self.told(done, total)
        except BaseException:
            self.stopped = True
            for future in left:
                future.cancel()
            raise

    def _begin(self, shard: Shard) -> None:
        handle = os.open(self.folder / shard.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self.handles[shard.file] = handle
        _put(handle, memoryview(shard.header), 0)

    def _write(self, shard: Shard, span: Span) -> int:
        """Makes a tensor and writes it; its size in bytes."""
        made, at = hashed(), span.start
        with self.room.of(room(span.lazy)), torch.no_grad():
            for piece in self.maker.pieces(span.lazy):
                if self.stopped:
                    return 0
                data = bytes_of(piece)
                made.update(data)
                _put(self.handles[shard.file], memoryview(data), at)
                at += data.nbytes
        assert at == span.stop, f"{span.name} was declared {span.stop - span.start} bytes"
        self.digests[span.name] = digest_of(span.lazy.dtype, span.lazy.shape, made.hexdigest())
        return span.stop - span.start


def _put(handle: int, data: memoryview, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], at + done)
