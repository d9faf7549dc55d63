"""Work beside the kernel's thread: a thread per kind of work, and of previews only the newest counts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local
from typing import TypeVar

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Background:
    """Work by kind, in the order asked for; kinds do not wait for each other.

    What `work` raises goes to `failed`, in the same thread as `done`: one of the two is always called,
    unless a newer request overtook this one.
    """

    def __init__(self) -> None:
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._newest: dict[str, int] = {}
        self._last: dict[str, Future[None]] = {}
        self._thread = local()

    @property
    def is_here(self) -> bool:
        """Whether this is asked in one of its threads."""
        return getattr(self._thread, "is_ours", False)

    def latest(
        self,
        kind: str,
        work: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Calls `work`, then `done` with its result, unless a newer request of this kind came."""
        self.forget(kind)
        number = self._newest[kind]
        self._submit(kind, work, done, failed, lambda: self._newest[kind] == number)

    def each(
        self,
        kind: str,
        work: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Calls `work`, then `done` with its result, whatever else is asked for."""
        self._submit(kind, work, done, failed, lambda: True)

    def forget(self, kind: str) -> None:
        """Requests of this kind that are under way count no longer."""
        self._newest[kind] = self._newest.get(kind, 0) + 1

    def wait(self, kind: str, timeout_s: float) -> bool:
        """Waits for the last of this kind; whether it was done in that time."""
        last = self._last.get(kind)
        if last is None:
            return True
        try:
            last.result(timeout_s)
        except TimeoutError:
            return False
        return True

    def settle(self, timeout_s: float | None = None) -> None:
        """Waits until all that was asked for is done, what that asks for included; each so long."""
        seen: list[Future[None]] = []
        while (asked := list(self._last.values())) != seen:
            seen = asked
            for last in seen:
                last.result(timeout_s)

    def _submit(
        self,
        kind: str,
        work: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
        counts: Callable[[], bool],
    ) -> None:
        def run() -> None:
            self._thread.is_ours = True
            if not counts():
                return
            try:
                result = work()
                if counts():
                    done(result)
            except Exception as error:
                if counts():
                    _report(kind, failed, error)

        if kind not in self._pools:
            self._pools[kind] = ThreadPoolExecutor(1, thread_name_prefix=f"surgery-studio-{kind}")
        self._last[kind] = self._pools[kind].submit(run)


def _report(kind: str, failed: Callable[[Exception], None], error: Exception) -> None:
    try:
        failed(error)
    except Exception:
        _log.exception("%s failed, and so did saying so", kind)
