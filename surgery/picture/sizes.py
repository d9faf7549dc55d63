"""How large things are drawn, by the text in them."""

from __future__ import annotations

from graph.flow import FlowNode
from surgery.picture.layers import Size
from surgery.picture.text import BOLD, MONO, width_of

STRIP_HEIGHT, STRIP_INSET, STRIP_TOP, CELL_HEIGHT, CELL_GAP = 68.0, 9.5, 10.0, 38.0, 3.0
CARD_HEIGHT, SMALL_HEIGHT, OPEN_HEIGHT, JOIN = 44.0, 32.0, 40.0, 18.0
MOST_WIDTH = 192.0
STRIP_NAME = 17.0
"""Room above a strip for its name."""
HANG, HEADER, PAD, FOOT = 92.0, 56.0, 18.0, 30.0
NAME, SMALL, CODE = 12.0, 10.5, 13.0
"""Font sizes: of names, of what stands below them, and of the heading of an opened block."""


def overview_size(node: FlowNode) -> Size:
    """Of a thing in the overview; a strip's has room for its name above it, and as much below."""
    if node.kind == "strip":
        pitch = min(44.0, max(9.0, 543 / len(node.paths)))
        label = width_of(node.title, SMALL) + 24
        return max(label, len(node.paths) * pitch + 2 * STRIP_INSET), STRIP_HEIGHT + 2 * STRIP_NAME
    if node.kind == "join":
        return JOIN, JOIN
    width = _text_width(node, NAME * BOLD)
    if node.kind in ("module", "function"):
        return width, CARD_HEIGHT if node.subtitle else SMALL_HEIGHT
    return width - 12, 24.0


def open_size(node: FlowNode) -> Size:
    """Of a thing in an opened block, whose ends are places on its edge."""
    if node.kind in ("join", "strip"):
        return overview_size(node)
    if node.kind in ("input", "output"):
        return 1.0, 1.0
    mono = node.kind == "function"
    width = max(56.0, _text_width(node, SMALL * MONO / 0.59 if mono else NAME))
    return width, OPEN_HEIGHT if node.subtitle else SMALL_HEIGHT - 4


def _text_width(node: FlowNode, size: float) -> float:
    text = max(width_of(node.title, size), width_of(node.subtitle, SMALL))
    return min(MOST_WIDTH, 4 * -(-(text + 22) // 4))
