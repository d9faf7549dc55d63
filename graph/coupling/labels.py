"""Labels of the entries along a dimension, and which of them were found to be the same unit."""

from collections.abc import Sequence
from itertools import repeat

import torch

Labels = Sequence[int] | None
"""A label for each entry along a dimension; None where nothing can be cut."""


class Joined:
    """Numbers as labels, joined into units; a fixed unit can't be cut.

    What is joined is only noted, and worked out for all labels at once when `free` is asked.
    """

    def __init__(self) -> None:
        self._count = 0
        self._pairs: list[tuple[Sequence[int], Sequence[int]]] = []
        self._fixed: list[Sequence[int]] = []

    def new(self, count: int) -> range:
        """`count` labels that nobody has."""
        start = self._count
        self._count += count
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

    def free(self) -> list[int]:
        """By label the number of its unit, the least label in it; -1 for what stays."""
        units = self._units()
        stays = torch.zeros(self._count, dtype=torch.bool, device="cpu")
        if self._fixed:
            stays[units[_joined(self._fixed)]] = True
        return torch.where(stays[units], -1, units).tolist()

    def _units(self) -> torch.Tensor:
        """By label the least that it is joined with, over however many others."""
        units = torch.arange(self._count, device="cpu")
        if not self._pairs:
            return units
        ends = [_joined([pair[end] for pair in self._pairs]) for end in (0, 1)]
        while True:
            left, right = (units[labels] for labels in ends)
            least = torch.minimum(left, right)
            if torch.equal(left, right):
                return units
            for found in (left, right):
                units.scatter_reduce_(0, found, least, "amin")
            while not torch.equal(further := units[units], units):
                units = further


def _joined(many: list[Sequence[int]]) -> torch.Tensor:
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
