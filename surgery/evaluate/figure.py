"""What is found: a named quantity, its value, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from surgery.errors import SurgeryError
from surgery.evaluate.statistics import Interval

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Quantity:
    """What a task finds: its name and unit, which way is better, and the decimals it is worth.

    `perfect`: for a quantity of two models side by side, its value where nothing has changed.
    """

    name: str
    unit: str
    better: Better
    decimals: int
    perfect: float | None = None


@dataclass(frozen=True)
class Figure:
    """A quantity as it was measured, of the task called `task`.

    Either of each model: `before`, `after`, and the 95 % interval of their paired difference. Or of the two
    side by side: only `after`, its interval, and `perfect`. The interval is None for a single example.
    """

    task: str
    name: str
    unit: str
    better: Better
    decimals: int
    before: float | None
    after: float
    interval: Interval | None
    perfect: float | None = None

    @property
    def value(self) -> float:
        """The figure of the edited model."""
        return self.after

    @property
    def difference(self) -> float:
        """After less before, or how far it is from perfect."""
        base = self.before if self.before is not None else self.perfect
        return self.after - (base or 0.0)

    @property
    def unchanged(self) -> bool:
        """Whether it is exactly what it was."""
        return self.difference == 0

    @property
    def no_change(self) -> bool:
        """Whether the examples cannot tell it from what it was."""
        none = 0.0 if self.before is not None else self.perfect
        return self.unchanged or (self.interval is not None and none is not None and none in self.interval)

    @property
    def half_width(self) -> float:
        """Of the interval; 0 without one."""
        return self.interval.half_width if self.interval else 0.0

    def text(self, *, explained: bool = True) -> str:
        """`3.44 → 3.71, +0.27 ± 0.03 (95 % half-width of the paired change)`, or `91.2 % ± 0.4`.

        With as many decimals as the interval supports; `explained` says what ± is.
        """
        if self.before is None:
            return self._alone()
        places = max(
            _decimals(self.half_width, self.decimals), _least(self.before, self.after, self.decimals)
        )
        unit = f" {self.unit}" if self.unit else ""
        moved = f"{number(self.before, places)} → {number(self.after, places)}{unit}"
        by = number(self.difference, places, signed=True)
        if self.half_width:
            by += f" ± {number(self.half_width, places)}"
            by += " (95 % half-width of the paired change)" if explained else ""
        return f"{moved}, no measurable change: {by}" if self.no_change else f"{moved}, {by}"

    def to_dict(self) -> dict[str, Any]:
        """The figure as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The figure `to_dict` wrote. Raises SurgeryError for missing or unknown keys."""
        values = dict(known_fields(cls, data))
        if values["interval"] is not None:
            values["interval"] = Interval(**known_fields(Interval, values["interval"]))
        return cls(**values)

    def _alone(self) -> str:
        places = _decimals(self.half_width, self.decimals)
        percent = " %" if self.unit == "%" else ""
        width = f" ± {number(self.half_width, places)}" if self.half_width else ""
        unit = f" {self.unit}" if self.unit and not percent else ""
        found = f"{number(self.after, places)}{percent}{width}{unit}"
        return f"{found} (no measurable change)" if self.no_change and not self.unchanged else found


def number(value: float, places: int, *, signed: bool = False) -> str:
    """`25,012`, `+0.27`, `−0.01`; beyond a thousand million in powers of ten."""
    form = "+" if signed else ""
    text = f"{value:{form}.3g}" if abs(value) >= 1e9 else f"{value:{form},.{places}f}"
    return text.replace("-", "−") if "e" not in text else text


def _least(before: float, after: float, decimals: int) -> int:
    """The decimals that figures of this size are shown with at the least."""
    return decimals if max(abs(before), abs(after)) <= 100 else 0


def _decimals(half_width: float, otherwise: int) -> int:
    """Decimals that show one significant digit of the half-width, six at most."""
    if half_width <= 0 or not math.isfinite(half_width):
        return otherwise
    return min(6, max(0, -math.floor(math.log10(half_width))))


def known_fields(record: type, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """`data`; SurgeryError where its keys are not the fields of `record`."""
    expected = [field.name for field in fields(record)]
    if sorted(data) != sorted(expected):
        raise SurgeryError(
            "its fields are not those that this version writes",
            path=record.__name__.lower(),
            got=sorted(data),
            expected=expected,
        )
    return data
