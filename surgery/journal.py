"""The journal: shallow copies of the dictionaries a step touched, so that undo puts objects back.

There is no undo code. Whoever changes a module or its config announces the dictionary first; the
journal keeps what it held. Undo restores content, key order and aliasing, redo likewise, and neither
computes a tensor. This is right because nothing writes tensors in place.
"""

from collections.abc import Iterator
from typing import Any

_ABSENT = object()


class Journal:
    """What one step changed, reversible any number of times."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._after: dict[int, dict[str, Any]] = {}
        self._values: dict[tuple[int, str], tuple[dict[str, Any], Any]] = {}

    def touch(self, mapping: dict[str, Any]) -> dict[str, Any]:
        """Announces that `mapping` is about to change; returns it."""
        if id(mapping) not in self._before:
            self._before[id(mapping)] = (mapping, dict(mapping))
        return mapping

    def touch_value(self, mapping: dict[str, Any], key: str) -> dict[str, Any]:
        """Announces that one value of `mapping` is about to change; what else is in it stays anybody's."""
        self._values.setdefault((id(mapping), key), (mapping, mapping.get(key, _ABSENT)))
        return mapping

    def holds(self) -> Iterator[object]:
        """What the touched dictionaries hold now, held before and, if undone, hold after."""
        for mapping, before in self._before.values():
            yield mapping
            yield before
        yield from self._after.values()
        for _, other in self._values.values():
            yield other

    def undo(self) -> None:
        """Puts every touched dictionary and value back as it was."""
        self._swap_values()
        for key, (mapping, before) in reversed(self._before.items()):
            self._after[key] = dict(mapping)
            _fill(mapping, before)

    def redo(self) -> None:
        """Puts every touched dictionary and value to where the step had left it."""
        for key, (mapping, _) in self._before.items():
            _fill(mapping, self._after[key])
        self._swap_values()

    def _swap_values(self) -> None:
        for place, (mapping, other) in self._values.items():
            key = place[1]
            self._values[place] = (mapping, mapping.get(key, _ABSENT))
            if other is _ABSENT:
                mapping.pop(key, None)
            else:
                mapping[key] = other


def _fill(mapping: dict[str, Any], content: dict[str, Any]) -> None:
    mapping.clear()
    mapping.update(content)
