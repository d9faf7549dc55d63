"""What a tape keeps, within a limit: of two outputs the one that costs more per byte to compute again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor

ROUNDS = 16
"""Evaluations after which a call that none of them met is forgotten."""

Reads = tuple[tuple[int, str, Hashable], ...]
"""What a call read of the block's configs: number of the config, field, what it said."""


@dataclass(eq=False)
class Entry:
    """One recorded call. `token` stands for what it gave, whether or not the `outputs` are kept."""

    token: int
    block: int
    reads: Reads
    shape: Any = None
    outputs: tuple[Tensor, ...] | None = None
    versions: tuple[int, ...] = ()
    size_bytes: int = 0
    cost: float = 0.0
    used: int = 0
    on_host: bool = False

    @property
    def worth(self) -> tuple[int, float]:
        """What is worth least goes first: what was not used for longest, then what is cheapest per byte."""
        return self.used, self.cost / max(self.size_bytes, 1)


@dataclass
class Store:
    """Entries by key, their outputs up to `limit_bytes`; on an accelerator what has no room there goes to
    the host, up to `host_bytes`. `round` counts evaluations.
    """

    limit_bytes: int
    host_bytes: int = 0
    to_host: Callable[[Tensor], Tensor] = field(default=lambda tensor: tensor.to("cpu"))
    used_bytes: int = 0
    host_used_bytes: int = 0
    round: int = 0
    _entries: dict[Hashable, list[Entry]] = field(default_factory=dict)
    _heap: list[tuple[tuple[int, float], int, Entry]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)

    def find(self, key: Hashable, says: Callable[[int, str], Hashable | None]) -> Entry | None:
        """The entry whose reads `says` (config, field) confirms."""
        for entry in self._entries.get(key, ()):
            if all(says(config, name) == value for config, name, value in entry.reads):
                entry.used = self.round
                return entry
        return None

    def add(self, key: Hashable, entry: Entry) -> None:
        """Another entry, without outputs yet."""
        self._entries.setdefault(key, []).append(entry)
        entry.used = self.round

    def keep(self, entry: Entry, outputs: tuple[Tensor, ...], cost: float) -> None:
        """Keeps the outputs of an entry if there is room, or is what they are worth."""
        self.drop(entry)  # a call with the same arguments may have been recorded twice in a forward
        storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in outputs}
        entry.size_bytes, entry.cost = sum(storages.values()), cost
        if self._made_room(entry):
            self._take(entry, outputs, on_host=False)
        elif self.host_used_bytes + entry.size_bytes <= self.host_bytes:
            self._take(entry, tuple(map(self.to_host, outputs)), on_host=True)

    def begin(self) -> None:
        """A new evaluation begins: what it does not use goes first.

        Calls without outputs that none of the last ROUNDS evaluations met are forgotten: they add up.
        """
        self.round += 1
        if self.round % ROUNDS:
            return
        for key, entries in list(self._entries.items()):
            left = [e for e in entries if e.outputs is not None or e.used > self.round - ROUNDS]
            if left:
                self._entries[key] = left
            else:
                del self._entries[key]

    def drop(self, entry: Entry) -> None:
        """Gives back the memory of an entry; its token stays."""
        if entry.outputs is None:
            return
        if entry.on_host:
            self.host_used_bytes -= entry.size_bytes
        else:
            self.used_bytes -= entry.size_bytes
        entry.outputs, entry.on_host = None, False

    def forget(self, blocks: Iterable[int]) -> None:
        """Forgets every entry of these blocks."""
        gone = set(blocks)
        for key, entries in list(self._entries.items()):
            for entry in entries:
                if entry.block in gone:
                    self.drop(entry)
            kept = [entry for entry in entries if entry.block not in gone]
            if kept:
                self._entries[key] = kept
            else:
                del self._entries[key]

    def remove(self, key: Hashable, entry: Entry) -> None:
        """Forgets one entry."""
        self.drop(entry)
        entries = self._entries.get(key, [])
        if entry in entries:
            entries.remove(entry)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._heap.clear()
        self.used_bytes = self.host_used_bytes = 0

    def _take(self, entry: Entry, outputs: tuple[Tensor, ...], *, on_host: bool) -> None:
        entry.outputs, entry.on_host = outputs, on_host
        entry.versions = tuple(tensor._version for tensor in outputs)
        if on_host:
            self.host_used_bytes += entry.size_bytes
        else:
            self.used_bytes += entry.size_bytes
            heapq.heappush(self._heap, (entry.worth, next(self._order), entry))

    def _made_room(self, entry: Entry) -> bool:
        """Whether the entry fits, after what is worth less was dropped or went to the host."""
        if entry.size_bytes > self.limit_bytes:
            return False
        while self.used_bytes + entry.size_bytes > self.limit_bytes:
            if not self._heap:
                return False
            worth, _, least = self._heap[0]
            if least.outputs is None or least.on_host:
                heapq.heappop(self._heap)
            elif least.worth != worth:  # it was used since
                heapq.heapreplace(self._heap, (least.worth, next(self._order), least))
            elif worth >= entry.worth:
                return False
            else:
                heapq.heappop(self._heap)
                self._evict(least)
        return True

    def _evict(self, entry: Entry) -> None:
        outputs = entry.outputs
        assert outputs is not None
        self.drop(entry)
        if self.host_used_bytes + entry.size_bytes <= self.host_bytes:
            self._take(entry, tuple(map(self.to_host, outputs)), on_host=True)


def host_copy(tensor: Tensor) -> Tensor:
    """A copy in pinned memory, from which an accelerator takes it back without waiting."""
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor)
