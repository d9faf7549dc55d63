"""How a session is shown: in the studio, in a notebook, as a picture and as a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from surgery.advising import Advising
from surgery.asking import Asking
from surgery.planning import Planning
from surgery.simplifying import Simplifying

if TYPE_CHECKING:
    from surgery.evaluate.bench import Asked
    from surgery.picture import Picture
    from surgery.session import Session


class Showing(Advising, Asking, Planning, Simplifying):
    """The part of a session that people look at."""

    def view(self, tasks: Asked = None) -> Any:
        """The studio on this session, for a notebook cell; `tasks` are what it measures, as in `evaluate`."""
        from surgery.frontends import frontend

        return frontend("studio")(self, tasks=tasks)

    def picture(self, open: str | None = None, *, dark: bool = False) -> Picture:
        """The graph as SVG, drawn as in the studio: `s.picture("model.layers.3").write("graph.svg")`.

        `open` is a module to show from inside, below the rest. Blocks are coloured by the last sweep of this
        state; what edits made or changed is marked. It loads no font and no file, and the same graph gives
        the same bytes. Raises SurgeryError for a selector of no module or of several.
        """
        from surgery.picture import DARK, LIGHT
        from surgery.picture.states import picture_of_state

        session = cast("Session", self)
        with self.lock:
            return picture_of_state(session, session.history.current, open, DARK if dark else LIGHT)

    def write_report(self, path: str | Path, open: str | None = None) -> Path:
        """Writes what was done and what it cost as one HTML file, whole or not at all; returns the path.

        Pictures before and after, the edits in words and as the script, every figure with its interval, the
        states that were measured, the last sweep, and on what all that hangs: data, seeds, machine,
        fingerprints. Only what was measured is in it: nothing is evaluated for it. It reads and prints
        without a network and runs no script. `open` is a module to show from inside, by default the first
        block that has another structure than before.
        """
        from surgery.report import report_html
        from surgery.whole_file import write_whole

        with self.lock:  # what it says is of one state
            html = report_html(cast("Session", self), open)
        return write_whole(path, html, "the report")

    def _repr_html_(self) -> str:
        from surgery.show.html import tree_html

        session = cast("Session", self)
        return tree_html(session.graph, session.note)
