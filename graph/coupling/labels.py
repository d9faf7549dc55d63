"""Labels of the entries along a dimension, and which of them were found to be the same unit."""

from collections.abc import Sequence
from itertools import repeat

Labels = Sequence[int] | None
"""A label for each entry along a dimension; None where nothing can be cut."""


class Joined:
    """Numbers as labels, joined into units; a fixed unit can't be cut."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._fixed: list[int] = []

    def new(self, count: int) -> range:
        """`count` labels that nobody has."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return range(start, start + count)

    def fixed(self, count: int) -> range:
        """`count` new labels of entries that stay."""
        made = self.new(count)
        self.fix(made)
        return made

    def fix(self, *many: Labels) -> None:
        """These entries stay, and so does all that is joined with them."""
        for labels in many:
            self._fixed.extend(labels or ())

    def same(self, one: Sequence[int], other: Sequence[int]) -> None:
        """Entry i of one is the same unit as entry i of the other."""
        if one is other or one == other:
            return
        for left, right in zip(one, other, strict=True):
            left, right = self.root(left), self.root(right)
            self._parent[max(left, right)] = min(left, right)

    def one(self, labels: Sequence[int]) -> None:
        """All of them are one unit."""
        for label in labels[1:]:
            self.same((labels[0],), (label,))

    def runs(self, labels: Sequence[int], length: int) -> None:
        """Each `length` that follow one another are one unit."""
        for start in range(0, len(labels), length):
            self.one(labels[start : start + length])

    def chunks(self, labels: Sequence[int], length: int) -> None:
        """Entry i of every chunk of `length` is one unit: what is cut leaves the chunks alike."""
        for start in range(length, len(labels), length):
            self.same(labels[:length], labels[start : start + length])

    def root(self, label: int) -> int:
        """The number of the unit."""
        parent = self._parent
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    def free(self) -> list[int]:
        """By label the number of its unit; -1 for what stays."""
        stays = {self.root(label) for label in self._fixed}
        roots = (self.root(label) for label in range(len(self._parent)))
        return [-1 if root in stays else root for root in roots]


def repeated(labels: Sequence[int], times: int, each: int) -> list[int]:
    """Every label `each` times, and all of that `times` over: entries of a flattened tensor."""
    return [label for label in labels for _ in repeat(None, each)] * times
