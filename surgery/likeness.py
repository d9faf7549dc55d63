"""How near a result is to the one recorded, where equal bits are not promised. See DECISIONS.md, 21.

Of every tensor that the steps made, a script keeps a *gauge*: its length, and its inner products with a few
fixed random directions. From two gauges follows how far two tensors are apart, without having both: where the
elements of a direction are independent, with mean 0 and variance 1, the expected square of such a product is
the squared length of the other factor (Achlioptas 2003, doi:10.1016/S0022-0000(03)00025-4). All else is
compared bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from blake3 import blake3
from torch import Tensor, nn

from surgery.errors import SurgeryError

_DIRECTIONS, _WIDTH = 8, 64
_DIGITS = 7
_LEAST = 1e-5
_MOST = 1e15
"""Far more than a tensor has elements, or a product units of length."""


@dataclass(frozen=True)
class Gauge:
    """Of a tensor its dtype, how many elements it has, its length, and its products with the directions.

    These are in units of the length.
    """

    dtype: torch.dtype
    count: int
    length: float
    products: tuple[float, ...]

    def to_data(self) -> list[Any]:
        """As plain data."""
        return [str(self.dtype).removeprefix("torch."), self.count, self.length, *self.products]

    @classmethod
    def from_data(cls, data: Any, where: str) -> Gauge:
        """Out of plain data; SurgeryError, which says `where`, if that is something else."""
        said, count, *values = data if isinstance(data, list) and len(data) > 1 else ("", 0)
        dtype = getattr(torch, said, None) if isinstance(said, str) else None
        if (
            not isinstance(dtype, torch.dtype)
            or not dtype.is_floating_point
            or type(count) is not int
            or not 0 <= count < _MOST
            or len(values) != 1 + _DIRECTIONS
            or not all(isinstance(value, float) and abs(value) < math.inf for value in values)
            or values[0] < 0
            or any(abs(value) > _MOST for value in values[1:])
        ):
            raise SurgeryError(
                "is no gauge of a tensor",
                path=where,
                expected=f"a dtype, a count, a length and {_DIRECTIONS} numbers with a point",
            )
        length, *products = map(float, values)
        return cls(dtype, count, length, tuple(products))

    def distance(self, other: Gauge) -> float:
        """How far another tensor is from this one, as a part of the length of this one."""
        if not self.length:
            return math.inf if other.length else 0.0
        ratio = min(other.length / self.length, _MOST)
        apart = [one - ratio * two for one, two in zip(self.products, other.products, strict=True)]
        return max(math.sqrt(sum(each * each for each in apart) / _DIRECTIONS), abs(1 - ratio))

    @property
    def tolerance(self) -> float:
        """How far another tensor may be from this one, as a part of the length of this one.

        Half a unit in the last place of its dtype: the mean of two neighbours lies half way between them, and
        where a factor is otherwise in its last digit all such go the other way. Of few elements, as much as
        if one did by a whole unit besides. And 1e-5, for functions are computed in float32, in another order
        elsewhere.
        """
        unit = torch.finfo(self.dtype).eps
        return max(unit / 2 + unit / math.sqrt(self.count or 1), _LEAST)


@dataclass(frozen=True)
class Likeness:
    """What of a model may come out a little otherwise elsewhere, as gauges by name, and what may not.

    `rest` is the fingerprint of all else, with the dtypes and shapes of what is gauged.
    """

    rest: str
    gauges: Mapping[str, Gauge]

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Likeness:
        """Out of plain data; SurgeryError where that is something else."""
        rest, gauges = data.get("rest"), data.get("gauges")
        if not isinstance(rest, str) or not isinstance(gauges, dict):
            raise SurgeryError("result.gauges are no gauges by name, beside a `rest`")
        found = {name: Gauge.from_data(said, f"result.gauges.{name[:80]}") for name, said in gauges.items()}
        return cls(rest, found)

    def compared(self, other: Likeness) -> Distance:
        """How far another model is from this one: its tensor that is nearest to its bound.

        SurgeryError if that is past it, if anything differs that is the same on every build and device, or if
        nothing is left that could.
        """
        found = (
            Distance(name, self.gauges[name].distance(gauge), gauge.tolerance)
            for name, gauge in other.gauges.items()
            if name in self.gauges
        )
        farthest = max(found, key=lambda each: each.found / each.allowed, default=None)
        if farthest is None or self.rest != other.rest or self.gauges.keys() != other.gauges.keys():
            raise SurgeryError(
                "the result is not the one recorded, in what is the same on every build and device",
                got=other.rest,
                expected=self.rest,
            )
        if not farthest.found <= farthest.allowed:
            raise SurgeryError(
                "the result is not the one recorded, and farther from it than another build or device "
                "brings it",
                path=farthest.name,
                got=f"{farthest.found:.2g} of its length",
                expected=f"at most {farthest.allowed:.2g}",
            )
        return farthest


@dataclass(frozen=True)
class Distance:
    """How far a tensor is from the one recorded, as a part of its length, and how far it may be."""

    name: str
    found: float
    allowed: float

    def said(self) -> str:
        """In words."""
        return (
            f"every tensor is within its tolerance, {self.name} the nearest to it: {self.found:.2g} of its "
            f"length from the one recorded, where {self.allowed:.2g} is allowed"
        )


def gauged(dtype: torch.dtype, tiles: Iterable[Tensor]) -> Gauge | None:
    """The gauge of a tensor of real numbers, in flat tiles as `surgery.reductions.tiles_of` makes them.

    None for one whose values are not all finite, or too large to be summed. A direction has, for each
    element, the product of two numbers: one by its place in a run of 64, and one by the run.
    """
    count, square, products, runs = 0, 0.0, torch.zeros(_DIRECTIONS, dtype=torch.float64), 0
    for tile in (tile for tile in tiles if len(tile)):
        flat = tile.detach().cpu().to(torch.float32 if tile.dtype.itemsize < 4 else torch.float64)
        part = float(torch.dot(flat, flat))
        square += part if math.isfinite(part) else float(flat.double().square().sum())
        short = -len(flat) % _WIDTH
        run = (nn.functional.pad(flat, (0, short)) if short else flat).view(-1, _WIDTH)
        found = run @ _drawn("within", 0, _WIDTH).to(run.dtype)
        products += (found * _drawn("runs", runs, len(run)).to(run.dtype)).sum(0, dtype=torch.float64)
        count, runs = count + len(flat), runs + len(run)
    length = math.sqrt(square)
    values = (length, *(products / (length or 1)).tolist())
    if not all(map(math.isfinite, values)):
        return None
    first, *rest = (float(f"{value:.{_DIGITS}g}") for value in values)
    return Gauge(dtype, count, first, tuple(rest))


def _drawn(what: str, start: int, count: int) -> Tensor:
    """For each of so many places, and each direction, a number of mean 0 and variance 1, (count, 8) float32.

    Uniform, of 16 bits, so that no two places are alike; the same on every machine, for ever.
    """
    data = blake3(what.encode()).digest(length=2 * count * _DIRECTIONS, seek=2 * start * _DIRECTIONS)
    bits = numpy.frombuffer(data, dtype="<i2").astype(numpy.float32)
    return torch.from_numpy((bits + 0.5) * (math.sqrt(3) / 2**15)).view(count, _DIRECTIONS)
