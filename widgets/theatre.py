"""What the parts of the studio share: the session, what lies on the desk, and how to redraw."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, RLock
from typing import TypeVar

from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.session import Session
from widgets.background import Background
from widgets.desk import Desk
from widgets.errands import Errands, notice_of

PATIENCE_S = 1.0
"""How long a gesture waits for what it asked for, before a label says that it takes longer."""

Result = TypeVar("Result")


class Theatre:
    """A session under the studio's hands; `shown` draws all panels, `shown_on_top` the top bar alone.

    `followed` is called when code in a cell, or another studio, has changed the session.

    `drawing` is held while desk or panels change: what runs beside the kernel's thread shows itself too.
    """

    def __init__(
        self,
        session: Session,
        shown: Callable[[], None],
        shown_on_top: Callable[[], None],
        followed: Callable[[], None],
    ) -> None:
        self.session, self.background = session, Background()
        self.desk = Desk(model=f"{session.opened.name} {id(session)}")
        self.shown, self.shown_on_top, self.drawing = shown, shown_on_top, RLock()
        self.errands = Errands(session, self.background, shown, shown_on_top)
        self._seen: ModuleGraph | None = None
        self._followed = followed
        session.history.watchers.add(self._noticed)

    def leave(self) -> None:
        """The session goes on without this studio."""
        self.session.history.watchers.remove(self._noticed)
        self.errands.stop()

    def _noticed(self) -> None:
        """What was not done by a gesture is shown too, once it is whole; of many changes the last."""
        if not self.background.is_here:  # a gesture shows itself
            self.background.latest(
                "follow",
                lambda: self.session.graph,  # it is free when what changed it is done
                lambda _: self._followed(),
                lambda error: self.errands.say(notice_of(error)),
            )

    def carry(
        self,
        label: str,
        work: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Does what changes the session beside the kernel's thread: one at a time, or it is refused.

        It waits a moment for it: most is done by then. What takes longer goes on with its label shown, and
        the kernel answers meanwhile. Another change was meant for a state that is being left.
        """
        if not self.background.wait("session", 0):
            self.errands.say(
                notice_of(SurgeryError("the last edit is still being made", hint="again, once it is"))
            )
            return
        told = Lock()
        state = {"ended": False, "shown": False}

        def end() -> None:
            with told:
                state["ended"] = True
                if state["shown"]:
                    self.errands.idle(label)

        def ended(result: Result) -> None:
            end()
            done(result)

        def broke(error: Exception) -> None:
            end()
            failed(error)

        self.background.each("session", work, ended, broke)
        if not self.background.wait("session", PATIENCE_S):
            with told:
                if not state["ended"]:
                    state["shown"] = True
                    self.errands.busy(label)

    @property
    def graph(self) -> ModuleGraph:
        """The current state's graph, to which the desk follows; it waits for the session's lock only where it
        was never traced.
        """
        state = self.session.history.current
        known = state.graph if state.tracing is self.session.tracing else None
        graph = known or self.session.graph
        with self.drawing:
            if self._seen is not None and self._seen is not graph:
                self.desk.follow(self._seen, graph)
            self._seen = graph
        return graph
