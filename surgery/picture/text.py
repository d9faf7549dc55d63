"""Text in a picture: what it is made of never steers the file, and how wide it is without a font at hand."""

from __future__ import annotations

from html import escape
from unicodedata import east_asian_width

from graph.export.text import visible

_NARROW, _SLIM, _WIDE = frozenset("iljI.,:;'|!·"), frozenset('frt()[]{}-/\\ "*'), frozenset("mwMW@%—+−=<>×→≤")

MONO = 0.61
"""Width of a letter of a monospaced font, in font sizes."""
BOLD = 1.2
"""How much wider a bold letter is."""


def safe(text: str) -> str:
    """`text` as markup shows it: no element, no control character, which XML has no way to write."""
    return escape(visible(text), quote=True)


def width_of(text: str, size: float, *, mono: bool = False) -> float:
    """About how wide `text` is, rather too wide: of the fonts that a reader may have, the wide ones."""
    return size * sum(_letter(char, mono) for char in visible(text))


def fitted(text: str, size: float, room: float, *, mono: bool = False) -> str:
    """`text`, or as much of its start as there is room for, and `…`."""
    text = visible(text)
    if width_of(text, size, mono=mono) <= room:
        return text
    left = room - width_of("…", size, mono=mono)
    for place, char in enumerate(text):
        left -= size * _letter(char, mono)
        if left < 0:
            return f"{text[:place].rstrip()}…" if place else ""
    return text


def _letter(char: str, mono: bool) -> float:
    if east_asian_width(char) in "WF":
        return 1.0 if not mono else 2 * MONO
    if mono:
        return MONO
    if char in _NARROW:
        return 0.3
    if char in _SLIM:
        return 0.38
    if char in _WIDE:
        return 0.92
    return 0.7 if char.isupper() else 0.59
