"""The top bar: name, figures as before → after, device, what can be undone and where to save."""

from __future__ import annotations

from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from surgery.evaluate import resolve
from surgery.session import Session
from surgery.show.about import detail_of, name_of
from widgets.errands import Errands
from widgets.figures import figures
from widgets.scene import strips

TO_TRY = [
    "Click a block in the strip, press P, read the dry run, then Apply.",
    "Ctrl-click two blocks and press T: they share their weights.",
    "Press E: what did that cost?",
]


def topbar(
    session: Session,
    graph: ModuleGraph,
    errands: Errands,
    *,
    begun: bool,
    left: dict[str, Any] | None = None,
    shelf: bool = False,
    bench: bool = False,
) -> dict[str, Any]:
    """The top bar state of protocol.ts.

    `begun`: the person has found a first thing to do; `left`: what can be restored; `shelf` and `bench`:
    those of parents and of prompts are there.
    """
    base, state = session.history.base, session.history.current
    untouched = not begun and state is base and not base.children and state.report is None
    return {
        "name": name_of(session),
        "detail": detail_of(session, graph),
        "figures": figures(costs(base.graph or graph), costs(graph), state.report),
        "shelf": shelf,
        "bench": bench,
        "device": str(resolve(errands.device)),
        "evaluating": errands.evaluating,
        "saving": errands.saving,
        "can_undo": state.parent is not None,
        "can_redo": session.history.can_redo,
        "budget_s": errands.budget_s,
        "notice": errands.notice,
        "restore": left,
        "save": {
            "model_path": "out",
            "script_path": "edits.surgery.json",
            "report_path": "report.html",
            "picture_path": "model.svg",
        },
        "first_minute": (TO_TRY[:2] if session.is_skeleton else TO_TRY)
        if untouched and not left and strips(graph)
        else [],
    }
