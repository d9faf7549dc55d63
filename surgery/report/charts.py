"""The charts of a report: size against quality, and what each edit of a sweep would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from graph.units import short
from surgery.charts.axes import LEFT, RIGHT, SMALL, Axis, grid, svg
from surgery.evaluate.figure import number
from surgery.evaluate.sweep.bars import Bar
from surgery.picture.boxes import Box
from surgery.picture.draw import labelled
from surgery.picture.inks import PAGE, score_colour
from surgery.picture.pen import Pen, said
from surgery.scores import FAR
from surgery.show.states import Point

WIDTH, TOP = 1016.0, 22.0
HEIGHT = {"states": 280.0, "bars": 250.0}
FOOT = 44.0


def states_chart(points: Sequence[Point]) -> str:
    """Size against quality as SVG: a numbered point per measured state, with its interval."""
    sizes = [point.parameters for point in points]
    margin = max((max(sizes) - min(sizes)) * 0.12, max(sizes) * 0.02)
    height, pen = HEIGHT["states"], Pen()
    across = Axis(min(sizes) - margin, max(sizes) + margin, LEFT, WIDTH - RIGHT)
    low = min(point.value - point.half_width for point in points)
    high = max(point.value + point.half_width for point in points)
    room = (high - low) * 0.1
    up = Axis(low - room, high + room, height - FOOT, TOP)
    grid(up, WIDTH - RIGHT, pen)
    for tick in across.ticks(7):
        pen.text(short(tick), (across.at(tick), height - FOOT + 18), SMALL, PAGE.faint)
    pen.text("parameters", (WIDTH - RIGHT, height - 6), SMALL, PAGE.soft, anchor="end")
    places = [(across.at(point.parameters), up.at(point.value)) for point in points]
    front = sorted(places[place] for place in frontier(points))
    pen.path("M" + "L".join(f"{said(x)} {said(y)}" for x, y in front), PAGE.accent, 1.4, opacity=0.6)
    for (x, _), point in zip(places, points, strict=True):
        if point.half_width:
            top, foot = up.at(point.value + point.half_width), up.at(point.value - point.half_width)
            _whisker(x, top, foot, PAGE.faint, pen)
    for place, (dot, point) in enumerate(zip(places, points, strict=True)):
        pen.circle(
            dot, 6 if point.current else 4.5, PAGE.accent if point.current else PAGE.faint, PAGE.ground
        )
        # Numbers stand beside what is nearest, on the side that is free.
        taken = any(0 < other[0] - dot[0] < 16 and abs(other[1] - dot[1]) < 12 for other in places)
        side = -1 if taken else 1
        colour = PAGE.accent if point.current else PAGE.soft
        spot = (dot[0] + 9 * side, dot[1] - 6)
        pen.text(str(place), spot, 11, colour, anchor="start" if side > 0 else "end", weight=600)
    words = "; ".join(
        f"{place} {point.label}: {short(point.parameters)} parameters, {number(point.value, 3)}"
        for place, point in enumerate(points)
    )
    return svg(f"Size against {points[0].metric}", words, WIDTH, height, pen)


def frontier(points: Sequence[Point]) -> list[int]:
    """Places of the points that no other is both smaller and better than (Pareto)."""
    sign = 1 if points[0].better == "lower" else -1
    scored = [(point.parameters, sign * point.value) for point in points]
    return [
        place
        for place, (size, value) in enumerate(scored)
        if not any(other != (size, value) and other[0] <= size and other[1] <= value for other in scored)
    ]


def bars_chart(bars: Sequence[Bar], title: str) -> str:
    """What each edit costs as SVG; one that would flatten the others is cut off, with its figure on it."""
    height, pen = HEIGHT["bars"], Pen()
    costs = [bar.cost for bar in bars if math.isfinite(bar.cost)] or [0.0]
    cut = _cut(bars, costs)
    tops = [bar.high if bar.high is not None else bar.cost for bar in bars if bar.cost <= cut]
    high = max([0.0, *tops])
    low = min([0.0, *(bar.low for bar in bars if bar.low is not None), *costs])
    over = any(bar.cost > cut for bar in bars)
    up = Axis(low, high + (high - low) * (0.22 if over else 0.06), height - FOOT, TOP)
    grid(up, WIDTH - RIGHT, pen)
    pitch = min(92.0, (WIDTH - LEFT - RIGHT) / len(bars))
    wide = pitch - min(8.0, pitch * 0.25)
    for place, bar in enumerate(bars):
        x = LEFT + place * pitch + (pitch - wide) / 2
        is_cut = not bar.cost <= cut
        end = TOP if is_cut else up.at(bar.cost)
        pen.box(
            Box(x, min(end, up.at(0)), wide, max(1.0, abs(up.at(0) - end))),
            min(2.5, wide / 4),
            score_colour(bar.score),
            PAGE.edge,
            0.7,
        )
        if is_cut:
            _broken(x, wide, TOP + 14, bar.text, pen)
        elif bar.low is not None and bar.high is not None and pitch > 5:
            _whisker(x + wide / 2, up.at(min(bar.high, up.high)), up.at(bar.low), PAGE.ink, pen)
    for place in labelled(len(bars), pitch):
        spot = (LEFT + (place + 0.5) * pitch, height - FOOT + 18)
        pen.text(bars[place].label, spot, SMALL, PAGE.soft, room=max(pitch, 30))
    words = "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    return svg(title, words, WIDTH, height, pen)


def _cut(bars: Sequence[Bar], costs: Sequence[float]) -> float:
    """Beyond this a bar is cut off: where the dearest would leave the others and their intervals flat."""
    middle, most = median(costs), max(costs)
    others = [bar for bar in bars if bar.cost <= FAR * middle]
    ends = [abs(end) for bar in others for end in (bar.cost, bar.low, bar.high) if end is not None]
    if middle <= 0 or not ends or most <= FAR / 2 * max(ends):
        return most
    return max(bar.cost for bar in others)


def _broken(x: float, wide: float, y: float, text: str, pen: Pen) -> None:
    """A gap in a bar that goes on, and what it comes to, beside it."""
    gap = "".join(
        f"M{said(x - 2)} {said(y + down)}L{said(x + wide + 2)} {said(y + down - 6)}" for down in (0, 4)
    )
    pen.path(gap, PAGE.ground, 2.5)
    pen.text(text, (x + wide + 6, TOP + 10), SMALL, PAGE.soft, anchor="start", weight=600)


def _whisker(x: float, top: float, foot: float, colour: str, pen: Pen) -> None:
    ends = "".join(f"M{said(x - 3)} {said(y)}H{said(x + 3)}" for y in (top, foot))
    path = f"M{said(x)} {said(top)}V{said(foot)}{ends}"
    pen.path(path, PAGE.ground, 3.2, opacity=0.75)  # dark lines on dark bars would not be seen
    pen.path(path, colour, 1.2)
