"""Writes SVG: shapes and text with plain attributes, which every program that opens SVG knows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from surgery.picture.boxes import Box, Dot
from surgery.picture.text import BOLD, fitted, safe

SANS = "Inter, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, system-ui, sans-serif"
MONO = "ui-monospace, SF Mono, Menlo, Consolas, DejaVu Sans Mono, monospace"


class Pen:
    """Gathers the parts of a drawing."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(
        self, box: Box, radius: float, fill: str, stroke: str = "", width: float = 1.3, dash: str = ""
    ) -> None:
        """A rectangle with round corners."""
        place = f'x="{said(box.x)}" y="{said(box.y)}" width="{said(box.width)}" height="{said(box.height)}"'
        self._add(f'<rect {place} rx="{said(radius)}" fill="{fill or "none"}"', stroke, width, dash)

    def circle(self, dot: Dot, radius: float, fill: str, stroke: str = "", width: float = 1.4) -> None:
        """A disc, a ring, or both."""
        place = f'cx="{said(dot[0])}" cy="{said(dot[1])}" r="{said(radius)}"'
        self._add(f'<circle {place} fill="{fill or "none"}"', stroke, width, "")

    def path(
        self, path: str, stroke: str, width: float, *, fill: str = "", dash: str = "", opacity: float = 1
    ) -> None:
        """A path in SVG's own words."""
        seen = f' opacity="{opacity:g}"' if opacity != 1 else ""
        self._add(f'<path d="{path}" fill="{fill or "none"}"{seen}', stroke, width, dash)

    def text(
        self,
        text: str,
        dot: Dot,
        size: float,
        fill: str,
        *,
        anchor: str = "middle",
        weight: int = 400,
        mono: bool = False,
        room: float = 1e6,
    ) -> None:
        """A line of text on its foot line at `dot`; what has no `room` is cut off."""
        shown = safe(fitted(text, size * (BOLD if weight >= 600 and not mono else 1), room, mono=mono))
        look = f'font-size="{size:g}" fill="{fill}"' + (f' font-weight="{weight}"' if weight != 400 else "")
        look += f' text-anchor="{anchor}"' if anchor != "start" else ""
        look += f' font-family="{MONO}"' if mono else ""
        self.parts.append(f'<text x="{said(dot[0])}" y="{said(dot[1])}" {look}>{shown}</text>')

    def _add(self, start: str, stroke: str, width: float, dash: str) -> None:
        line = f' stroke="{stroke}" stroke-width="{width:g}"' if stroke else ""
        line += f' stroke-dasharray="{dash}"' if stroke and dash else ""
        self.parts.append(f"{start}{line}/>")


def said(number: float) -> str:
    """A number to a tenth of a pixel, without zeros that say nothing."""
    text = f"{number:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def smooth(dots: Sequence[Dot]) -> str:
    """From dot to dot, leaving and reaching each from the side."""
    path = f"M{said(dots[0][0])} {said(dots[0][1])}"
    for (x, y), (to, end) in pairwise(dots):
        if y == end:
            path += f"H{said(to)}"
        else:
            half = said((x + to) / 2)
            path += f"C{half} {said(y)} {half} {said(end)} {said(to)} {said(end)}"
    return path


def elbow(dots: Sequence[Dot], radius: float = 6.0) -> str:
    """Straight lines from dot to dot with round corners."""
    path = f"M{said(dots[0][0])} {said(dots[0][1])}"
    for before, corner, after in zip(dots, dots[1:], dots[2:], strict=False):
        near, far = _towards(corner, before, radius), _towards(corner, after, radius)
        path += f"L{said(near[0])} {said(near[1])}"
        path += f"Q{said(corner[0])} {said(corner[1])} {said(far[0])} {said(far[1])}"
    return f"{path}L{said(dots[-1][0])} {said(dots[-1][1])}"


def _towards(start: Dot, end: Dot, most: float) -> Dot:
    """The place `most` pixels from `start` on the way to `end`, half the way at most."""
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    part = min(most, length / 2) / length if length else 0.0
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def hatching(box: Box, step: float = 7.0) -> str:
    """Slanted lines that fill a box, none beyond its edge."""
    inner, path, at = box.grown(-1.5), "", step
    while at < inner.width + inner.height:
        x, y = min(at, inner.width), max(0.0, at - inner.width)
        to, end = max(0.0, at - inner.height), min(at, inner.height)
        path += f"M{said(inner.x + x)} {said(inner.y + y)}L{said(inner.x + to)} {said(inner.y + end)}"
        at += step
    return path
