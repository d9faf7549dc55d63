"""Draws a scene: wires, cards, strips, the opened block and threads."""

from __future__ import annotations

from surgery.picture.arcs import Arc
from surgery.picture.boxes import Box, Wire
from surgery.picture.inks import Inks, is_dark, score_colour, tie_colour
from surgery.picture.pen import Pen, elbow, hatching, said, smooth
from surgery.picture.scene import Node, Opened, Scene
from surgery.picture.sizes import CODE, NAME, SMALL, STRIP_INSET
from surgery.picture.text import width_of

LABEL_ROOM = 26.0
STEPS = (1, 2, 4, 5, 10, 20, 50, 100)


def draw(scene: Scene, inks: Inks, pen: Pen) -> None:
    """Draws all of the scene, what lies above after what lies below."""
    for wire in scene.wires:
        _wire(wire, inks, pen, in_card=False)
    for (x, y), (to, end) in scene.opened.guides if scene.opened else ():
        pen.path(f"M{said(x)} {said(y)}L{said(to)} {said(end)}", inks.edge, 1.2, dash="2 3")
    for node in scene.nodes:
        _node(node, inks, pen, in_card=False)
    if scene.opened is not None:
        _opened(scene.opened, inks, pen)
    for arc in scene.arcs:
        _thread(arc, inks, pen)
    for arc in scene.arcs:
        if arc.glyph is not None:
            ring(arc.index, arc.glyph[0], arc.glyph[1], inks, pen)


def ring(index: int, x: float, y: float, inks: Inks, pen: Pen) -> None:
    """A tie's number in its ring."""
    pen.circle((x, y), 6.6, inks.raised, tie_colour(index), 1.8)
    pen.text(str(index), (x, y + 3.5), 10, inks.ink, weight=600)


def _wire(wire: Wire, inks: Inks, pen: Pen, *, in_card: bool) -> None:
    if wire.residual:  # quiet, but to be told from the others
        pen.path(elbow(wire.dots), inks.faint if in_card else inks.edge, 1.3, opacity=0.65 if in_card else 1)
    else:
        pen.path(smooth(wire.dots), inks.edge, 1.4)


def _opened(opened: Opened, inks: Inks, pen: Pen) -> None:
    pen.box(opened.box, 12, inks.surface, inks.edge, 1.2)
    x, y = opened.box.x + 18, opened.box.y + 28.5
    room = opened.box.width * 0.6
    pen.text(opened.title, (x, y), CODE, inks.ink, anchor="start", weight=600, mono=True, room=room)
    x += min(room, width_of(opened.title, CODE, mono=True)) + 12
    pen.text(opened.subtitle, (x, y), SMALL, inks.faint, anchor="start", room=opened.box.right - 18 - x)
    for wire in opened.wires:
        _wire(wire, inks, pen, in_card=True)
    for node in opened.nodes:
        _node(node, inks, pen, in_card=True)
        for place, index in enumerate(node.ties[:3]):
            ring(index, node.box.right - 4 - 13 * place, node.box.y, inks, pen)


def _node(node: Node, inks: Inks, pen: Pen, *, in_card: bool) -> None:
    x, y = node.box.middle
    if node.kind == "join":
        pen.circle((x, y), node.box.width / 2, inks.raised, inks.edge)
        pen.text(node.title if len(node.title) <= 2 else "+", (x, y + 4.5), 13, inks.soft, weight=500)
    elif node.kind in ("input", "output"):
        pen.text(node.title, (x, y + 3.5), SMALL, inks.faint, room=node.box.width + 16)
    elif node.kind == "strip":
        _strip(node, inks, pen)
    else:
        _card(node, inks, pen, in_card=in_card)


def _strip(node: Node, inks: Inks, pen: Pen) -> None:
    pen.box(node.box, 9, inks.raised, inks.edge)
    _cells(node, inks, pen)
    name = f"{node.title} · {node.subtitle}"
    fits = width_of(name, SMALL) <= node.box.width
    spot = (node.box.x + 4, node.box.y - 6)
    text = name if fits else node.title
    pen.text(text, spot, SMALL, inks.faint, anchor="start", room=node.box.width)


