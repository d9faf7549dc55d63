"""What was found of a model's speed, as a record and as sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from graph.units import short
from surgery.evaluate.statistics import Interval, expanded_tail, quantiles

_RESAMPLES = 2000
_TOLD_APART = 0.02
"""Of two equal models on one machine one is now and then so much quicker, round after round."""


@dataclass(frozen=True)
class Pace:
    """How long one thing takes before and after surgery: medians in seconds over `rounds` taken in turn.

    `items` are made in that time: tokens, or examples; `speedup` is before over after, with the 95 %
    interval by the bootstrap over rounds.
    """

    what: str
    unit: str
    items: int
    before_s: float
    after_s: float
    rounds: int
    interval: Interval

    @classmethod
    def of(cls, what: str, unit: str, items: int, before: list[float], after: list[float], seed: int) -> Pace:
        """From the seconds of each round, both models' in the same order."""
        times = torch.tensor([before, after], dtype=torch.float64)
        medians = times.median(1).values
        drawn = torch.randint(
            len(before), (_RESAMPLES, len(before)), generator=torch.Generator().manual_seed(seed)
        )
        resampled = times[:, drawn].median(2).values
        tail = expanded_tail(len(before))
        low, high = quantiles((resampled[0] / resampled[1]).unsqueeze(1), tail)[:, 0].tolist()
        spread = Interval(low, high)
        return cls(what, unit, items, float(medians[0]), float(medians[1]), len(before), spread)

    @property
    def speedup(self) -> float:
        """How many times as quick it is after surgery."""
        return self.before_s / self.after_s

    @property
    def no_change(self) -> bool:
        """Whether the difference cannot be told from none: by the rounds, or because it is within 2 %."""
        return 1 in self.interval or abs(self.speedup - 1) < _TOLD_APART

    def __str__(self) -> str:
        before, after = (self.items / seconds for seconds in (self.before_s, self.after_s))
        moved = f"{self.what} {short(before)} → {short(after)} {self.unit}/s"
        if self.no_change:
            return f"{moved}, no measurable change"
        return f"{moved}, × {self.speedup:.2f} ± {self.interval.half_width:.2g}"


@dataclass(frozen=True)
class SpeedReport:
    """Speed, memory and size before and after surgery, on `device` with `threads` intra-op threads.

    Sizes in bytes: `peak_bytes` while running, `stored_bytes` on disk.
    """

    paces: tuple[Pace, ...]
    peak_bytes: tuple[int, int]
    stored_bytes: tuple[int, int]
    device: str
    threads: int
    notes: tuple[str, ...] = ()

    def __getitem__(self, what: str) -> Pace:
        """The pace of "prefill", "decode" or "forward"; KeyError for one that was not measured."""
        for pace in self.paces:
            if pace.what == what:
                return pace
        raise KeyError(what)

    def __str__(self) -> str:
        sizes = [
            f"{label} {short(before, 'B')} → {short(after, 'B')}"
            for label, (before, after) in (("peak memory", self.peak_bytes), ("size", self.stored_bytes))
        ]
        where = f"({self.device}" + (f", {self.threads} threads)" if self.device == "cpu" else ")")
        return ", ".join([*map(str, self.paces), *sizes]) + f" {where}"

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)
