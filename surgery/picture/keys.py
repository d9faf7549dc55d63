"""What stands around a picture: its heading, the scale of its colours, and a key to its marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from surgery.picture.boxes import Box
from surgery.picture.draw import ring
from surgery.picture.inks import CIVIDIS, Inks
from surgery.picture.pen import Pen, hatching, said
from surgery.picture.scene import Node, Scene
from surgery.picture.sizes import SMALL
from surgery.picture.text import BOLD, width_of

ROW = 20.0
MOST_TIES = 6
MOST_LETTERS = 90
LEGEND_BAR = 84.0

Swatch = Callable[[float, float], None]


@dataclass(frozen=True)
class Entry:
    """A sign at the left of its words."""

    swatch: Swatch
    text: str

    @property
    def width(self) -> float:
        return 20 + width_of(self.text, SMALL) + 18


def entries(scene: Scene, inks: Inks, pen: Pen) -> list[Entry]:
    """The key to every kind of mark that the scene has, ties first."""
    found = []
    for index, ends in list(scene.ties.items())[:MOST_TIES]:
        found.append(Entry(_ring(index, inks, pen), tie_text(ends)))
    if len(scene.ties) > MOST_TIES:
        found.append(Entry(lambda x, y: None, f"and {len(scene.ties) - MOST_TIES} more ties"))
    nodes = [*scene.nodes, *(cell for node in scene.nodes for cell in node.cells)]
    nodes += scene.opened.nodes if scene.opened else ()
    box = Box(0, -5, 12, 11)

    def outlined(colour: str) -> Swatch:
        return lambda x, y: pen.box(box.moved(x, y), 3, "", colour, 1.2, "3 2.4")

    def failed(x: float, y: float) -> None:
        pen.box(box.moved(x, y), 3, "", inks.worse, 1.8)

    def bar(x: float, y: float) -> None:
        pen.box(Box(x, y - 1, 12, 2.5), 1.2, inks.ink)

    def hatched(x: float, y: float) -> None:
        pen.box(box.moved(x, y), 3, inks.raised, inks.edge, 1)
        pen.path(hatching(box.moved(x, y), 4), inks.soft, 0.8)

    def notched(x: float, y: float) -> None:
        at = box.moved(x, y)
        pen.box(at, 3, inks.calm, inks.edge, 1)
        corner = f"M{said(at.right - 6)} {said(at.bottom)}H{said(at.right)}V{said(at.bottom - 6)}Z"
        pen.path(corner, "", 0, fill=inks.soft)

    for there, swatch, words in (
        (_any(nodes, lambda node: node.mark == "gone"), outlined(inks.worse), "taken out"),
        (_any(nodes, lambda node: node.mark == "new"), outlined(inks.soft), "new"),
        (_any(nodes, lambda node: node.mark == "changed"), bar, "changed inside"),
        (_any(nodes, lambda node: node.is_adapted), notched, "with an adapter"),
        (_any(nodes, lambda node: node.is_opaque), hatched, "hatched: the trace could not look inside"),
        (bool(scene.failed_at), failed, f"the forward fails at {scene.failed_at[:MOST_LETTERS]}"),
    ):
        if there:
            found.append(Entry(swatch, words))
    return found


def rows(found: list[Entry], width: float) -> list[list[Entry]]:
    """The entries in lines of at most `width`."""
    lines: list[list[Entry]] = []
    left = 0.0
    for entry in found:
        if not lines or entry.width > left:
            lines.append([])
            left = width
        lines[-1].append(entry)
        left -= entry.width
    return lines


def draw_key(lines: list[list[Entry]], x: float, y: float, inks: Inks, pen: Pen) -> None:
    """The key with its first line around `y`."""
    for number, line in enumerate(lines):
        at, level = x, y + number * ROW
        for entry in line:
            entry.swatch(at, level)
            pen.text(entry.text, (at + 20, level + 3.5), SMALL, inks.soft, anchor="start")
            at += entry.width


def draw_legend(legend: Mapping[str, str], right: float, y: float, inks: Inks, pen: Pen) -> None:
    """The scale of the colours: what they are of, and from where to where."""
    high = width_of(legend["high"], SMALL)
    low = width_of(legend["low"], SMALL)
    bar = right - high - 6 - LEGEND_BAR
    pen.text(legend["high"], (right, y + 3.5), SMALL, inks.soft, anchor="end")
    step = LEGEND_BAR / len(CIVIDIS)
    for place, colour in enumerate(CIVIDIS):
        pen.box(Box(bar + place * step, y - 4.5, step + 0.3, 9), 0, colour)
    pen.box(
        Box(bar, y - 4.5, LEGEND_BAR + 0.3, 9), 0, "", inks.edge, 0.7
    )  # the ends might melt into the ground
    pen.text(legend["low"], (bar - 6, y + 3.5), SMALL, inks.soft, anchor="end")
    pen.text(legend["title"], (bar - 18 - low, y + 3.5), SMALL, inks.ink, anchor="end", weight=600)


def legend_width(legend: Mapping[str, str]) -> float:
    """The room that `draw_legend` takes."""
    return sum(width_of(legend[name], SMALL * BOLD) for name in ("title", "low", "high")) + LEGEND_BAR + 36


def tie_text(ends: tuple[str, ...]) -> str:
    """`lm_head, model.embed_tokens: the same weights`."""
    text = ", ".join(ends)
    if len(text) > MOST_LETTERS:
        text = f"{ends[0]} and {len(ends) - 1} more" if len(ends) > 1 else f"{text[: MOST_LETTERS - 1]}…"
    return f"{text}: the same weights"


def _any(nodes: list[Node], what: Callable[[Node], bool]) -> bool:
    return any(map(what, nodes))


def _ring(index: int, inks: Inks, pen: Pen) -> Swatch:
    return lambda x, y: ring(index, x + 6, y, inks, pen)