def _card(node: Node, inks: Inks, pen: Pen, *, in_card: bool) -> None:
    function = node.kind == "function"
    flat = function and in_card
    radius = min(14.0, node.box.height / 2) if function else 7.0
    edge = inks.worse if node.has_failed or node.mark == "gone" else inks.edge
    dash = {"gone": "3 2.4", "new": "3 2.4"}.get(node.mark, "")
    edge = inks.soft if node.mark == "new" else edge
    pen.box(node.box, radius, inks.calm if flat else inks.raised, "" if flat else edge, 1.3, dash)
    if node.is_opaque:
        pen.path(hatching(node.box), inks.edge, 1)
    if node.mark == "changed":
        _underlined(node.box, inks, pen)
    if node.score is not None:
        bar = Box(node.box.x + 0.6, node.box.y + 6, 4, node.box.height - 12)
        pen.box(bar, 2, score_colour(node.score))
    x, y = node.box.middle
    room = node.box.width - 12
    size = SMALL if function else NAME
    title_y = y - 2.5 if node.subtitle else y + 4
    if node.is_opaque:  # hatching under a text would make it hard to read
        wide = min(room, max(width_of(node.title, size), width_of(node.subtitle, SMALL))) + 6
        tall = 31 if node.subtitle else 17
        pen.box(Box(x - wide / 2, y - tall / 2 + 0.5, wide, tall), 3, inks.raised)
    weight = 500 if in_card or function else 600
    colour = inks.soft if function else inks.ink
    pen.text(node.title, (x, title_y), size, colour, weight=weight, mono=function, room=room)
    if node.subtitle:
        pen.text(node.subtitle, (x, y + 12.5), SMALL, inks.faint, room=room + 6)
    if node.is_adapted:
        _cornered(node.box, 9, inks.soft, pen)


def _cells(strip: Node, inks: Inks, pen: Pen) -> None:
    for cell in strip.cells:
        _cell(cell, inks, pen)
    pitch = (strip.box.width - 2 * STRIP_INSET) / len(strip.cells)
    for number in labelled(len(strip.cells), pitch):
        cell = strip.cells[number]
        spot = (cell.box.middle[0], cell.box.bottom + 14)
        pen.text(cell.title, spot, SMALL, inks.faint, room=max(pitch, LABEL_ROOM) + 8)


def _cell(cell: Node, inks: Inks, pen: Pen) -> None:
    box, radius = cell.box, min(3.5, cell.box.width / 4)
    fill = inks.calm if cell.score is None else score_colour(cell.score)
    if cell.mark == "gone":
        pen.box(box, radius, "" if cell.score is None else fill, inks.worse, 1.3, "3 2.4")
        slash = (
            f"M{said(box.x + box.width * 0.16)} {said(box.bottom - 5)}"
            f"L{said(box.right - box.width * 0.16)} {said(box.y + 5)}"
        )
        colour = inks.worse
        if cell.score is not None:
            colour = "#ffffff" if is_dark(fill) else "#1c2430"
        pen.path(slash, colour, 1.2)
        return
    # The darkest colours would melt into a dark surface without an outline.
    pen.box(box, radius, fill, inks.edge, 1 if cell.score is None else 0.7)
    if cell.is_opaque:
        pen.path(hatching(box, 5), inks.edge, 1)
    if cell.is_adapted:
        colour = inks.soft if cell.score is None else "#ffffff" if is_dark(fill) else "#1c2430"
        _cornered(box.grown(-0.6), min(8.0, box.width * 0.4), colour, pen)
    if cell.has_failed:
        pen.box(box.grown(1.5), radius + 1.5, "", inks.worse, 2)
    if cell.mark == "changed":
        _underlined(box, inks, pen)
    if cell.mark == "new":
        colour = inks.ink if cell.score is None else "#ffffff" if is_dark(fill) else "#1c2430"
        if box.width > 9:
            pen.text("+", (box.middle[0], box.middle[1] + 4.5), 13, colour, weight=500)
        pen.box(box.grown(min(2, box.width * 0.12)), radius + 1, "", inks.soft, 1.2, "3 2.4")


def _cornered(box: Box, size: float, colour: str, pen: Pen) -> None:
    """A corner that says there is an adapter."""
    path = f"M{said(box.right - size)} {said(box.bottom)}H{said(box.right)}V{said(box.bottom - size)}Z"
    pen.path(path, "", 0, fill=colour)


def _underlined(box: Box, inks: Inks, pen: Pen) -> None:
    pen.box(Box(box.x, box.bottom + 1.5, box.width, 2.5), 1.2, inks.ink)


def _thread(arc: Arc, inks: Inks, pen: Pen) -> None:
    colour = tie_colour(arc.index)
    places = [[f"{said(x)} {said(y)}" for x, y in piece] for piece in arc.pieces]
    if places:
        pen.path("".join(f"M{start}C{' '.join(rest)}" for start, *rest in places), colour, 2.4)
    for end in arc.ends:
        pen.circle(end, 3.5, inks.ground, colour, 2)


def labelled(count: int, pitch: float) -> list[int]:
    """Which cells are numbered: the last, the first, and every second, fifth, tenth … where there is room."""
    step = next((size for size in STEPS if size * pitch >= LABEL_ROOM), count)
    room = max(1, -int(-LABEL_ROOM * 0.7 // pitch))
    kept: list[int] = []
    for number in (count - 1, *range(0, count, step)):
        if all(abs(other - number) >= room for other in kept):
            kept.append(number)
    return sorted(kept)
