"""The journal: shallow copies of the dictionaries a step touched, so that undo puts objects back.

There is no undo code. Whoever changes a module or its config announces the dictionary first; the
journal keeps what it held. Undo restores content, key order and aliasing, redo likewise, and neither
computes a tensor. This is right because nothing writes tensors in place.
"""

from typing import Any


class Journal:
    """What one step changed, reversible any number of times."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._after: dict[int, dict[str, Any]] = {}

    def touch(self, mapping: dict[str, Any]) -> dict[str, Any]:
        """Announces that `mapping` is about to change; returns it."""
        if id(mapping) not in self._before:
            self._before[id(mapping)] = (mapping, dict(mapping))
        return mapping

    def undo(self) -> None:
        """Puts every touched dictionary back as it was."""
        for key, (mapping, before) in reversed(self._before.items()):
            self._after[key] = dict(mapping)
            _fill(mapping, before)

    def redo(self) -> None:
        """Puts every touched dictionary to where the step had left it."""
        for key, (mapping, _) in self._before.items():
            _fill(mapping, self._after[key])


def _fill(mapping: dict[str, Any], content: dict[str, Any]) -> None:
    mapping.clear()
    mapping.update(content)
