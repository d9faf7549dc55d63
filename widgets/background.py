"""Work beside the kernel's thread: one at a time, and of several requests of a kind the newest counts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Background:
    """A single worker thread; `latest` forgets a request that a newer one overtook before it began."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="surgery-studio")
        self._newest: dict[str, int] = {}
        self._last: Future[None] | None = None

    def latest(self, kind: str, work: Callable[[], Result], done: Callable[[Result], None]) -> None:
        """Calls `work` in the thread and `done` with its result, unless a newer request of this kind came."""
        number = self._newest[kind] = self._newest.get(kind, 0) + 1

        def run() -> None:
            if self._newest[kind] != number:
                return
            try:
                result = work()
                if self._newest[kind] == number:
                    done(result)
            except Exception:
                _log.exception("%s failed", kind)

        self._last = self._pool.submit(run)

    def forget(self, kind: str) -> None:
        """Requests of this kind that are under way count no longer."""
        self._newest[kind] = self._newest.get(kind, 0) + 1

    def settle(self, timeout_s: float | None = None) -> None:
        """Waits until all that was asked for is done."""
        if self._last is not None:
            self._last.result(timeout_s)
