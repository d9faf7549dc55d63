"""Lazy tensors computed a few rows at a time, where every function on the way allows it, or else whole."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from surgery.lazy import Alias, Held, Known, Lazy, Recipe, Reduction, Stored
from surgery.recipes import FUNCTIONS, compute
from surgery.reductions import REDUCTIONS, TILE, retiled, tiles_of
from surgery.reductions import reduced as run_of
from surgery.stream.layout import size_of
from surgery.stream.reading import Reader
from surgery.stream.views import is_joined

PIECE_BYTES = 1_000_000
"""What is made of a tensor at a time, of what can be cut into rows: little enough for a processor's cache."""


def is_tiled(lazy: Lazy) -> bool:
    """Whether rows of it can be made of the same rows of what it is made from."""
    if isinstance(lazy, Alias):
        return is_tiled(lazy.inputs[0])
    if isinstance(lazy, Stored | Held | Known):
        return bool(lazy.shape)
    if not isinstance(lazy, Recipe) or not lazy.inputs or not lazy.shape:
        return False
    function = FUNCTIONS[lazy.function]
    if function.tiling == "whole" or (function.tiling == "slices" and len(lazy.shape) < 2):
        return False
    if not all(map(is_tiled, _gathered(lazy))):
        return False
    return all(is_tiled(item) and item.shape[:1] == lazy.shape[:1] for item in _cut(lazy))


