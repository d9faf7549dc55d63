"""Safetensors files written tensor by tensor, several at a time, within a limit of memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Condition, Lock

import torch

from graph.units import short
from surgery.checkpoint.replacing import sync
from surgery.cluster import connected
from surgery.errors import SurgeryError
from surgery.fingerprint import bytes_of, digest_of, hashed
from surgery.lazy import Lazy
from surgery.recipes import one_thread
from surgery.stream.device import CPU
from surgery.stream.identity import identity_of
from surgery.stream.layout import Shard, Span, index_of, shards
from surgery.stream.ledger import Ledger, Whole
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker, room

_TOLD_EVERY_S = 0.2

Told = Callable[[int, int], None]
"""Hears of bytes written, of how many."""

Noted = Callable[[str, Mapping[str, str]], None]
"""Hears of a file that is whole and on the disk, and of the digests of its tensors by name."""


def write(
    folder: Path,
    stem: str,
    tensors: Mapping[str, Lazy],
    limit: int,
    same: Mapping[str, str] | None = None,
    *,
    memory_bytes: int | None = None,
    told: Told | None = None,
    reader: Reader | None = None,
    ledger: Ledger | None = None,
    device: torch.device = CPU,
    ray: bool | str = False,
) -> dict[str, str]:
    """Writes the tensors into files of at most `limit` bytes each, with an index where these are several.

    Gives the digest of each tensor by name, as `surgery.fingerprint.tensor_digest` has it. At most
    `memory_bytes` are taken at a time by what is read and computed, all tensors taken together; SurgeryError,
    before anything is written, where one alone needs more. What lies in memory already does not count.

    With a `ledger` the files that it knows to be whole stay as they are, and it hears of each other one as
    soon as that is whole and on the disk; they become so one after another.

    Functions are computed on `device`. With `ray`, True or an address, each file is written by a worker of
    Ray, which takes so much memory at a time: see `surgery.stream.spread`. That takes a ledger.
    """
    made = shards(stem, tensors, limit, same or {})
    refuse_large(made, memory_bytes)
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        source = stack.enter_context(Reader()) if reader is None else reader
        cluster = stack.enter_context(connected(ray)) if ray else None
        progress = Progress(sum(shard.tensor_bytes for shard in made), told)
        whole: Whole = {}
        if ledger is not None:
            whole = ledger.begin(identity_of(made, source, device), made, folder, progress.add)
        left = [shard for shard in made if shard.file not in whole]
        if cluster is None:
            noted = None if ledger is None else ledger.note
            digests = write_shards(folder, left, Maker(source, device), progress, memory_bytes, noted)
        else:
            from surgery.stream.spread import spread

            assert ledger is not None
            digests = spread(cluster, folder, left, source, progress, memory_bytes, device, ledger.note)
        source.refuse_changed()
    if len(made) > 1:
        (folder / f"{stem}.safetensors.index.json").write_text(index_of(made), encoding="utf-8")
    return digests | {name: digest for found in whole.values() for name, digest in found.items()}


def write_shards(
    folder: Path,
    made: Sequence[Shard],
    maker: Maker,
    progress: Progress,
    memory_bytes: int | None,
    noted: Noted | None = None,
    threads: int | None = None,
) -> dict[str, str]:
    """Writes these files; the digests of their tensors. `noted` hears of each as soon as it is on the disk.

    So many `threads` work at a time, by default one for each processor.
    """
    return _Writer(folder, made, maker, memory_bytes, progress, noted, threads).run()


def refuse_large(made: Iterable[Shard], memory_bytes: int | None) -> None:
    """SurgeryError for a tensor that alone needs more memory than there is; None is any."""
    for span in (span for shard in made for span in shard.spans):
        if memory_bytes is not None and (needed := room(span.lazy)) > memory_bytes:
            raise SurgeryError(
                "cannot be made in so little memory",
                path=span.name,
                got=short(memory_bytes, "B"),
                expected=f"{short(needed, 'B')} or more",
            )


class _Room:
    """Memory that is shared out, first come, first served.

    Whoever asks for more than is left waits, unless nobody else has any.
    """

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes, self.used_bytes = limit_bytes, 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def of(self, size_bytes: int) -> Iterator[None]:
        """Within, so much is taken."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket and self._fits(size_bytes))
            self._waiting.popleft()
            self.used_bytes += size_bytes
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.used_bytes -= size_bytes
                self._changed.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        return (
            self.limit_bytes is None
            or not self.used_bytes
            or self.used_bytes + size_bytes <= self.limit_bytes
        )


