"""What is selected and what is opened: by pointer, by keys, by the search, and by what is alike."""

from __future__ import annotations

from collections.abc import Callable

from graph.similar import KINDS, similar
from surgery.evaluate.sweep import paths_of
from surgery.operation import Operation
from widgets.panels import Message
from widgets.scene import strips
from widgets.search import find
from widgets.theatre import Theatre


class Selecting:
    """Selections of a studio; `selected` is told after each change, and draws."""

    def __init__(self, theatre: Theatre, selected: Callable[[], None]) -> None:
        self.theatre, self.desk, self.selected = theatre, theatre.desk, selected

    def select(self, message: Message) -> None:
        """Paths that were pointed at: `mode` says what becomes of those selected before."""
        paths = [path for path in message.get("paths", []) if isinstance(path, str)]
        self.desk.select(paths, str(message.get("mode", "set")), self.theatre.graph)
        self.selected()

    def open(self, message: Message) -> None:
        """Shows the inside of a module, or of none."""
        path, graph = message.get("path"), self.theatre.graph
        if path is None or path in strips(graph):  # the overview shows a strip's blocks already
            self.desk.opened = None
        elif path in graph and graph[path].children:
            self.desk.opened = path
        self.theatre.shown()

    def search(self, message: Message) -> None:
        """Typing shows what matches; only `submit` (Enter) selects it."""
        self.desk.search = str(message.get("text", "")).strip()
        found = find(self.desk.search, self.theatre.graph).paths
        if message.get("submit") is True and found:
            self.desk.selection = list(found)
            self.selected()
        else:
            self.theatre.shown()

    def similar(self, kind: str) -> None:
        """Selects also what is like the selection; what that means is one of `graph.similar.KINDS`."""
        if kind in KINDS:
            graph = self.theatre.graph
            like = similar(graph, self.desk.selection, kind)
            self.desk.select([*self.desk.selection, *like], "set", graph)
            self.selected()

    def invert(self) -> None:
        """Selects the other modules of the same containers instead."""
        graph, chosen = self.theatre.graph, set(self.desk.selection)
        around = dict.fromkeys(path.rpartition(".")[0] for path in self.desk.selection if path)
        names = ((parent, name) for parent in around if parent in graph for name in graph[parent].children)
        paths = [f"{parent}.{name}" if parent else name for parent, name in names]
        self.desk.select([path for path in paths if path not in chosen], "set", graph)
        self.selected()

    def clear(self) -> None:
        """Selects nothing."""
        self.desk.selection = []
        self.selected()

    def of_step(self, step: Operation) -> None:
        """Selects what a step is about; the caller draws."""
        self.desk.select(list(paths_of(step)), "set", self.theatre.graph)

    # Selections that are kept by a name ----------------------------------------------------------

    def keep(self, message: Message) -> None:
        """Keeps the selection under a name; one of that name is replaced."""
        name, graph = str(message.get("name", "")).strip(), self.theatre.graph
        if name and self.desk.selection:
            self.desk.saved[name] = [graph[path].origin for path in self.desk.selection]
            self.theatre.shown()

    def recall(self, message: Message) -> None:
        """Selects what was kept, as far as it is still there."""
        origins = self.desk.saved.get(str(message.get("name", "")))
        if origins is not None:
            wanted = set(origins)
            found = [node.path for node in self.theatre.graph.modules if node.origin in wanted]
            self.desk.select(found, "set", self.theatre.graph)
            self.selected()

    def forget(self, message: Message) -> None:
        """Keeps it no longer."""
        self.desk.saved.pop(str(message.get("name", "")), None)
        self.theatre.shown()
