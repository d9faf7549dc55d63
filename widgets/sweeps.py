"""What each block would cost: a sweep over the strips, started on the canvas, beside the kernel's thread."""

from __future__ import annotations

from typing import Any

from graph.flow import blocks
from graph.naming import selector_of
from graph.nodes import ModuleGraph
from surgery.evaluate.sweep import SweepReport
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.session import Session
from surgery.show.states import words
from widgets.errands import Errands, Notice, allowed_s

OFFERED = ("remove", "skip", "tie", "sparsify")
"""Operations that say of a block what it is worth; `tie` is tried on every neighbouring pair."""


class Sweeps:
    """Sweeps of a session over the blocks of its strips; the bar and Stop are those of `errands`."""

    def __init__(self, session: Session, errands: Errands) -> None:
        self.session, self.errands = session, errands
        self.operation, self.budget_s = OFFERED[0], 10.0

    def asked(self, graph: ModuleGraph) -> dict[str, Any] | None:
        """`ask` of the canvas state of protocol.ts; None where there is nothing to ask about."""
        if self.session.is_skeleton or not blocks(graph):
            return None
        best = self.best()
        return {
            "operations": [{"name": name, "title": operation_named(name).title} for name in OFFERED],
            "operation": self.operation,
            "budget_s": self.budget_s,
            "running": self.errands.measuring == "sweep",
            "best": None if best is None else words(best),
        }

    def best(self) -> Operation | None:
        """The step that cost least in the last sweep of the current state."""
        report = self.session.history.current.sweep
        return report.best(1)[0] if report is not None and report.measured else None

    def ask(self, message: dict[str, Any]) -> None:
        """Starts the sweep that was asked for on the canvas, on what is drawn now."""
        operation, budget_s = str(message.get("operation", "")), float(message.get("budget_s", 10.0))
        self.start(operation, budget_s, self.session.graph)

    def start(self, operation: str, budget_s: float, graph: ModuleGraph) -> None:
        """Starts `session.sweep` over all blocks; what is being measured is stopped for it."""
        found = blocks(graph)
        if operation not in OFFERED or not found:
            return
        self.operation, self.budget_s = operation, allowed_s(budget_s)
        select = selector_of(found, graph)
        self.errands.measure(
            "sweep",
            f"What would it cost to {operation} each",
            lambda stop, tell: self.session.sweep(
                operation,
                select,
                budget_s=self.budget_s,
                device=self.errands.device,
                tasks=self.errands.tasks,
                progress=tell,
                stop=stop,
            ),
            _said,
        )


def _said(report: SweepReport) -> Notice | None:
    """That it was stopped before all were measured."""
    return {"text": report.notes[-1], "tone": "good", "hint": None} if report.stopped else None
