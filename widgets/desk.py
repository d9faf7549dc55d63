"""What lies on the desk: selection, opened block, the operation being prepared. No widgets here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graph.nodes import ModuleGraph
from surgery.charts import Chart
from surgery.errors import SurgeryError
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.registry import operation_named
from widgets.planned import Planned


@dataclass
class Draft:
    """An operation being prepared: its values as the form has them, and what its dry run said.

    While `waiting`, preview and error are those of other values than the form shows.
    """

    operation: str
    values: dict[str, Any]
    preview: Preview | None = None
    error: SurgeryError | None = None
    waiting: bool = True
    asked: int = 0
    chart: Chart | None = None
    """What helps to choose the values; of other ones until the newest is drawn."""

    suiting: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of fields with choices those that suit the targets; of other ones until it is known."""

    reach: Mapping[str, int] = field(default_factory=dict)
    """How far sliders go on this model, where the operation's own bounds are none for a slider."""

    @property
    def can_apply(self) -> bool:
        """Whether the dry run of just these values was made and nothing was refused."""
        return self.preview is not None and self.error is None and not self.waiting

    def ask(self) -> int:
        """A new dry run is on its way; its number."""
        self.waiting = True
        self.asked += 1
        return self.asked

    def settle(self, preview: Preview | None, error: SurgeryError | None) -> None:
        """What the dry run said; one that is still on its way counts no longer."""
        self.preview, self.error, self.waiting = preview, error, False
        self.asked += 1

    def step(self) -> Operation:
        """The operation these values make; SurgeryError if they make none."""
        return operation_named(self.operation).from_fields(dict(self.values))


@dataclass
class Desk:
    """The studio's own state, all that is not the session's."""

    model: str = ""
    """What is opened, told from what was opened before in the same studio."""
    search: str = ""
    selection: list[str] = field(default_factory=list)
    opened: str | None = None
    draft: Draft | None = None
    alert: SurgeryError | None = None
    planned: Planned = field(default_factory=Planned)
    colour: str | None = None
    """What the graph is coloured by, of `widgets.colouring.choices`; None for what was measured last."""
    shelf: bool = False
    """Whether the shelf is there while it has no parents."""
    compared: int | None = None
    """The state that the current one is compared with, by id."""
    saved: dict[str, list[str]] = field(default_factory=dict)
    """Selections that were kept, by name: origins of modules."""

    def follow(self, before: ModuleGraph, graph: ModuleGraph) -> None:
        """Selection and opened block stay with their modules, whatever these are called now."""

        def where(path: str) -> str | None:
            """What was not there before was named in this state already."""
            if path in before:
                return graph.by_origin.get(before[path].origin)
            return path if path in graph else None

        kept = map(where, self.selection)
        self.selection = list(dict.fromkeys(path for path in kept if path is not None))
        self.opened = None if self.opened is None else where(self.opened)

    def select(self, paths: list[str], mode: str, graph: ModuleGraph) -> None:
        """`set`, `toggle` or `range`, as the panels send it; the order of selecting is kept."""
        known = [path for path in paths if path in graph]
        if mode == "toggle":
            kept = [path for path in self.selection if path not in known]
            self.selection = kept + [path for path in known if path not in self.selection]
        else:
            self.selection = list(dict.fromkeys(known))


def is_numbered(graph: ModuleGraph, path: str) -> bool:
    """Whether the module is a container of which an index means a child (see `graph.select`)."""
    node = graph[path]
    return node.container and all(name.isdigit() for name in node.children)
