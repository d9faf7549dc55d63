"""Lazy tensors computed a few rows at a time, where every function on the way allows it, or else whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

import surgery.functions  # noqa: F401  registers what recipes name
from surgery.lazy import Alias, Held, Known, Lazy, Recipe, Reduction, Stored
from surgery.recipes import FUNCTIONS, compute
from surgery.reductions import REDUCTIONS, TILE, retiled, tiles_of
from surgery.reductions import reduced as run_of
from surgery.stream.device import CPU, memory_of
from surgery.stream.layout import size_of
from surgery.stream.reading import Reader
from surgery.stream.views import is_joined

PIECE_BYTES = 1 << 19
"""What is made of a tensor at a time, of what can be cut into rows: little enough for a processor's cache."""


_TILED: WeakKeyDictionary[Lazy, bool] = WeakKeyDictionary()
_ROOM: WeakKeyDictionary[Lazy, int] = WeakKeyDictionary()
"""Found once for each: what several steps made is reached by more ways than can be gone."""


def is_tiled(lazy: Lazy) -> bool:
    """Whether rows of it can be made of the same rows of what it is made from."""
    if lazy not in _TILED:
        _TILED[lazy] = _can_be_tiled(lazy)
    return _TILED[lazy]


def _can_be_tiled(lazy: Lazy) -> bool:
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
    """Makes tensors of what lies in files, for several threads at a time; reductions are made once.

    Functions and reductions get tensors on `device`; what a reduction comes to is small, and stays on the
    CPU. `made` are reductions that were made elsewhere.
    """

    def __init__(
        self,
        reader: Reader,
        device: torch.device = CPU,
        made: Iterable[tuple[Reduction, Tensor]] = (),
    ) -> None:
        self.reader, self.device = reader, device
        self._made = {id(lazy): (lazy, tensor) for lazy, tensor in made}
        self._locks: dict[int, Lock] = {}
        self._lock = Lock()

    def pieces(self, lazy: Lazy) -> Iterator[Tensor]:
        """A tensor piece by piece along its first dimension, on the CPU; whole where it cannot be cut."""
        if (leaf := _leaf(lazy)) is not None:  # nothing is computed
            yield from (self._read(leaf, *place) for place in _places(leaf))
        elif is_joined(lazy) and not is_tiled(lazy):
            for item in lazy.inputs:
                yield from self.pieces(item)
        else:
            with memory_of(self.device):
                yield from map(self._back, self._parts(lazy))

    def _parts(self, lazy: Lazy) -> Iterator[Tensor]:
        """A tensor piece by piece where it can be cut, on the device."""
        if is_tiled(lazy):
            for start, stop in _places(lazy):
                yield self._rows(lazy, start, stop, {})
        else:
            yield self._whole(lazy)

    def _rows(self, lazy: Lazy, start: int, stop: int, made: dict[Lazy, Tensor]) -> Tensor:
        """Rows `start` to `stop` of a tensor that is tiled; `made` are those that were made already."""
        if lazy not in made:
            leaf = _leaf(lazy)
            made[lazy] = (
                self._computed(lazy, start, stop, made)
                if leaf is None
                else self._moved(self._read(leaf, start, stop))
            )
        return made[lazy]

    def _computed(self, lazy: Lazy, start: int, stop: int, made: dict[Lazy, Tensor]) -> Tensor:
        assert isinstance(lazy, Recipe)
        function = FUNCTIONS[lazy.function]
        inputs = [self._small(item) for item in _whole(lazy)]
        inputs += [self._rows(item, start, stop, made) for item in _cut(lazy)]
        for item in _gathered(lazy):
            rows, inputs[-1] = self._named(item, inputs[-1])
            inputs.insert(0, rows)
        arguments: dict[str, Any] = dict(lazy.arguments)
        if function.placed:
            arguments["at"] = start * torch.Size(lazy.shape[1:]).numel()
        return function.call(*inputs, **arguments)

    def _read(self, leaf: Lazy, start: int, stop: int) -> Tensor:
        """Rows of what is made of nothing else, on the CPU."""
        if isinstance(leaf, Stored):
            return self.reader.rows(leaf, start, stop)
        return _at_hand(leaf)[start:stop].cpu()

    def _named(self, lazy: Lazy, places: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of a tensor that `places` names, each once, and where among these they lie."""
        wanted = places[places >= 0].unique()
        if not len(wanted):
            return self._rows(lazy, 0, 1, {}), places
        ends = (wanted.diff() != 1).nonzero().flatten() + 1  # neighbours are read at once
        runs = wanted.tensor_split(ends)
        rows = torch.cat([self._rows(lazy, int(run[0]), int(run[-1]) + 1, {}) for run in runs])
        return rows, torch.where(places < 0, -1, torch.searchsorted(wanted, places))

    def _small(self, lazy: Lazy) -> Tensor:
        """A tensor that is given whole to every piece."""
        return self.reduced(lazy) if isinstance(lazy, Reduction) else self._whole(lazy)

    def _whole(self, lazy: Lazy) -> Tensor:
        """A tensor made all at once, on the device."""
        below = _below(lazy)
        memo = {id(node): self.reduced(node) for node in below if isinstance(node, Reduction)}
        held: dict[int, Tensor] = {}
        for node in below:
            if isinstance(node, Held):
                held[id(node.parameter)] = self._moved(_at_hand(node))
            elif isinstance(node, Stored):
                memo[id(node)] = self._moved(self.reader.whole(node))
            elif isinstance(node, Known):
                memo[id(node)] = self._moved(_at_hand(node))
            elif isinstance(node, Recipe) and not node.inputs:
                memo[id(node)] = self._moved(compute(node, {}))
        return compute(lazy, memo, lambda node: held[id(node.parameter)])

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def _back(self, tensor: Tensor) -> Tensor:
        return tensor.cpu().contiguous()

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
            yield from retiled(self._parts(lazy))
        else:
            yield from tiles_of(self._whole(lazy))


def _leaf(lazy: Lazy) -> Lazy | None:
    """The tensor of one or more dimensions that this very one is, where nothing is computed for it."""
    while isinstance(lazy, Alias):
        lazy = lazy.inputs[0]
    return lazy if isinstance(lazy, Stored | Held | Known) and lazy.shape else None


def _at_hand(leaf: Lazy) -> Tensor:
    assert isinstance(leaf, Held | Known)
    return leaf.parameter.detach() if isinstance(leaf, Held) else leaf.tensor


def room(lazy: Lazy) -> int:
    """Bytes that a tensor takes while it is made: a piece of it and of what that is made from, or all."""
    if lazy not in _ROOM:
        _ROOM[lazy] = _room_of(lazy)
    return _ROOM[lazy]


def _room_of(lazy: Lazy) -> int:
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
        reducer = REDUCTIONS[lazy.function]
        each = 2 * sum(item.dtype.itemsize for item in lazy.inputs)  # pieces, and the tile they become
        each += reducer.workspace * (len(lazy.inputs) if reducer.joint else 1)
        parts = [sum(map(room, lazy.inputs))] if reducer.joint else map(room, lazy.inputs)
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
    seen = {lazy}
    for node in found:  # grows while it is read
        further = [item for item in dict.fromkeys(_gathered(node) + _cut(node)) if item not in seen]
        seen.update(further)
        found += further
    return found


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


def _places(lazy: Lazy) -> Iterator[tuple[int, int]]:
    """From which row to which each piece is."""
    step = _rows_at_once(lazy)
    for start in range(0, lazy.shape[0], step):
        yield start, min(start + step, lazy.shape[0])


def _rows_at_once(lazy: Lazy) -> int:
    one = size_of(lazy) // max(1, lazy.shape[0])
    return max(1, PIECE_BYTES // max(1, one))
