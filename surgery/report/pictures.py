"""The model before and after, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.flow import overview
from graph.nodes import ModuleGraph
from surgery.picture import PAGE
from surgery.picture.states import one_path, picture_of_state
from surgery.report.markup import figure, note, section

if TYPE_CHECKING:
    from surgery.session import Session


def pictures(session: Session, opened: str | None) -> str:
    """A picture of the model as it was and one as it is; of an unedited model one."""
    graph, history = session.graph, session.history
    base = history.base.graph
    said = note(session.note or "")
    if not session.steps or base is None:
        drawn = picture_of_state(session, history.current, opened, PAGE, title="The model")
        return section("The model", figure("The model", "as it was opened", drawn), said)
    before = picture_of_state(session, history.base, None, PAGE, title="Before", result=graph)
    shown = first_changed(graph, base) if opened is None else one_path(opened, graph)
    after = picture_of_state(session, history.current, shown, PAGE, title="After")
    inside = "" if shown is None else f"and {shown} from inside"
    return section(
        "The model", figure("Before", "as it was opened", before), figure("After", inside, after), said
    )


def first_changed(graph: ModuleGraph, base: ModuleGraph) -> str | None:
    """The first block of a strip that has another structure than before; None where none has."""
    before = {node.origin: node.structure for node in base.modules}
    for node in overview(graph).nodes:
        for path in node.paths:
            now = graph[path]
            if before.get(now.origin, now.structure) != now.structure:
                return path
    return None
