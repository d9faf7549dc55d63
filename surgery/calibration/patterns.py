"""Which part of a layer's weights goes: anywhere, or so many of each run of inputs."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Literal

from surgery.errors import SurgeryError

Pattern = Literal["unstructured", "2:4", "4:8"]
HALF = 0.5
ANYWHERE = {"pattern": ("unstructured",)}
"""Beside which a ratio means something."""


def dropped(pattern: Pattern, ratio: float, width: int, path: str, verb: str) -> tuple[int, int]:
    """How many go of each run of the `width` inputs at `path`, and how long a run is: of no pattern all.

    Refused: a pattern with another ratio than its own, and a width that its runs do not fill.
    """
    if pattern == "unstructured":
        return floor(Fraction(repr(ratio)) * width), width
    drop, run = map(int, pattern.split(":"))
    if ratio != HALF:
        raise SurgeryError(
            f"{verb} zeroes half of the weights in the pattern {pattern}",
            got=f"ratio {ratio:g}",
            expected="0.5",
            hint='`pattern="unstructured"`',
        )
    if width % run:
        raise SurgeryError(
            f"its inputs do not fill runs of {run}",
            path=path,
            got=f"{width} inputs",
            expected=f"a multiple of {run}",
            hint='targets without it, or `pattern="unstructured"`',
        )
    return drop, run


def refuse_none(zeros: int, select: str, ratio: float) -> None:
    """SurgeryError where not a single weight would go."""
    if not zeros:
        raise SurgeryError(
            "no weight is large enough for this ratio to zero a single element",
            path=select,
            got=f"ratio {ratio:g}",
        )
