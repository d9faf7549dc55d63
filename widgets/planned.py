"""Edits that are planned and not made, in the order in which they are to be made. No widgets here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.show.states import words
from surgery.together import followed
from widgets.figures import change_of


@dataclass
class Entry:
    """A planned step; `graph` is the state that its paths are of. `error` says why it cannot be made."""

    id: int
    step: Operation
    graph: ModuleGraph
    before: Preview | None = None
    after: Preview | None = None
    error: SurgeryError | None = None


@dataclass
class Planned:
    """The entries in the order in which they are to be made; `waiting` while they are being costed."""

    entries: list[Entry] = field(default_factory=list)
    waiting: bool = False
    made: int = 0

    @property
    def can_apply(self) -> bool:
        """Whether each was costed and none refused."""
        return bool(self.entries) and not self.waiting and not any(entry.error for entry in self.entries)

    def in_state(self, graph: ModuleGraph) -> list[tuple[Entry, Operation | None]]:
        """Each with its step as it is written in this state; None where its modules are gone."""
        return [(entry, _in_state(entry, graph)) for entry in self.entries]


def _in_state(entry: Entry, graph: ModuleGraph) -> Operation | None:
    if entry.graph is graph:
        return entry.step
    now = graph.by_origin
    try:
        return followed(entry.step, entry.graph, lambda path: now[entry.graph[path].origin], graph)
    except KeyError:
        return None


def pending_state(planned: Planned) -> dict[str, Any] | None:
    """The list as the inspector shows it; None where nothing is planned."""
    if not planned.entries:
        return None
    last = next((entry.after for entry in reversed(planned.entries) if entry.after), None)
    return {
        "rows": [
            {
                "id": entry.id,
                "label": words(entry.step),
                "operation": entry.step.name,
                "change": _change(entry.before, entry.after),
                "error": entry.error.sentence(with_hint=True) if entry.error else None,
            }
            for entry in planned.entries
        ],
        "together": _change(None, last),
        "waiting": planned.waiting,
        "can_apply": planned.can_apply,
    }


def _change(before: Preview | None, after: Preview | None) -> dict[str, str] | None:
    """The change of the parameters that `after` brings, beyond that of `before`."""
    if after is None:
        return None
    start = before.after if before is not None else after.before
    return change_of(start.parameters, after.after.parameters)