class Maker:
    """Makes tensors of what lies in files, for several threads at a time; reductions are made once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._made: dict[int, tuple[Reduction, Tensor]] = {}
        self._locks: dict[int, Lock] = {}
        self._lock = Lock()

    def pieces(self, lazy: Lazy) -> Iterator[Tensor]:
        """A tensor piece by piece along its first dimension, on the CPU; whole where it cannot be cut."""
        if not is_tiled(lazy):
            if is_joined(lazy):
                for item in lazy.inputs:
                    yield from self.pieces(item)
                return
            self.reader.note(lazy)
            yield compute(lazy, self._known(lazy)).cpu().contiguous()
            return
        step = _rows_at_once(lazy)
        for start in range(0, lazy.shape[0], step):
            yield self._rows(lazy, start, min(start + step, lazy.shape[0]))

    def _rows(self, lazy: Lazy, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of a tensor that is tiled."""
        if isinstance(lazy, Alias):
            return self._rows(lazy.inputs[0], start, stop)
        if isinstance(lazy, Stored):
            return self.reader.rows(lazy, start, stop)
        if isinstance(lazy, Held):
            return lazy.parameter.detach()[start:stop].cpu()
        if isinstance(lazy, Known):
            return lazy.tensor[start:stop].cpu()
        assert isinstance(lazy, Recipe)
        function = FUNCTIONS[lazy.function]
        inputs = [self._small(item) for item in _whole(lazy)]
        inputs += [self._rows(item, start, stop) for item in _cut(lazy)]
        for item in _gathered(lazy):
            rows, inputs[-1] = self._named(item, inputs[-1])
            inputs.insert(0, rows)
        arguments: dict[str, Any] = dict(lazy.arguments)
        if function.placed:
            arguments["at"] = start * torch.Size(lazy.shape[1:]).numel()
        return function.call(*inputs, **arguments)

    def _named(self, lazy: Lazy, places: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of a tensor that `places` names, each once, and where among these they lie."""
        wanted = places[places >= 0].unique()
        if not len(wanted):
            return self._rows(lazy, 0, 1), places
        ends = (wanted.diff() != 1).nonzero().flatten() + 1  # neighbours are read at once
        runs = wanted.tensor_split(ends)
        rows = torch.cat([self._rows(lazy, int(run[0]), int(run[-1]) + 1) for run in runs])
        return rows, torch.where(places < 0, -1, torch.searchsorted(wanted, places))

    def _small(self, lazy: Lazy) -> Tensor:
        """A tensor that is given whole to every piece."""
        if isinstance(lazy, Reduction):
            return self.reduced(lazy)
        return compute(lazy, self._known(lazy))

    def _known(self, lazy: Lazy) -> dict[int, Tensor]:
        """The reductions that a tensor is made from, by id of the node."""
        return {id(node): self.reduced(node) for node in _below(lazy) if isinstance(node, Reduction)}

    def reduced(self, lazy: Reduction) -> Tensor:
        """What a reduction comes to, made once."""
        with self._lock:
            lock = self._locks.setdefault(id(lazy), Lock())
        with lock:  # the others that need it wait for it
            if id(lazy) not in self._made:
                self._made[id(lazy)] = lazy, run_of(lazy, self._tiles)
        return self._made[id(lazy)][1]

    def _tiles(self, lazy: Lazy) -> Iterator[Tensor]:
        if is_tiled(lazy):
            yield from retiled(self.pieces(lazy))
            return
        self.reader.note(lazy)
        yield from tiles_of(compute(lazy, self._known(lazy)))


def room(lazy: Lazy) -> int:
    """Bytes that a tensor takes while it is made: a piece of it and of what that is made from, or all."""
    if not is_tiled(lazy):
        return max(map(room, lazy.inputs)) if is_joined(lazy) else _room_whole(lazy)
    if isinstance(lazy, Alias | Stored | Held | Known):
        return _piece(lazy) * lazy.dtype.itemsize
    made = _in_pieces(lazy)
    wide = max(FUNCTIONS[node.function].workspace for node in made if isinstance(node, Recipe))
    each = sum(node.dtype.itemsize for node in made) + wide + lazy.dtype.itemsize
    return max([_piece(lazy) * each, *(room(item) for node in made for item in _whole(node))])


def _room_whole(lazy: Lazy) -> int:
    """Bytes that it takes to have all that a tensor is made from at once."""
    if isinstance(lazy, Reduction):
        each = sum(item.dtype.itemsize for item in lazy.inputs) + REDUCTIONS[lazy.function].workspace
        parts = [sum(map(room, lazy.inputs))] if REDUCTIONS[lazy.function].joint else map(room, lazy.inputs)
        return max(parts) + min(TILE, max(item.count for item in lazy.inputs)) * each
    nodes = list(_below(lazy))
    extra = 0
    for node in nodes:
        if isinstance(node, Recipe):
            largest = max([node.count, *(item.count for item in node.inputs)])
            extra = max(extra, FUNCTIONS[node.function].workspace * largest)
    kept = sum(size_of(node) for node in nodes if not isinstance(node, Held))
    return kept + max([extra, *(room(node) for node in nodes if isinstance(node, Reduction))])


def _below(lazy: Lazy) -> list[Lazy]:
    """It and what it is made from, each node once; not what its reductions are made from."""
    seen: dict[Lazy, None] = {}
    waiting = [lazy]
    for node in waiting:  # grows while it is read
        if node not in seen:
            seen[node] = None
            waiting += [] if isinstance(node, Reduction) else node.inputs
    return list(seen)


def _in_pieces(lazy: Lazy) -> list[Lazy]:
    """It and what it is made from piece by piece."""
    found = [lazy]
    for node in found:
        found += _gathered(node) + _cut(node)
    return list(dict.fromkeys(found))


def _cut(lazy: Lazy) -> tuple[Lazy, ...]:
    """The inputs that are cut where it is."""
    return lazy.inputs[FUNCTIONS[lazy.function].whole :] if isinstance(lazy, Recipe) else lazy.inputs


def _whole(lazy: Lazy) -> tuple[Lazy, ...]:
    """The inputs that every piece of it is given whole."""
    if not isinstance(lazy, Recipe):
        return ()
    function = FUNCTIONS[lazy.function]
    return () if function.gathers else lazy.inputs[: function.whole]


def _gathered(lazy: Lazy) -> tuple[Lazy, ...]:
    """The input of which single rows are taken, if there is one."""
    return lazy.inputs[:1] if isinstance(lazy, Recipe) and FUNCTIONS[lazy.function].gathers else ()


def _piece(lazy: Lazy) -> int:
    """Elements of a piece."""
    return min(_rows_at_once(lazy), lazy.shape[0]) * torch.Size(lazy.shape[1:]).numel()


def _rows_at_once(lazy: Lazy) -> int:
    one = size_of(lazy) // max(1, lazy.shape[0])
    return max(1, PIECE_BYTES // max(1, one))
