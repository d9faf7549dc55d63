"""What an evaluation found, as a record and as a sentence."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from surgery.errors import SurgeryError
from surgery.evaluate.statistics import Interval


@dataclass(frozen=True)
class Measured:
    """A figure of the edited model and its 95 % interval (None from a single example)."""

    value: float
    interval: Interval | None

    def text(self, unit: str, decimals: int) -> str:
        """`91.2 % ± 0.4`, with as many decimals as the interval supports; `decimals` where there is none."""
        width = self.interval.half_width if self.interval else 0.0
        places = _decimals(width, decimals)
        return f"{self.value:,.{places}f}{unit}" + (f" ± {width:,.{places}f}" if width else "")


@dataclass(frozen=True)
class Change:
    """A figure before and after surgery; `interval` is the 95 % interval of the paired difference."""

    before: float
    after: float
    difference: float
    interval: Interval | None

    @property
    def no_change(self) -> bool:
        """Whether the examples cannot tell the difference from none."""
        return self.difference == 0 or (self.interval is not None and 0 in self.interval)

    def text(self) -> str:
        """`3.44 → 3.71, +0.27 ± 0.03 (95 % half-width of the paired change)`."""
        width = self.interval.half_width if self.interval else 0.0
        places = max(_decimals(width, 2), 2 if max(self.before, self.after) < 100 else 0)
        moved = f"{self.before:,.{places}f} → {self.after:,.{places}f}"
        by = f"{self.difference:+,.{places}f}".replace("-", "−")
        by += f" ± {width:,.{places}f} (95 % half-width of the paired change)" if width else ""
        return f"{moved}, no measurable change: {by}" if self.no_change else f"{moved}, {by}"


@dataclass(frozen=True)
class Report:
    """One evaluation of an edited model against the model before surgery.

    `perplexity` is None where it would mean nothing (random tokens, a model that looks ahead);
    `agreement` is in per cent, `kl` in nats per token; `tokens` counts the real tokens of the
    `examples` windows; `notes` are sentences a reader must know to trust the figures.
    """

    perplexity: Change | None
    agreement: Measured
    kl: Measured
    examples: int
    tokens: int
    seconds: float
    device: str
    data: str
    notes: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        """Whether every prediction is the one of the model before surgery, exactly."""
        still = self.perplexity is None or self.perplexity.difference == 0
        return still and self.kl.value == 0 and self.agreement.value == 100

    def __str__(self) -> str:
        parts = []
        if self.unchanged:
            parts.append("no change")
        if self.perplexity is not None:
            text = f"{self.perplexity.before:,.2f}" if self.unchanged else self.perplexity.text()
            parts.append(f"perplexity {text}")
        if not self.unchanged:
            parts += [f"agreement {self.agreement.text(' %', 1)}", f"KL {_kl(self.kl)} nats"]
        windows = f"{self.examples:,} window" + ("s" if self.examples != 1 else "")
        where = f"({self.data}; {windows}, {self.seconds:.1f} s, {self.device})"
        sentence = f"{', '.join(parts)} {where}"
        return " ".join([f"{sentence}.", *self.notes]) if self.notes else sentence

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self) | {"notes": list(self.notes)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The report `to_dict` wrote. Raises SurgeryError for missing or unknown keys."""
        values = dict(_known(cls, data))
        if values["perplexity"] is not None:
            values["perplexity"] = Change(**_with_interval(Change, values["perplexity"]))
        for name in ("agreement", "kl"):
            values[name] = Measured(**_with_interval(Measured, values[name]))
        return cls(**values | {"notes": tuple(values["notes"])})


def _with_interval(record: type, data: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(_known(record, data))
    if values["interval"] is not None:
        values["interval"] = Interval(**_known(Interval, values["interval"]))
    return values


def _known(record: type, data: Mapping[str, Any]) -> Mapping[str, Any]:
    expected = [field.name for field in fields(record)]
    if sorted(data) != sorted(expected):
        raise SurgeryError(
            "its fields are not those that this version writes",
            path=record.__name__.lower(),
            got=sorted(data),
            expected=expected,
        )
    return data


def _kl(measured: Measured) -> str:
    return measured.text("", 3)


def _decimals(half_width: float, otherwise: int) -> int:
    """Decimals that show one significant digit of the half-width, six at most."""
    if half_width <= 0 or not math.isfinite(half_width):
        return otherwise
    return min(6, max(0, -math.floor(math.log10(half_width))))
