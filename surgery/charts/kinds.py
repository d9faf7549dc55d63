"""The kinds of charts: what they show, as plain values, and how they are written."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from surgery.errors import SurgeryError
from surgery.whole_file import write_whole

WIDTH = 640.0

Theme = Literal["light", "dark", "auto", "page"]
"""`auto` is light or dark as where the image is shown; `page` has the colours of the page around it."""


@dataclass(frozen=True, kw_only=True)
class Chart(ABC):
    """A picture of numbers. `title` says of what they are; no value may be NaN or infinite."""

    title: str

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self._values())):
            raise SurgeryError("a chart shows finite numbers only", path=self.title)

    @abstractmethod
    def _values(self) -> Iterator[float]: ...

    @abstractmethod
    def svg(self, width: float = WIDTH, *, theme: Theme = "light") -> str:
        """The chart as one image `width` pixels wide, which loads no font and no file."""

    def write(self, path: str | Path, *, theme: Theme = "light") -> Path:
        """Writes the SVG whole or not at all; returns the path."""
        return write_whole(path, self.svg(theme=theme) + "\n", "the chart")

    def _repr_svg_(self) -> str:
        return self.svg()


@dataclass(frozen=True, kw_only=True)
class Bars(Chart):
    """A bar per label; those at the places `marked` (from 0) are drawn as chosen."""

    labels: tuple[str, ...]
    values: tuple[float, ...]
    unit: str = ""
    marked: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.labels) != len(self.values) or not self.values:
            raise SurgeryError(
                "bars need a label each",
                path=self.title,
                got=f"{len(self.labels)} labels, {len(self.values)} values",
            )

    def _values(self) -> Iterator[float]:
        yield from self.values

    def svg(self, width: float = WIDTH, *, theme: Theme = "light") -> str:
        from surgery.charts.drawing import bars_svg

        return bars_svg(self, width, theme)


@dataclass(frozen=True, kw_only=True)
class Curves(Chart):
    """Lines by name, each of points (x, y) in ascending x; `x` and `y` name the axes with their units.

    `mark` is where on the x axis the field that is chosen stands.
    """

    lines: Mapping[str, tuple[tuple[float, float], ...]]
    x: str
    y: str
    mark: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lines or not all(self.lines.values()):
            raise SurgeryError("a curve needs points", path=self.title, got=f"{len(self.lines)} lines")

    def _values(self) -> Iterator[float]:
        yield from (value for line in self.lines.values() for point in line for value in point)
        if self.mark is not None:
            yield self.mark

    def svg(self, width: float = WIDTH, *, theme: Theme = "light") -> str:
        from surgery.charts.drawing import curves_svg

        return curves_svg(self, width, theme)


@dataclass(frozen=True, kw_only=True)
class Heat(Chart):
    """A matrix, `values[row][column]`, coloured from its lowest number to its highest; None is no number."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    unit: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = {len(row) for row in self.values}
        if not self.rows or len(self.values) != len(self.rows) or widths != {len(self.columns)}:
            raise SurgeryError(
                "a heat map needs a row per label and a number per column",
                path=self.title,
                got=f"{len(self.values)} rows of {sorted(widths)}",
                expected=f"{len(self.rows)} of {len(self.columns)}",
            )
        if not any(True for _ in self._values()):
            raise SurgeryError("a heat map needs a number", path=self.title)

    def _values(self) -> Iterator[float]:
        yield from (value for row in self.values for value in row if value is not None)

    def svg(self, width: float = WIDTH, *, theme: Theme = "light") -> str:
        from surgery.charts.drawing import heat_svg

        return heat_svg(self, width, theme)
