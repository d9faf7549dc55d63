"""The graph as a picture, an SVG that stands by itself: for papers, slides and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graph.nodes import ModuleGraph
from surgery.picture.boxes import Box
from surgery.picture.draw import draw
from surgery.picture.inks import DARK, LIGHT, PAGE, Inks
from surgery.picture.keys import ROW, draw_key, draw_legend, entries, legend_width, rows
from surgery.picture.pen import SANS, Pen, said
from surgery.picture.scene import Scene, Shown, scene
from surgery.picture.sizes import CODE, SMALL
from surgery.picture.text import BOLD, safe, width_of
from surgery.whole_file import write_whole

__all__ = ["DARK", "LIGHT", "PAGE", "Inks", "Picture", "Shown", "picture_of"]

MARGIN, INSET, HEAD, LEAST_WIDTH = 24.0, 9.0, 34.0, 360.0
NO_FLOW = "Nothing was traced: open the model with example inputs to see its flow."


class Picture(str):
    """SVG as text, shown as a picture in a notebook."""

    __slots__ = ()

    def write(self, path: str | Path) -> Path:
        """Writes the SVG, whole or not at all; returns the path."""
        return write_whole(path, self, "the picture")

    def _repr_svg_(self) -> str:
        return self


def picture_of(
    graph: ModuleGraph,
    *,
    title: str,
    detail: str = "",
    opened: str | None = None,
    shown: Shown | None = None,
    legend: Mapping[str, str] | None = None,
    inks: Inks = LIGHT,
) -> Picture:
    """The picture of a graph; `legend` says what `shown.scores` are of: its title, low and high.

    The same graph gives the same bytes. With the page's inks it has neither ground nor heading of its own.
    """
    found, pen = scene(graph, opened, shown), Pen()
    alone = inks is not PAGE
    heading = width_of(title, CODE * BOLD) + width_of(detail, SMALL) + 12 if alone else 0.0
    scale = legend_width(legend) if legend else 0.0
    box = found.box
    width = max(box.width, LEAST_WIDTH, heading + scale + (40 if heading and scale else 0))
    left = box.middle[0] - width / 2
    top = box.y - (HEAD if alone or legend else 0)
    if alone:
        pen.text(title, (left, top + 4), CODE, inks.ink, anchor="start", weight=600)
        spot = (left + width_of(title, CODE * BOLD) + 12, top + 4)
        pen.text(detail, spot, SMALL, inks.faint, anchor="start")
    if legend:
        draw_legend(legend, left + width, top, inks, pen)
    if found.nodes:
        draw(found, inks, pen)
    else:
        pen.text(NO_FLOW, (left, box.bottom + 20), SMALL, inks.soft, anchor="start")
    key = rows(entries(found, inks, pen), width)
    foot = box.bottom + (24 if found.nodes else 36)
    draw_key(key, left, foot, inks, pen)
    bottom = foot + len(key) * ROW - 14 if key else foot - 20
    return _svg(
        Box(left, top, width, bottom - top).grown(MARGIN if alone else INSET), found, title, inks, pen
    )


def _svg(frame: Box, found: Scene, title: str, inks: Inks, pen: Pen) -> Picture:
    view = " ".join(said(value) for value in (frame.x, frame.y, frame.width, frame.height))
    width, height = said(frame.width), said(frame.height)
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="{view}" '
        f'role="img" font-family="{SANS}">\n<title>{safe(title)}</title>\n'
        f"<desc>{safe(described(found))}</desc>\n"
    )
    ground, body = Pen(), "\n".join(pen.parts)
    if inks is not PAGE:
        ground.box(frame, 0, inks.ground)
    return Picture("\n".join([start.rstrip("\n"), *ground.parts, body, "</svg>"]) + "\n")


def described(found: Scene) -> str:
    """The picture in words, for whoever cannot see it."""
    names = [
        f"{node.title}, {node.subtitle}" if node.kind == "strip" else node.title
        for node in found.nodes
        if node.kind in ("module", "strip", "function")
    ]
    said_parts = [f"From left to right: {'; '.join(names)}." if names else NO_FLOW]
    if found.opened:
        inside = ", ".join(node.title for node in found.opened.nodes)
        said_parts.append(f"Opened below: {found.opened.title}, with {inside}.")
    cells = [cell for node in found.nodes for cell in node.cells]
    gone = [cell.path for cell in cells if cell.mark == "gone"]
    said_parts += [f"Taken out: {', '.join(gone)}."] if gone else []
    said_parts += [f"Tie {index}: {' and '.join(ends)}." for index, ends in found.ties.items()]
    return " ".join(said_parts)
