"""The register of reductions: small tensors found in passes over large ones, a tile at a time.

Tiles are flat and of one size, counted from the start of each tensor, whether it is in memory or read piece
by piece: sums of floating-point numbers hang on what is added to what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from surgery.lazy import Lazy, Reduction

TILE = 1 << 18
"""Elements of a tile; the last one of a tensor may have fewer."""


class ReductionRun(Protocol):
    """The state of one reduction: `passes` passes of `update` over the tiles, then `finish`."""

    passes: int

    def update(self, number: int, index: int, *tiles: torch.Tensor) -> None: ...
    def end_pass(self, number: int) -> None: ...
    def finish(self) -> torch.Tensor: ...


@dataclass(frozen=True)
class Reducer:
    """A registered reduction; one that is `joint` gets the same tile of all inputs at a time.

    `workspace` is the most it holds besides the tiles, in bytes per element of one.
    """

    make: Callable[..., ReductionRun]
    joint: bool
    workspace: int


REDUCTIONS: dict[str, Reducer] = {}


def reduction(name: str, *, joint: bool = False, workspace: int = 0) -> Callable[[Any], Any]:
    """Registers a class of runs, made with the number of inputs and the plain arguments, under a name.

    `update(number, index, tile)` is told of the tiles of input `index` in pass `number`; if it is `joint`,
    `update(number, 0, *tiles)` of those of all inputs, which have one shape.
    """

    def register(cls: Any) -> Any:
        REDUCTIONS[name] = Reducer(cls, joint, workspace)
        return cls

    return register


Tiles = Callable[[Lazy], Iterator[torch.Tensor]]
"""The tiles of an input, one after another."""


def reduced(lazy: Reduction, tiles: Tiles) -> torch.Tensor:
    """What the reduction comes to."""
    reducer = REDUCTIONS[lazy.function]
    run = reducer.make(len(lazy.inputs), **lazy.arguments)
    for number in range(run.passes):
        if reducer.joint:
            for together in zip(*map(tiles, lazy.inputs), strict=True):
                run.update(number, 0, *together)
        else:
            for index, item in enumerate(lazy.inputs):
                for tile in tiles(item):
                    run.update(number, index, tile)
        run.end_pass(number)
    return run.finish()


def passes_of(lazy: Reduction) -> int:
    """How often all that it is made from is gone through."""
    return REDUCTIONS[lazy.function].make(len(lazy.inputs), **lazy.arguments).passes


def tiles_of(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """A tensor in tiles."""
    yield from tensor.detach().contiguous().reshape(-1).split(TILE)


def retiled(pieces: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """A tensor that comes in pieces, one after another, in tiles."""
    held: list[torch.Tensor] = []
    count = 0
    for piece in pieces:
        held.append(piece.reshape(-1))
        count += held[-1].numel()
        if count >= TILE:
            joined = held[0] if len(held) == 1 else torch.cat(held)
            whole = count - count % TILE
            yield from joined[:whole].split(TILE)
            held, count = [joined[whole:]], count - whole
    if count:
        yield torch.cat(held) if len(held) > 1 else held[0]
