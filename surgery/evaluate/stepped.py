"""Work in a thread of its own that stops where it is told to, so that several can be led side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

from surgery.errors import SurgeryError

Place = TypeVar("Place")


class _Left(BaseException):
    """Work that nobody waits for any more ends here."""


class Stepped(Generic[Place]):
    """`work` runs when it is advanced, until it waits at a place or ends; nobody else runs meanwhile.

    `at` is where it waits; None before it began and once it ended, with a `result` or an `error`.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.at: Place | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self._go, self._came = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True, name="surgery-forward")
        self._gone = self._away = self._over = False

    def advance(self) -> None:
        """Runs it to where it waits next, or to its end. SurgeryError where no thread can be had."""
        if self._thread.ident is None:
            try:
                self._thread.start()
            except RuntimeError as error:
                raise SurgeryError(
                    "there are more forwards side by side than threads can be had for",
                    hint="fewer batches: a smaller budget, or fewer `samples`",
                ) from error
        else:
            self._go.release()
        self._away = True
        self._came.acquire()
        self._away = False

    def leave(self) -> None:
        """Ends it where it is."""
        self._gone = True
        if self._away:  # whoever waited for it was interrupted
            self._came.acquire()
            self._away = False
        if self._thread.ident is not None and not self._over:
            self.advance()

    def stop_at(self, place: Place) -> None:
        """In its own thread: waits there until it is advanced."""
        self.at = place
        self._came.release()
        self._go.acquire()
        if self._gone:
            raise _Left

    def _run(self) -> None:
        _here.stepped = self
        try:
            with torch.no_grad():
                self.result = self.work()
        except BaseException as error:  # it is the one who waits that is to know
            self.error = error
        finally:
            self.at, self._over = None, True
            _here.stepped = None
            self._came.release()


class _Here(threading.local):
    stepped: Stepped[Any] | None = None


_here = _Here()


def stepped_here() -> Stepped[Any] | None:
    """The work whose thread this is."""
    return _here.stepped
