"""A number per path: what the graph is coloured by, with a legend in the number's unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, log1p
from statistics import median

FAR = 8.0
"""What is so many times the median leaves all others one colour: colours are logarithmic then."""


@dataclass(frozen=True)
class Scores:
    """Values by path, what they are, and how one of them is written, unit included."""

    title: str
    values: Mapping[str, float]
    text: Callable[[float], str]

    @property
    def legend(self) -> dict[str, str]:
        """What the colours mean: the title, and the least and the most as texts."""
        low, high = min(self.values.values()), max(self.values.values())
        return {"title": self.title, "low": self.text(low), "high": self.text(high)}

    @property
    def parts(self) -> dict[str, float]:
        """From 0 for the least to 1 for the most, by path; what has no end counts as the most that has."""
        known = [value for value in self.values.values() if isfinite(value)]
        low, most = min(self.values.values()), max(known, default=0.0)
        above = {path: min(value, most) - min(low, most) for path, value in self.values.items()}
        middle = median(above.values())
        if middle > 0 and max(above.values()) > FAR * middle:
            above = {path: log1p(value / middle) for path, value in above.items()}
        most = max(above.values()) or 1.0
        return {path: value / most for path, value in above.items()}
