"""Lazy tensors computed a few rows at a time, where every function on the way allows it, or else whole."""

from __future__ import annotations

from torch import Tensor

from surgery.lazy import Alias, Held, Known, Lazy, Recipe, Stored
from surgery.recipes import FUNCTIONS, compute
from surgery.stream.layout import size_of
from surgery.stream.reading import Reader


def is_tiled(lazy: Lazy) -> bool:
    """Whether rows of it can be made of the same rows of what it is made from."""
    if isinstance(lazy, Alias):
        return is_tiled(lazy.inputs[0])
    if isinstance(lazy, Stored | Held | Known):
        return bool(lazy.shape)
    if not isinstance(lazy, Recipe) or not lazy.inputs or FUNCTIONS[lazy.function].tiling != "rows":
        return False
    return bool(lazy.shape) and all(
        is_tiled(item) and item.shape[:1] == lazy.shape[:1] for item in lazy.inputs
    )


def rows(lazy: Lazy, start: int, stop: int, reader: Reader) -> Tensor:
    """Rows `start` to `stop` of a tensor that is tiled, on the CPU."""
    if isinstance(lazy, Alias):
        return rows(lazy.inputs[0], start, stop, reader)
    if isinstance(lazy, Stored):
        return reader.rows(lazy, start, stop)
    if isinstance(lazy, Held):
        return lazy.parameter.detach()[start:stop].cpu()
    if isinstance(lazy, Known):
        return lazy.tensor[start:stop].cpu()
    assert isinstance(lazy, Recipe)
    inputs = [rows(item, start, stop, reader) for item in lazy.inputs]
    return FUNCTIONS[lazy.function].call(*inputs, **lazy.arguments)


def whole(lazy: Lazy, memo: dict[int, Tensor]) -> Tensor:
    """All of a tensor, on the CPU; `memo` has what was computed of it before, by id of the node."""
    return compute(lazy, memo).cpu().contiguous()


def room_for(lazy: Lazy) -> int:
    """Bytes that computing it whole takes at the most: all that it is made from, at once."""
    seen: dict[Lazy, None] = {}
    waiting = [lazy]
    for node in waiting:  # grows while it is read
        if node not in seen:
            seen[node] = None
            waiting += node.inputs
    return sum(size_of(node) for node in seen if not isinstance(node, Held))
