"""What the parts of the studio share: the session, what lies on the desk, and how to redraw."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from graph.nodes import ModuleGraph
from surgery.session import Session
from widgets.background import Background
from widgets.desk import Desk
from widgets.errands import Errands


class Theatre:
    """A session under the studio's hands; `shown` draws all panels, `shown_on_top` the top bar alone.

    `drawing` is held while desk or panels change: what runs beside the kernel's thread shows itself too.
    """

    def __init__(self, session: Session, shown: Callable[[], None], shown_on_top: Callable[[], None]) -> None:
        self.session, self.desk, self.background = session, Desk(), Background()
        self.shown, self.shown_on_top, self.drawing = shown, shown_on_top, RLock()
        self.errands = Errands(session, self.background, shown, shown_on_top)

    @property
    def graph(self) -> ModuleGraph:
        """The current state's graph; it waits for the session's lock only where it was never traced."""
        state = self.session.history.current
        known = state.graph if state.tracing is self.session.tracing else None
        return known or self.session.graph
