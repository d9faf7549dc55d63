"""Draws bars, curves and heat maps as SVG, from the width of a form to that of a page."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from graph.units import short
from surgery.charts.axes import LEFT, RIGHT, SMALL, Axis, decimals, grid, svg
from surgery.charts.kinds import Bars, Curves, Heat, Theme
from surgery.charts.names import told_apart
from surgery.evaluate.figure import number
from surgery.picture.boxes import Box
from surgery.picture.draw import labelled
from surgery.picture.inks import DARK, LIGHT, PAGE, TIES, Inks, is_dark, score_colour
from surgery.picture.pen import Pen, said
from surgery.picture.text import BOLD, width_of

TITLE, TOP, FOOT = 12.0, 32.0, 38.0
ROW = 15.0
THEMES: dict[Theme, Inks] = {"light": LIGHT, "dark": DARK, "auto": PAGE, "page": PAGE}
KEY_ROW, KEY_MARK = 16.0, 18.0


def bars_svg(chart: Bars, width: float, theme: Theme) -> str:
    """Bars from zero, the marked ones in the accent colour."""
    heading = _heading(chart.title, chart.unit, width)
    top = heading.foot
    inks, pen, height = THEMES[theme], Pen(), top + _tall(width) + FOOT
    right, foot = width - RIGHT, height - FOOT
    _head(heading, width, height, inks, pen)
    up = Axis(min(0.0, *chart.values), max(0.0, *chart.values), foot, top)
    grid(up, right, pen, inks, about=4)
    pitch = min(104.0, (right - LEFT) / len(chart.values))
    wide, marked = max(1.0, pitch - min(6.0, pitch * 0.25)), set(chart.marked)
    for place, value in enumerate(chart.values):
        x, end, base = LEFT + place * pitch + (pitch - wide) / 2, up.at(value), up.at(0)
        colour = inks.accent if place in marked else inks.faint
        tall = max(1.0, abs(base - end))
        pen.box(Box(x, min(base, end), wide, tall), min(2.0, wide / 4, tall / 2), colour)
    for place in labelled(len(chart.labels), pitch):
        spot = (LEFT + (place + 0.5) * pitch, foot + 16)
        pen.text(chart.labels[place], spot, SMALL, inks.soft, room=max(pitch, 30))
    pairs = zip(chart.labels, chart.values, strict=True)
    words = "; ".join(f"{label}: {value:.3g}" for label, value in pairs)
    return svg(chart.title, words, width, height, pen, own=theme == "auto")


def curves_svg(chart: Curves, width: float, theme: Theme) -> str:
    """Lines with their names in a key below, and where the chosen value stands."""
    xs = [x for line in chart.lines.values() for x, _ in line]
    xs += [] if chart.mark is None else [chart.mark]
    ys = [y for line in chart.lines.values() for _, y in line]
    names = told_apart(list(chart.lines))
    keys, rows = _placed_keys(names, width)
    heading = _heading(chart.title, chart.y, width)
    top = heading.foot
    inks, pen, height = THEMES[theme], Pen(), top + _tall(width) + FOOT + rows * KEY_ROW
    right, foot = width - RIGHT, height - FOOT - rows * KEY_ROW
    _head(heading, width, height, inks, pen)
    room = (max(ys) - min(ys)) * 0.04
    across, up = Axis(min(xs), max(xs), LEFT + 6, right - 6), Axis(min(ys) - room, max(ys) + room, foot, top)
    grid(up, right, pen, inks, about=4)
    ticks = across.ticks(6 if width > 400 else 4)
    for tick in ticks:
        said_tick = short(round(tick)) if abs(tick) >= 10_000 else number(tick, decimals(ticks))
        pen.text(said_tick, (across.at(tick), foot + 16), SMALL, inks.faint)
    pen.text(chart.x, (right, foot + 32), SMALL, inks.soft, anchor="end", room=right - LEFT)
    if chart.mark is not None:
        pen.path(f"M{said(across.at(chart.mark))} {said(top)}V{said(foot)}", inks.accent, 1.2, dash="4 3")
    for place, line in enumerate(chart.lines.values()):
        dots = [(across.at(x), up.at(y)) for x, y in line]
        colour = TIES[place % len(TIES)]
        path = "M" + "L".join(f"{said(x)} {said(y)}" for x, y in dots)
        pen.path(path, colour, 1.6, dash=_dash(place))
        for dot in dots if len(dots) <= 24 else ():
            pen.circle(dot, 2.4, colour)
    for place, (name, (x, row)) in enumerate(zip(names, keys, strict=False)):  # one line has no key
        y = height - rows * KEY_ROW + row * KEY_ROW + 9
        pen.path(f"M{said(x)} {said(y - 3.5)}h12", TIES[place % len(TIES)], 2.4, dash=_dash(place))
        pen.text(name, (x + KEY_MARK, y), SMALL, inks.soft, anchor="start", room=width - x - 24)
    words = "; ".join(f"{name}: {_ends(line)}" for name, line in chart.lines.items())
    return svg(chart.title, words, width, height, pen, own=theme == "auto")


def heat_svg(chart: Heat, width: float, theme: Theme) -> str:
    """Cells from dark, the lowest, to light, the highest, each with its number where there is room."""
    known = [value for row in chart.values for value in row if value is not None]
    low, high = min(known), max(known)
    widest = max(width_of(label, SMALL) for label in chart.rows)
    left = min(width * 0.35, widest + 18)
    wide = (width - RIGHT - left) / len(chart.columns)
    tall = min(26.0, max(6.0, wide))
    span = f"{chart.unit} {low:.3g} to {high:.3g}".strip()
    heading = _heading(chart.title, span, width)
    top = heading.foot
    foot = top + tall * len(chart.rows)
    inks, pen, height = THEMES[theme], Pen(), foot + FOOT
    _head(heading, width, height, inks, pen)
    for row, (label, values) in enumerate(zip(chart.rows, chart.values, strict=True)):
        y = top + row * tall
        if tall >= SMALL or row % 2 == 0:
            pen.text(label, (left - 8, y + tall / 2 + 3.5), SMALL, inks.soft, anchor="end", room=left - 12)
        for column, value in enumerate(values):
            if value is None:
                continue
            colour = score_colour((value - low) / (high - low) if high > low else 0.5)
            cell = Box(left + column * wide, y, max(1.0, wide - 1), max(1.0, tall - 1))
            pen.box(cell, min(2.0, wide / 6), colour)
            if wide >= 34 and tall >= 14:
                ink = "#ffffff" if is_dark(colour) else "#1c2430"
                pen.text(f"{value:.2g}", (cell.middle[0], cell.middle[1] + 3.5), SMALL - 1, ink)
    for column in labelled(len(chart.columns), wide):
        spot = (left + (column + 0.5) * wide, foot + 14)
        pen.text(chart.columns[column], spot, SMALL, inks.soft, room=max(wide, 30))
    rows = zip(chart.rows, chart.values, strict=True)
    words = "; ".join(f"{label}: {', '.join(map(_said, values))}" for label, values in rows)
    return svg(chart.title, words, width, height, pen, own=theme == "auto")


def _said(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _tall(width: float) -> float:
    """How high the part between heading and foot is."""
    return min(270.0, max(124.0, width * 0.42)) - TOP - FOOT


@dataclass(frozen=True)
class _Heading:
    """A title, on two rows where it is long, and what is told of the values: beside it, or below it."""

    title: tuple[str, ...]
    detail: str
    beside: bool

    @property
    def foot(self) -> float:
        """Where the heading ends and what is drawn begins."""
        rows = len(self.title) + bool(self.detail and not self.beside)
        return TOP + ROW * (rows - 1)


def _heading(title: str, detail: str, width: float) -> _Heading:
    room, size = width - 2 * RIGHT, TITLE * BOLD
    if width_of(title, size) + (width_of(detail, SMALL) + 12 if detail else 0) <= room:
        return _Heading((title,), detail, True)
    words, first = title.split(), ""
    while words and width_of(f"{first} {words[0]}", size) <= room:
        first = f"{first} {words.pop(0)}".strip()
    rows = tuple(row for row in (first, " ".join(words)) if row)
    return _Heading(rows, detail, False)


def _head(heading: _Heading, width: float, height: float, inks: Inks, pen: Pen) -> None:
    pen.box(Box(0, 0, width, height), 0, inks.surface)
    room = width - 2 * RIGHT
    for place, row in enumerate(heading.title):
        pen.text(row, (RIGHT, 17 + ROW * place), TITLE, inks.ink, anchor="start", weight=600, room=room)
    if heading.detail and heading.beside:
        pen.text(heading.detail, (width - RIGHT, 17), SMALL, inks.faint, anchor="end")
    elif heading.detail:
        spot = (RIGHT, 17 + ROW * len(heading.title))
        pen.text(heading.detail, spot, SMALL, inks.faint, anchor="start", room=room)


def _placed_keys(names: list[str], width: float) -> tuple[list[tuple[float, int]], int]:
    """Where each name of the key stands, as its pixel and row, and how many rows: none for one name."""
    if len(names) < 2:
        return [], 0
    found: list[tuple[float, int]] = []
    x, row = LEFT, 0
    for name in names:
        wide = KEY_MARK + width_of(name, SMALL) + 14
        if x > LEFT and x + wide > width:
            x, row = LEFT, row + 1
        found.append((x, row))
        x += wide
    return found, row + 1


def _dash(place: int) -> str:
    """Colours repeat; who has one for the second time is dashed."""
    return "" if place < len(TIES) else "4 3"


def _ends(line: tuple[tuple[float, float], ...]) -> str:
    """A line in words: where it begins and ends, and whether it only rises or falls."""
    steps = [after - before for (_, before), (_, after) in pairwise(line)]
    way = "rising" if steps and min(steps) >= 0 else "falling" if steps and max(steps) <= 0 else ""
    (start, first), (end, last) = line[0], line[-1]
    return f"{first:.3g} at {start:.3g} to {last:.3g} at {end:.3g}" + (f", {way}" if way else "")
