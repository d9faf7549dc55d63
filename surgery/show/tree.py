"""A graph in the terminal: a line per module, with its figures in columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from graph.export.text import shortened, visible
from graph.nodes import ModuleGraph
from surgery.selecting import resolve
from surgery.show.outline import Line, Outline

MOST_TIES = 20
"""So many ties are listed, and so many paths of each, until all are asked for."""
DEEPEST_GUIDES = 24
"""Deeper lines are not indented further; the number of their level stands instead."""
_STYLES = {"tie": "cyan", "opaque": "yellow", "problem": "bold red"}

_Pieces = list[tuple[str, str]]
"""Texts with their styles."""


def print_tree(
    graph: ModuleGraph, *, depth: int = 3, select: str = "", unfold: bool = False, note: str | None = None
) -> None:
    """Prints the tree down to `depth` levels, or the modules that `select` matches, with their figures.

    Alike blocks of a list share one line and are opened once; `unfold` shows each, and lists every
    tie. `note` is a sentence to say below. Names are printed as text: no escape sequence, line break
    or change of direction gets out. Raises SurgeryError for a selector that matches nothing.
    """
    outline = Outline(graph, fold=not unfold)
    if select:
        lines = [("", Line((graph[path],), _path(path)), True) for path in resolve(select, graph)]
    else:
        lines = list(_lines(outline, depth))
    pieces = _columns(outline, lines)
    if not select:
        below = [*outline.ties(None if unfold else MOST_TIES), *outline.summary(), *outline.notes(note)]
        pieces += [(f"{sentence}\n", "") for sentence in below]
    console = Console(soft_wrap=True, highlight=False)
    if console.color_system is not None and console.encoding.startswith("utf"):
        console.print(Text.assemble(*pieces), end="")
    else:
        console.file.write(_spelled("".join(text for text, _ in pieces), console.encoding))


def _spelled(text: str, encoding: str) -> str:
    """`text` for a terminal or file that knows fewer characters: strokes of ASCII, names as escapes."""
    if encoding.startswith("utf"):
        return text
    known = text.translate(str.maketrans("├└│─×–…", "|`|-x-~"))
    return known.encode(encoding, "backslashreplace").decode(encoding)


def _path(path: str) -> str:
    return shortened(visible(path)) or "(root)"


def _lines(outline: Outline, depth: int) -> Iterator[tuple[str, Line, bool]]:
    """(guides, line, whether it is closed) from the top down. Not recursive: trees are deep."""
    waiting: list[tuple[tuple[bool, ...], Line]] = [((), outline.root())]
    while waiting:
        lasts, line = waiting.pop()
        children = outline.children(line) if len(lasts) < depth else []
        yield _guides(lasts), line, not children
        for child in reversed(children):
            waiting.append(((*lasts, child is children[-1]), child))


def _guides(lasts: tuple[bool, ...]) -> str:
    """The strokes before a line; `lasts` says of it and each line above whether none follows it."""
    if not lasts:
        return ""
    above, last = lasts[:-1], lasts[-1]
    stroke = "└── " if last else "├── "
    if len(above) > DEEPEST_GUIDES:
        return f"… level {len(lasts)} {stroke}"
    return "".join("    " if over else "│   " for over in above) + stroke


def _columns(outline: Outline, lines: list[tuple[str, Line, bool]]) -> _Pieces:
    """Each line with its figures under their titles, and its marks after them."""
    names: list[_Pieces] = [[(guides, "dim"), *_name(line)] for guides, line, _ in lines]
    taken = [cell_len("".join(text for text, _ in name)) for name in names]
    left = max(taken)
    figures = [outline.figures(line) for _, line, _ in lines]
    shown = outline.shown
    titles = [outline.titles[place] for place in shown]
    widths = [max(len(outline.titles[place]), *(len(row[place]) for row in figures)) for place in shown]
    pieces: _Pieces = []
    if shown:
        pieces.append((" " * left + _row(titles, widths) + "\n", "dim"))
    for name, used, row, (_, line, closed) in zip(names, taken, figures, lines, strict=True):
        cells = " " * (left - used) + _row([row[place] for place in shown], widths)
        marks = outline.marks(line, closed=closed)
        pieces += [*name, (cells if marks else cells.rstrip(), "")]
        pieces += [(f"  {mark.text}", _STYLES[mark.kind]) for mark in marks]
        pieces.append(("\n", ""))
    return pieces


def _row(cells: list[str], widths: list[int]) -> str:
    return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _name(line: Line) -> _Pieces:
    if not line.label:
        return [(line.kind, "bold")]
    return [(line.label, "bold"), (f"  {line.kind}", "dim")]
