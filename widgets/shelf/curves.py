"""Weights over depth, as a row of the shelf holds them: one number, or anchors evenly spaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from surgery.fields import Schedule
from surgery.merging.depths import at
from widgets.shelf.columns import Section

Curve = tuple[float, ...]
"""One number for all depths, or values from the first block to the last with straight lines between."""

PRESETS = {
    "even": "Even",
    "none": "Only this model",
    "whole": "Only this parent",
    "up": "Ramp up",
    "down": "Ramp down",
    "middle": "Middle out",
}
MOST_ANCHORS = 1024


def preset(name: str, models: int) -> Curve:
    """The curve that a preset stands for, with so many models that share."""
    known: dict[str, Curve] = {
        "even": (round(1 / models, 4),),
        "none": (0.0,),
        "whole": (1.0,),
        "up": (0.0, 1.0),
        "down": (1.0, 0.0),
        "middle": (0.0, 1.0, 0.0),
    }
    return known[name]


def read(values: Any) -> Curve | None:
    """The curve in what a browser sent; None where it is none."""
    if not isinstance(values, list) or not 0 < len(values) <= MOST_ANCHORS:
        return None
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        return None
    return tuple(map(float, numbers))


def schedule(curve: Curve) -> Schedule:
    """As a field takes it."""
    return curve[0] if len(curve) == 1 else curve


def remainder(curves: Sequence[Curve]) -> Curve:
    """What the curves together leave of 1 at every depth, and no less than nothing."""
    count = min(math.lcm(*(max(1, len(curve) - 1) for curve in curves)) + 1, MOST_ANCHORS)
    if all(len(curve) == 1 for curve in curves):
        count = 1
    places = [place / max(1, count - 1) for place in range(count)]
    sums = (sum(at(schedule(curve), place) for curve in curves) for place in places)
    return tuple(max(0.0, round(1 - total, 4)) for total in sums)


def with_value(curve: Curve, section: Section, path: str, value: float) -> Curve:
    """The curve with an anchor for each block of the section, that of `path` at `value`."""
    if not section.graded:
        return (value,)
    count = round(1 / min(b - a for a, b in zip(section.depths, section.depths[1:], strict=False))) + 1
    values = [round(at(schedule(curve), place / (count - 1)), 4) for place in range(count)]
    values[round(section.depths[section.paths.index(path)] * (count - 1))] = value
    return tuple(values)
