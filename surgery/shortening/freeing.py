"""What goes with blocks: parameters that have no other place, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graph.nodes import ModuleGraph
from graph.paths import is_below
from surgery.model import Patient


@dataclass(frozen=True)
class Freed:
    """How many parameters blocks take with them; what blocks share goes with the last of them.

    `owned`: which blocks, by their places, have a parameter, and its size; without what others have too.
    """

    owned: tuple[tuple[frozenset[int], int], ...]
    blocks: int
    whole: int
    """Parameters of the blocks, each once."""

    @staticmethod
    def of(patient: Patient, paths: Sequence[str]) -> Freed:
        """Of the blocks at `paths`, with what they have for their whole list left out."""
        sites = patient.sites()
        owned: dict[int, tuple[frozenset[int], int]] = {}
        whole: dict[int, int] = {}
        for path in paths:
            for _, lazy in patient.own_tensors(path):
                known = id(lazy.parameter)
                whole[known] = lazy.count
                places = [_block_of(place, paths) for place in sites[known]]
                alone = frozenset(place for place in places if place is not None)
                if None not in places:
                    owned[known] = (alone, lazy.count)
        return Freed(tuple(owned.values()), len(paths), sum(whole.values()))

    @property
    def alone(self) -> list[int]:
        """Parameters that go with each block, whichever others go."""
        return [self.by([place]) for place in range(self.blocks)]

    @property
    def most(self) -> int:
        """Parameters that go at the most while one block stays."""
        every = range(self.blocks)
        return max(self.by([place for place in every if place != kept]) for kept in every)

    def by(self, gone: Sequence[int]) -> int:
        """Parameters that go with all of these together."""
        taken = frozenset(gone)
        return sum(count for places, count in self.owned if places <= taken)

    def survivors(self, least: int) -> list[int]:
        """The blocks that may be the one which stays where so many parameters have to go."""
        every = range(self.blocks)
        return [kept for kept in every if self.by([place for place in every if place != kept]) >= least]

    def lightest(self, count: int) -> list[int]:
        """So many blocks, each time the one with which least goes."""
        gone: list[int] = []
        while len(gone) < count:
            left = [place for place in range(self.blocks) if place not in gone]
            gone.append(min(left, key=lambda place: self.by([*gone, place])))
        return sorted(gone)


def share_parameters(graph: ModuleGraph, paths: Sequence[str]) -> bool:
    """Whether one of these blocks shares a parameter or module with a place outside of it."""
    return any(len({_block_of(path, paths) for path in tie.paths}) > 1 for tie in graph.ties)


def _block_of(path: str, paths: Sequence[str]) -> int | None:
    """Which of the blocks a tensor or module belongs to."""
    return next((place for place, block in enumerate(paths) if is_below(path, block)), None)
