"""The picture of a state of a session, with what its history knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.evaluate.sweep.colours import costs
from surgery.picture import Picture, picture_of
from surgery.picture.inks import Inks
from surgery.picture.scene import Shown
from surgery.selecting import listed, resolve
from surgery.show.about import detail_of, name_of

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.session import Session


def picture_of_state(
    session: Session,
    state: State,
    opened: str | None,
    inks: Inks,
    *,
    title: str | None = None,
    result: ModuleGraph | None = None,
) -> Picture:
    """The state's graph, coloured by its sweep, beside the model as it was opened.

    With a `result`, the graph of a later state, what is not in that is marked instead. A state that is not
    the current one must have been traced.
    """
    graph = state.graph if state.graph and state is not session.history.current else session.graph
    scores = costs(state.sweep)
    return picture_of(
        graph,
        title=name_of(session) if title is None else title,
        detail=detail_of(session, graph) if title is None else "",
        opened=None if opened is None else one_path(opened, graph),
        shown=Shown(scores.parts if scores else {}, session.history.base.graph, result),
        legend=scores.legend if scores else None,
        inks=inks,
    )


def one_path(select: str, graph: ModuleGraph) -> str:
    """The path of the one module that `select` gives; SurgeryError where that is none or several.

    A path is one whatever it is made of, also where no selector could be written for it.
    """
    if select in graph:
        return select
    paths = resolve(select, graph)
    if len(paths) > 1:
        raise SurgeryError(
            "one module can be opened in a picture",
            path=select,
            got=f"{len(paths)}: {listed(paths)}",
            hint=f"`{paths[0]}`",
        )
    return paths[0]
