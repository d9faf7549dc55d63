"""The history panel, and the size-against-metric chart over the same states."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from graph.costs import costs
from graph.units import short
from surgery.history import State
from surgery.script import python_of_all
from surgery.session import Session
from surgery.show.states import label, metric, words
from surgery.show.states import points as measured_points


def timeline(session: Session) -> dict[str, Any]:
    """The history state of protocol.ts: every state with its parameters and, if measured, the metric."""
    current = session.history.current
    line = current.lineage()
    return {
        "states": [
            {
                "id": str(state.id),
                "parent": None if state.parent is None else str(state.parent.id),
                "label": label(state),
                "name": state.name,
                "step": words(state.step) if state.step else "Original",
                "parameters": short(costs(state.graph).parameters) if state.graph else "",
                "metric": metric(state),
                "value": _value(state),
                "current": state is current,
                "ahead": state not in line,
            }
            for state in session.history
        ],
        "python": python_of_all(session.steps),
    }


def _value(state: State) -> float | None:
    """The main figure as a number, for the line beside the tree."""
    figure = state.report.main if state.report else None
    return None if figure is None else figure.after


def points(session: Session) -> list[dict[str, Any]]:
    """The measured states for the chart: what they cost, the main figure, interval and label."""
    return [asdict(point) for point in measured_points(session)]
