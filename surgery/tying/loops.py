"""Blocks as a loop: which of the shared ones stands at which depth, and what each of its tensors is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from surgery.lazy import Held, Lazy, recipe

Start = Literal["stepwise", "average", "lower"]

Members = Sequence[Mapping[str, Held]]
"""The parameters of each block by their names in it, in the order of depth."""


@dataclass(frozen=True)
class Loop:
    """`depth` blocks that are `size` shared ones, again and again: depth ℓ has the one at ℓ mod `size`."""

    depth: int
    size: int

    def turns(self, place: int) -> range:
        """The depths at which the shared block `place` stands."""
        return range(place, self.depth, self.size)

    def source(self, place: int, start: Start) -> int:
        """The depth whose block the shared block `place` starts from, where it is one block.

        `lower`: the first ones. `stepwise`: as far from each other as possible, first and last among them.
        """
        if start == "lower" or self.size == 1:
            return place
        steps = self.size - 1
        return (2 * place * (self.depth - 1) + steps) // (2 * steps)  # the half rounded up

    def shared(self, members: Members, start: Start) -> list[dict[str, Lazy]]:
        """The tensors of each shared block by name: another block's own, or the average over its depths.

        What is tied inside the blocks stays so: one tensor for all of its names.
        """
        found: list[dict[str, Lazy]] = []
        for place in range(self.size):
            if start != "average":
                found.append(dict(members[self.source(place, start)]))
                continue
            turns = [members[depth] for depth in self.turns(place)]
            averages: dict[tuple[int, ...], Lazy] = {}
            made: dict[str, Lazy] = {}
            for name in members[place]:
                same = [member[name] for member in turns]
                key = tuple(id(lazy.parameter) for lazy in same)
                made[name] = averages.setdefault(key, average(same))
            found.append(made)
        return found


def average(same: Sequence[Held]) -> Lazy:
    """The mean of tensors, or the very one that all of them are."""
    if all(lazy.parameter is same[0].parameter for lazy in same):
        return same[0]
    return recipe("weighted_sum", *same, weights=(1 / len(same),) * len(same))


def is_the_same(own: Held, shared: Lazy) -> bool:
    """Whether the shared tensor is this very parameter, so that nothing is lost by it."""
    return isinstance(shared, Held) and shared.parameter is own.parameter
