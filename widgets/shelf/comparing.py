"""The comparison under way, or the last one: started, stopped, told of, beside the kernel's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.evaluate import Stopped
from surgery.merging.vocabularies import Vocabulary
from surgery.session import Session
from widgets.background import Background
from widgets.errands import refusal_of
from widgets.shelf import heat as heats
from widgets.shelf.heat import FIGURES, Job, Values
from widgets.shelf.state import problem_state

_TOLD = 0.01
"""Progress is told in steps of a hundredth: a comparison says it after every tensor."""


class Comparing:
    """What is known of the distances between a model and its parents, and how far a comparison is."""

    def __init__(self, session: Session, background: Background, shown: Callable[[], None]) -> None:
        self.session, self.background, self.shown = session, background, shown
        self.figure = "moved"
        self.due = False
        """Whether there is something to compare that was not, since it takes a while."""
        self.running: dict[str, Any] | None = None
        self.error: SurgeryError | None = None
        self._known: tuple[Hashable, dict[str, Values]] | None = None
        self._key: Hashable = None
        self._halted: Hashable = None
        self._stop = threading.Event()
        self._lock = threading.RLock()

    def want(
        self, key: Hashable, graph: ModuleGraph, work: Sequence[Job], vocabulary: Vocabulary, *, asked: bool
    ) -> None:
        """The figures for what `key` stands for, unless they are there or come; unasked if they come soon."""
        with self._lock:
            if key == self._key and (self.running is not None or self._known is not None):
                return
            self._stop.set()
            self.background.forget("shelf-heat")
            self._key, self._known, self.running, self.error = key, None, None, None
            soon = heats.bytes_read(graph, work) <= heats.UNASKED_BYTES and key != self._halted
            self.due = bool(work) and not asked and not soon
            if work and (asked or soon):
                self._start(key, graph, work, vocabulary)
        self.shown()

    def stop(self) -> None:
        """Ends the comparison; it is not begun again unasked."""
        with self._lock:
            if self.running is not None:
                self._halted = self._key
                self._stop.set()

    def values(self) -> Values:
        """The chosen figure, by alias and path; empty where nothing was compared."""
        with self._lock:
            return {} if self._known is None else self._known[1][self.figure]

    def state(self, parents: int) -> dict[str, Any]:
        """`heat` of the shelf's state."""
        with self._lock:
            values = self.values()
            return {
                "figure": self.figure,
                "options": [
                    {"name": name, "title": title, "off": name != "moved" and parents < 2}
                    for name, title in FIGURES.items()
                ],
                "legend": heats.legend(self.figure, values),
                "running": self.running,
                "due": self.due,
                "problem": problem_state(self.error),
            }

    def _start(self, key: Hashable, graph: ModuleGraph, work: Sequence[Job], vocabulary: Vocabulary) -> None:
        self._stop = stop = threading.Event()
        self.running = {"fraction": 0.0, "label": ""}
        told = 0.0

        def progress(fraction: float, label: str) -> None:
            nonlocal told
            if stop.is_set():
                raise Stopped("the comparison was stopped")
            if fraction >= told + _TOLD:
                told = fraction
                self._tell(key, fraction, label)

        def done(found: dict[str, Values]) -> None:
            self._end(key, found, None)

        def failed(error: Exception) -> None:
            self._end(key, None, error)

        self.background.latest(
            "shelf-heat",
            lambda: heats.compared(self.session, graph, work, vocabulary, progress),
            done,
            failed,
        )

    def _tell(self, key: Hashable, fraction: float, label: str) -> None:
        with self._lock:
            if key != self._key:
                return
            self.running = {"fraction": round(fraction, 3), "label": label}
        self.shown()

    def _end(self, key: Hashable, found: dict[str, Values] | None, error: Exception | None) -> None:
        with self._lock:
            if key != self._key:
                return
            self.running, self.due = None, found is None
            self._known = None if found is None else (key, found)
            self.error = None if error is None or isinstance(error, Stopped) else refusal_of(error)
        self.shown()
