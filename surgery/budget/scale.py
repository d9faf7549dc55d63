"""The scale on which losses that were measured one by one add up: not that on which they are shown.

A perplexity is multiplied by each edit, and a share such as the accuracy cannot go below nothing, so losses
are differences of logarithms, and of logarithmic odds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from surgery.evaluate.figure import Figure
from surgery.evaluate.statistics import LEVEL

Kind = Literal["log", "odds", "plain"]
_DEVIATIONS = 1.96
"""Half-widths of 95 % intervals are so many standard errors."""
_MOST_LOG = 700.0

assert LEVEL == 0.95


@dataclass(frozen=True)
class Scale:
    """Losses beside the value `before`; more is worse, whichever way the figure is better.

    `least` is the share nearest to nothing and to all that the examples can tell.
    """

    kind: Kind
    before: float
    sign: int
    least: float = 0.0
    perfect: float | None = None

    @classmethod
    def of(cls, figure: Figure, examples: int) -> Scale:
        """The scale of this figure, measured on so many examples."""
        beside = figure.before is None
        base = (figure.perfect or 0.0) if figure.before is None else figure.before
        kind: Kind = "plain"
        if figure.unit == "%":
            kind = "log" if beside else "odds"
        elif figure.task == "perplexity" and base > 0:
            kind = "log"
        least = 0.5 / max(1, examples) if figure.unit == "%" else 0.0
        sign = 1 if figure.better == "lower" else -1
        return cls(kind, base, sign, least, figure.perfect if beside else None)

    def loss(self, value: float) -> float:
        """How much worse `value` is than before."""
        return self.sign * (self._at(value) - self._at(self.before))

    def value(self, loss: float) -> float:
        """The value that is worse by so much."""
        at = self._at(self.before) + self.sign * loss
        if self.kind == "log":
            found = math.exp(min(at, _MOST_LOG))
            found = min(found, 100.0) if self.least else found
        elif self.kind == "odds":
            found = 100.0 / (1.0 + math.exp(min(-at, _MOST_LOG)))
        else:
            found = at
        if self.perfect is not None:
            found = max(found, self.perfect) if self.sign > 0 else min(found, self.perfect)
        return found

    def error(self, figure: Figure) -> float:
        """The standard error of a figure's loss, from its interval; 0 without one."""
        half = figure.half_width
        ends = self.loss(figure.after + half), self.loss(figure.after - half)
        return abs(ends[0] - ends[1]) / 2 / _DEVIATIONS

    def _at(self, value: float) -> float:
        if self.kind == "plain":
            return value
        if self.least:
            share = value / 100.0
            if self.kind == "log":
                return math.log(100.0 * max(share, self.least))
            share = min(max(share, self.least), 1.0 - self.least)
            return math.log(share / (1.0 - share))
        return math.log(max(value, 1e-300))