class Progress:
    """Bytes done, of how many: several threads add, and one tells."""

    def __init__(self, total: int, told: Told | None) -> None:
        self.done, self.total, self._told = 0, total, told
        self._lock = Lock()

    def add(self, size_bytes: int) -> None:
        """So many more are done."""
        with self._lock:
            self.done += size_bytes

    def tell(self) -> None:
        """Whoever wants to know hears how many are done."""
        if self._told is not None:
            self._told(self.done, self.total)


class _Begun:
    """A file that tensors are written into: its descriptor, how many are left, and their digests."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.file, self.left, self.digests = folder / shard.file, len(shard.spans), dict[str, str]()
        self.handle = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            _put(self.handle, memoryview(shard.header), 0)
        except BaseException:
            os.close(self.handle)
            self.file.unlink(missing_ok=True)  # who tries next is told the same reason
            raise


class _Writer:
    def __init__(
        self,
        folder: Path,
        made: Sequence[Shard],
        maker: Maker,
        memory_bytes: int | None,
        progress: Progress,
        noted: Noted | None,
        threads: int | None,
    ) -> None:
        self.folder, self.shards, self.maker, self.progress = folder, made, maker, progress
        self.room, self.noted, self.threads = _Room(memory_bytes), noted, threads
        self.begun: dict[str, _Begun] = {}
        self.digests: dict[str, str] = {}
        self.lock = Lock()
        self.stopped = False

    def run(self) -> dict[str, str]:
        """Writes all; the digests by name."""
        try:
            self.progress.tell()
            for shard in self.shards:
                if not shard.spans:
                    self._end(shard, self._file(shard))
            with ThreadPoolExecutor(self.threads or os.cpu_count()) as pool:
                work = [
                    pool.submit(self._write, shard, span) for shard in self.shards for span in shard.spans
                ]
                self._watch(work)
        finally:
            for begun in self.begun.values():
                os.close(begun.handle)
        return self.digests

    def _watch(self, work: list[Future[None]]) -> None:
        left = set(work)
        try:
            while left:
                ended, left = wait(left, _TOLD_EVERY_S, FIRST_COMPLETED)
                for future in ended:
                    future.result()
                self.progress.tell()
        except BaseException:
            self.stopped = True
            for future in left:
                future.cancel()
            raise

    def _file(self, shard: Shard) -> _Begun:
        """The file of a shard, made when its first tensor is written."""
        with self.lock:
            if shard.file not in self.begun:
                self.begun[shard.file] = _Begun(self.folder, shard)
            return self.begun[shard.file]

    def _write(self, shard: Shard, span: Span) -> None:
        """Makes a tensor and writes it."""
        made, at = hashed(), span.start
        with self.room.of(room(span.lazy)), torch.no_grad():
            file = self._file(shard)
            for piece in self.maker.pieces(span.lazy):
                if self.stopped:
                    return
                data = bytes_of(piece)
                made.update(data)
                _put(file.handle, memoryview(data), at)
                at += data.nbytes
                self.progress.add(data.nbytes)
        assert at == span.stop, f"{span.name} was declared {span.stop - span.start} bytes"
        digest = digest_of(span.lazy.dtype, span.lazy.shape, made.hexdigest())
        with self.lock:
            file.digests[span.name] = self.digests[span.name] = digest
            file.left -= 1
            is_whole = not file.left
        if is_whole:
            self._end(shard, file)

    def _end(self, shard: Shard, file: _Begun) -> None:
        """The file is whole."""
        if self.noted is not None:
            os.fsync(file.handle)
            sync(self.folder)
            self.noted(shard.file, file.digests)
        with self.lock:
            os.close(self.begun.pop(shard.file).handle)


def _put(handle: int, data: memoryview, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], at + done)
