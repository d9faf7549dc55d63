"""Which of a kernel's pages were closed by somebody, and which were only lost."""

from __future__ import annotations

PARTING_S = 60.0
"""A page says farewell before its socket closes, or after; what is further apart is not of one page."""


class Farewells:
    """Counts farewells of a kernel's pages against sockets that closed, in whichever order they come."""

    def __init__(self) -> None:
        self._said_more, self._until_s = 0, 0.0

    def said(self, now_s: float) -> None:
        """A page was closed; its socket closes soon, or has."""
        self._forget(now_s)
        self._said_more += 1
        self._until_s = now_s + PARTING_S

    def closed(self, now_s: float) -> None:
        """A socket is no more."""
        self._forget(now_s)
        self._said_more -= 1

    def opened(self, now_s: float) -> None:
        """A page is connected: one that was lost is back, or another in its place."""
        self._forget(now_s)
        if self._said_more < 0:
            self._said_more += 1

    @property
    def all_said(self) -> bool:
        """Whether no page was lost that may come back."""
        return self._said_more >= 0

    def _forget(self, now_s: float) -> None:
        if now_s > self._until_s:  # of a page that was closed before it was connected
            self._said_more = min(self._said_more, 0)
