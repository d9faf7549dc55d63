"""The top bar: name, figures as before → after, device, what can be undone and where to save."""

from __future__ import annotations

from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from surgery.evaluate import resolve
from surgery.session import Session
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
) -> dict[str, Any]:
    """The top bar state of protocol.ts.

    `begun`: the person has found a first thing to do; `left`: what can be restored; `shelf`: it is there.
    """
    base, state = session.history.base, session.history.current
    untouched = not begun and state is base and not base.children and state.report is None
    return {
        "name": "Demonstration decoder" if session.opened.name == "demo" else session.opened.name,
        "detail": _detail(session, graph),
        "figures": figures(costs(base.graph or graph), costs(graph), state.report),
        "shelf": shelf,
        "device": str(resolve("auto")),
        "evaluating": errands.evaluating,
        "saving": errands.saving,
        "can_undo": state.parent is not None,
        "can_redo": session.history.can_redo,
        "budget_s": errands.budget_s,
        "notice": errands.notice,
        "restore": left,
        "save": {"model_path": "out", "script_path": "edits.surgery.json"},
        "first_minute": TO_TRY if untouched and not left and strips(graph) else [],
    }


def _detail(session: Session, graph: ModuleGraph) -> str:
    family = session.patient.model_type
    kind = family.capitalize() if family else graph.class_name
    parts = [kind if kind != session.opened.name else ""]
    depth = getattr(session.patient.config, "num_hidden_layers", None)
    if isinstance(depth, int):
        parts.append(f"{depth} blocks")
    # From the graph: the model itself may be under the knife of another thread.
    parts.append(next((tensor.dtype for node in graph.modules for tensor in node.tensors), ""))
    if session.is_skeleton:
        parts.append("no weights")
    return " · ".join(part for part in parts if part)
