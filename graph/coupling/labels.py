"""Labels of the entries along a dimension, and which of them were found to be the same unit."""

from collections.abc import Iterable, Sequence
from itertools import repeat

import torch

Labels = Sequence[int] | None
"""A label for each entry along a dimension; None where nothing can be cut."""


class Joined:
    """Numbers as labels, joined into units; a fixed unit can't be cut.

    Labels that were made together are a block. Blocks of which all entries are joined in order are joined as
    one; whatever else is joined is noted, and worked out for all labels at once when `units` is asked.
    """

    def __init__(self) -> None:
        self._count = 0
        self._stops: dict[int, int] = {}
        """Where a block ends, by its first label."""
        self._joined_with: dict[int, int] = {}
        """By the first label of a block that of one it is joined with; its own if that is the first."""
        self._pairs: list[tuple[Sequence[int], Sequence[int]]] = []
        self._fixed: list[Sequence[int]] = []

    def new(self, count: int) -> range:
        """`count` labels that nobody has."""
        start = self._count
        self._count += count
        self._stops[start] = self._count
        self._joined_with[start] = start
        return range(start, start + count)

    def fixed(self, count: int) -> range:
        """`count` new labels of entries that stay."""
        made = self.new(count)
        self.fix(made)
        return made

    def fix(self, *many: Labels) -> None:
        """These entries stay, and so does all that is joined with them."""
        self._fixed += [labels for labels in many if labels]

    def same(self, one: Sequence[int], other: Sequence[int]) -> None:
        """Entry i of one is the same unit as entry i of the other."""
        if one is other or one == other:
            return
        if len(one) != len(other):
            raise ValueError(f"{len(one)} entries can't be the same as {len(other)}")
        if self._is_block(one) and self._is_block(other):
            left, right = self._first(one[0]), self._first(other[0])
            self._joined_with[max(left, right)] = min(left, right)
        else:
            self._pairs.append((one, other))

    def one(self, labels: Sequence[int]) -> None:
        """All of them are one unit."""
        self.same([*labels[:1]] * len(labels), labels)

    def runs(self, labels: Sequence[int], length: int) -> None:
        """Each `length` that follow one another are one unit."""
        self.same([labels[place - place % length] for place in range(len(labels))], labels)

    def chunks(self, labels: Sequence[int], length: int) -> None:
        """Entry i of every chunk of `length` is one unit: what is cut leaves the chunks alike."""
        for start in range(length, len(labels), length):
            self.same(labels[:length], labels[start : start + length])

    def units(self, blocks: Sequence[range]) -> list[tuple[int, ...]]:
        """The number of the unit of each label, for blocks that `new` gave; -1 for what stays."""
        unit_of = self._unit_of()
        found: dict[int, tuple[int, ...]] = {}
        for block in blocks:
            if (first := self._first(block.start)) not in found:
                found[first] = tuple(unit_of[first : first + len(block)].tolist())
        return [found[self._first(block.start)] for block in blocks]

    def _is_block(self, labels: Sequence[int]) -> bool:
        return isinstance(labels, range) and labels.step == 1 and self._stops.get(labels.start) == labels.stop

    def _first(self, block: int) -> int:
        """The first of all the blocks that `block` is joined with; blocks go by their first labels."""
        found = self._joined_with
        while found[block] != block:
            found[block] = found[found[block]]
            block = found[block]
        return block

    def _unit_of(self) -> torch.Tensor:
        """By label its unit, -1 for what stays; of blocks that are joined that holds for the first."""
        in_first = torch.arange(self._count, device="cpu")  # by label the one in its place there
        for start, stop in self._stops.items():
            if (first := self._first(start)) != start:
                in_first[start:stop] = torch.arange(first, first + stop - start, device="cpu")
        units = torch.arange(self._count, device="cpu")
        if self._pairs:
            left, right = (in_first[_all(labels)] for labels in zip(*self._pairs, strict=True))
            _join(units, left, right)
        stays = torch.zeros(self._count, dtype=torch.bool, device="cpu")
        if self._fixed:
            stays[units[in_first[_all(self._fixed)]]] = True
        return torch.where(stays[units], -1, units)


def _join(units: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Makes `units` name, for each label, the least one that it is joined with, over however many others.

    At first each label is a unit; entry i of `left` is joined with entry i of `right`.
    """
    while not torch.equal(one := units[left], other := units[right]):
        least = torch.minimum(one, other)
        for found in (one, other):
            units.scatter_reduce_(0, found, least, "amin")
        while not torch.equal(further := units[units], units):
            units.copy_(further)


def _all(many: Iterable[Sequence[int]]) -> torch.Tensor:
    """All labels behind one another."""
    return torch.cat(
        [
            torch.arange(labels.start, labels.stop, labels.step, device="cpu")
            if isinstance(labels, range)
            else torch.tensor(labels, dtype=torch.int64, device="cpu")
            for labels in many
        ]
    )


def repeated(labels: Sequence[int], times: int, each: int) -> list[int]:
    """Every label `each` times, and all of that `times` over: entries of a flattened tensor."""
    return [label for label in labels for _ in repeat(None, each)] * times
