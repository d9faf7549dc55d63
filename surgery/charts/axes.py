"""Axes of charts: values on pixels, round ticks, a grid, and the SVG around them."""

from __future__ import annotations

import math

from surgery.evaluate.figure import number
from surgery.picture.inks import DARK, LIGHT, PAGE, Inks, variables
from surgery.picture.pen import SANS, Pen, said
from surgery.picture.text import safe

LEFT, RIGHT, SMALL = 58.0, 16.0, 10.5


class Axis:
    """Values from `low` to `high` on pixels from `start` to `end`; where all are one value, there is room."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if high <= low:
            low, high = low - abs(low) * 0.05 - 0.5, high + abs(high) * 0.05 + 0.5
        self.low, self.high, self.start, self.end = low, high, start, end

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int) -> list[float]:
        """About so many round values within, a step of 1, 2 or 5 apart."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def grid(up: Axis, right: float, pen: Pen, inks: Inks = PAGE, about: int = 5) -> None:
    """A line and its value at every tick of the upright axis, up to the pixel `right`."""
    ticks = up.ticks(about)
    places = decimals(ticks)
    for tick in ticks:
        y = up.at(tick)
        pen.path(f"M{said(LEFT)} {said(y)}H{said(right)}", inks.edge if tick == 0 else inks.line, 1)
        pen.text(number(tick, places), (LEFT - 8, y + 3.5), SMALL, inks.faint, anchor="end")


def decimals(ticks: list[float]) -> int:
    """How many tell these ticks apart."""
    return max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 2


def svg(title: str, words: str, width: float, height: float, pen: Pen, *, own: bool = False) -> str:
    """The drawing as an image, told in `words` to whoever cannot see it.

    With `own` colours what is drawn with the page's inks is light or dark by itself, as an image file is.
    """
    style = (
        f"<style>:root {{ {variables(LIGHT)} }}"
        f" @media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}</style>"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{said(width)}" height="{said(height)}" '
            f'viewBox="0 0 {said(width)} {said(height)}" role="img" font-family="{SANS}">',
            f"<title>{safe(title)}</title><desc>{safe(words)}</desc>",
            *([style] if own else []),
            *pen.parts,
            "</svg>",
        ]
    )
