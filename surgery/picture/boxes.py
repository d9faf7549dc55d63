"""Plain geometry, in pixels: what layout makes and drawing reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

Dot = tuple[float, float]
"""A place: x to the right, y down."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Dot:
        return self.x + self.width / 2, self.y + self.height / 2

    def moved(self, right: float, down: float) -> Box:
        """The same box elsewhere."""
        return replace(self, x=self.x + right, y=self.y + down)

    def grown(self, by: float) -> Box:
        """The box with so much more on every side."""
        return Box(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)

    def overlaps(self, other: Box) -> bool:
        """Whether the two share more than an edge."""
        apart = other.right <= self.x or self.right <= other.x
        return not (apart or other.bottom <= self.y or self.bottom <= other.y)


@dataclass(frozen=True, slots=True)
class Wire:
    """Data between two boxes, from place to place; `residual` where it goes round below."""

    dots: tuple[Dot, ...]
    residual: bool = False

    def moved(self, right: float, down: float) -> Wire:
        """The same wire elsewhere."""
        return replace(self, dots=tuple((x + right, y + down) for x, y in self.dots))


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of them; empty at the origin where there are none."""
    found = list(boxes)
    if not found:
        return Box(0, 0, 0, 0)
    x, y = min(box.x for box in found), min(box.y for box in found)
    return Box(x, y, max(box.right for box in found) - x, max(box.bottom for box in found) - y)
