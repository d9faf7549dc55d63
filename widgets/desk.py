"""What lies on the desk: selection, opened block, the operation being prepared. No widgets here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.registry import operation_named


@dataclass
class Draft:
    """An operation being prepared: its values as the form has them, and what its dry run said."""

    operation: str
    values: dict[str, Any]
    preview: Preview | None = None
    error: SurgeryError | None = None
    waiting: bool = True

    def step(self) -> Operation:
        """The operation these values make; SurgeryError if they make none."""
        return operation_named(self.operation).from_fields(dict(self.values))


@dataclass
class Desk:
    """The studio's own state, all that is not the session's."""

    selection: list[str] = field(default_factory=list)
    opened: str | None = None
    draft: Draft | None = None
    alert: SurgeryError | None = None

    def keep_known(self, graph: ModuleGraph) -> None:
        """Drops from selection and opened block what the graph does not have any longer."""
        self.selection = [path for path in self.selection if path in graph]
        if self.opened is not None and self.opened not in graph:
            self.opened = None

    def select(self, paths: list[str], mode: str, graph: ModuleGraph) -> None:
        """`set`, `toggle` or `range`, as the panels send it; the order of selecting is kept."""
        known = [path for path in paths if path in graph]
        if mode == "toggle":
            kept = [path for path in self.selection if path not in known]
            self.selection = kept + [path for path in known if path not in self.selection]
        else:
            self.selection = list(dict.fromkeys(known))


def selector_of(paths: list[str], graph: ModuleGraph) -> str:
    """A short selector of exactly these paths: neighbours of one container become a slice."""
    by_parent: dict[str, list[int]] = {}
    others: list[str] = []
    for path in paths:
        parent, _, name = path.rpartition(".")
        if name.isdigit() and parent in graph and graph[parent].container:
            by_parent.setdefault(parent, []).append(int(name))
        else:
            others.append(path)
    parts = [f"{parent}{run}" for parent, indices in by_parent.items() for run in _slices(sorted(indices))]
    return ", ".join(parts + others)


def _slices(indices: list[int]) -> list[str]:
    found: list[str] = []
    start = previous = indices[0]
    for index in [*indices[1:], -1]:
        if index != previous + 1:
            found.append(f"[{start}]" if start == previous else f"[{start}:{previous + 1}]")
            start = index
        previous = index
    return found
