"""JSON objects that have exactly the keys that are known."""

from __future__ import annotations

from collections import Counter
from typing import Any

from surgery.errors import SurgeryError


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key given twice is refused, since readers differ on which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        count = Counter(key for key, _ in pairs)
        raise SurgeryError("gives a key twice", got=clipped(repr(count.most_common(1)[0][0])))
    return found


def text_in(value: Any, where: str) -> str | None:
    """The value, which is text or nothing."""
    if value is not None and not isinstance(value, str):
        raise SurgeryError(f"{where} is no text", got=clipped(repr(value)))
    return value


def refuse_keys(data: Any, needed: set[str], allowed: set[str], where: str) -> None:
    """SurgeryError unless this is an object with the keys needed, and no others than are allowed."""
    if not isinstance(data, dict):
        raise SurgeryError(f"{where} is no object", got=type(data).__name__)
    if missing := sorted(needed - data.keys()):
        raise SurgeryError(f"{where} lacks {missing[0]!r}")
    if unknown := sorted(data.keys() - needed - allowed):
        raise SurgeryError(
            f"{where} has an unknown key",
            got=clipped(repr(unknown[0])),
            expected=f"{', '.join(sorted(needed | allowed))}",
        )


def clipped(value: object) -> str:
    """What a sentence can hold of it."""
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
