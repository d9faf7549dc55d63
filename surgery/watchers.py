"""Who is told that a history has moved or that something in it was measured or saved."""

from __future__ import annotations

import weakref
from collections.abc import Callable


class Watchers:
    """Bound methods to call when there is something new to show; they are kept weakly.

    They are called in the thread that made the news, which may hold the session's lock: one that has more to
    do than to take note does it elsewhere.
    """

    def __init__(self) -> None:
        self._told: list[weakref.WeakMethod[Callable[[], object]]] = []

    def add(self, told: Callable[[], object]) -> None:
        """Call this bound method from now on, for as long as its object lives."""
        self._told = [*self._told, weakref.WeakMethod(told)]

    def remove(self, told: Callable[[], object]) -> None:
        """Call it no longer."""
        self._told = [known for known in self._told if known() not in (None, told)]

    def tell(self) -> None:
        """Call all of them."""
        for known in self._told:
            if (told := known()) is not None:
                told()
