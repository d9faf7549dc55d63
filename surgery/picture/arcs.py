"""Ties as threads: arcs above cards and below cells, each with its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from surgery.picture.boxes import Box, Dot, around

ASIDE, CLEAR = 24.0, 24.0
"""How far a thread swings out at a side, and above what it passes: a strip has its name there."""
TRIES, HIGHER = 8, 16.0
"""How often a thread that meets a box is tried again, so much higher."""
GLYPH_ROOM = 17.0
"""Numbers that would stand nearer to each other than this are told once."""


@dataclass(frozen=True)
class Anchor:
    """Where threads may hold on to a module, at its top, its foot or its left side.

    `foot` of a cell is that of its strip, below its number.
    """

    box: Box
    foot: float
    is_cell: bool = False
    is_inside: bool = False

    @property
    def x(self) -> float:
        return self.box.middle[0]

    @property
    def side(self) -> Dot:
        return self.box.x, self.box.middle[1]


@dataclass(frozen=True)
class Arc:
    """A thread in pieces, each from a place past two others to a place, with its number at `glyph`."""

    index: int
    ends: tuple[Dot, ...]
    pieces: tuple[tuple[Dot, Dot, Dot, Dot], ...]
    glyph: Dot | None

    @property
    def box(self) -> Box:
        """The room it takes, its number included."""
        dots = [*self.ends, *(_apex(piece) for piece in self.pieces)]
        return around([*(Box(x, y, 0, 0).grown(4) for x, y in dots), *self._number])

    @property
    def span(self) -> float:
        return max((piece[3][0] - piece[0][0] for piece in self.pieces), default=0.0)

    @property
    def _number(self) -> list[Box]:
        return [Box(*self.glyph, 0, 0).grown(8)] if self.glyph else []


def arcs(ties: Mapping[int, tuple[str, ...]], anchors: Mapping[str, Anchor]) -> tuple[Arc, ...]:
    """The threads between these anchors; inside an opened block only those with two ends there."""
    found = []
    for index, paths in ties.items():
        held = dict.fromkeys(anchor for path in paths if (anchor := _holding(path, anchors)))
        ends = sorted(held, key=lambda anchor: (anchor.x, anchor.box.y))
        if len(ends) > 1 or (ends and not ends[0].is_inside):
            found.append(_arc(index, ends, [anchor.box for anchor in anchors.values()]))
    return tuple(_thinned(found))


def _holding(path: str, anchors: Mapping[str, Anchor]) -> Anchor | None:
    """The anchor of a path, or of the nearest module above it that is drawn."""
    at = path
    while at:
        anchor = anchors.get(at)
        if anchor is not None and (not anchor.is_inside or at in (path, path.rpartition(".")[0])):
            return anchor
        at = at.rpartition(".")[0]
    return None


def _arc(index: int, anchors: list[Anchor], others: list[Box]) -> Arc:
    """Ends that stand one below the other are joined at their sides, the uppermost of them with the rest."""
    below = all(anchor.is_cell for anchor in anchors)
    columns: list[list[Anchor]] = []
    for anchor in anchors:
        if columns and anchor.box.x < columns[-1][0].box.right and not below:
            columns[-1].append(anchor)
        else:
            columns.append([anchor])
    tops = [(head.x, head.foot if below else head.box.y) for head, *_ in columns]
    pieces = [_bow(one, two, others, below) for one, two in pairwise(tops)]
    sides = [(head.side, anchor.side) for head, *rest in columns for anchor in rest]
    aside = [(one, (one[0] - ASIDE, one[1]), (two[0] - ASIDE, two[1]), two) for one, two in sides]
    ends = dict.fromkeys([*(tops if pieces or not aside else []), *(dot for pair in sides for dot in pair)])
    widest = max(pieces or aside, key=lambda piece: piece[3][0] - piece[0][0], default=None)
    lone = (tops[0][0], tops[0][1] + (14 if below else -14))
    return Arc(index, tuple(ends), (*pieces, *aside), lone if widest is None else _apex(widest))


def _bow(one: Dot, two: Dot, others: list[Box], below: bool) -> tuple[Dot, Dot, Dot, Dot]:
    """From one place to another, below cells or clear above what stands between."""
    depth = _depth(abs(two[0] - one[0]), below)
    if below:
        return one, (one[0], one[1] + depth), (two[0], two[1] + depth), two
    level = min(one[1], two[1]) - depth
    between = [box.y for box in others if one[0] < box.middle[0] < two[0]]
    if between:
        roof = min(*between, one[1], two[1]) - CLEAR
        level = min(level, (roof - (one[1] + two[1]) / 8) / 0.75)
    for _ in range(TRIES):  # an end may stand lower than what is beside it
        if not _meets((one, (one[0], level), (two[0], level), two), others):
            break
        level -= HIGHER
    return one, (one[0], level), (two[0], level), two


def _meets(piece: tuple[Dot, Dot, Dot, Dot], others: list[Box]) -> bool:
    """Whether the cubic runs through one of the boxes."""
    dots = [_at(piece, number / 24) for number in range(2, 23)]
    return any(box.x < x < box.right and box.y < y < box.bottom for x, y in dots for box in others)


def _apex(piece: tuple[Dot, Dot, Dot, Dot]) -> Dot:
    return _at(piece, 0.5)


def _at(piece: tuple[Dot, Dot, Dot, Dot], part: float) -> Dot:
    """The place on the cubic after so much of its way."""
    rest = 1 - part
    shares = (rest**3, 3 * rest * rest * part, 3 * rest * part * part, part**3)
    x, y = (sum(share * dot[axis] for share, dot in zip(shares, piece, strict=True)) for axis in (0, 1))
    return x, y


def _depth(span: float, below: bool) -> float:
    """How far the control points lie from the ends: flat and short below, wide and calm above."""
    return min(46.0, 12 + span * 0.16) if below else min(58.0, 22 + span * 0.06)


def _thinned(found: list[Arc]) -> list[Arc]:
    """Numbers that would lie on each other are dropped, wide threads first to keep theirs."""
    kept: list[Dot] = []
    numbers: dict[int, Dot | None] = {}
    for arc in sorted(found, key=lambda arc: -arc.span):
        assert arc.glyph is not None
        x, y = arc.glyph
        crowded = any(abs(x - a) < GLYPH_ROOM and abs(y - b) < GLYPH_ROOM for a, b in kept)
        numbers[arc.index] = None if crowded else arc.glyph
        if not crowded:
            kept.append(arc.glyph)
    return [replace(arc, glyph=numbers[arc.index]) for arc in found]
