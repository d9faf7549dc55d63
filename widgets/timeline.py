"""The history panel, and the size-against-metric chart over the same states."""

from __future__ import annotations

from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from graph.units import short
from surgery.evaluate import Figure
from surgery.fields import Target, Targets
from surgery.history import State
from surgery.operation import Operation
from surgery.script import python_of_all
from surgery.session import Session


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


def label(state: State) -> str:
    """What the step did, in a few words: `remove layers[3]`."""
    if state.name:
        return state.name
    return "Original" if state.step is None else words(state.step)


def words(step: Operation) -> str:
    """What a step does, in a few words."""
    said = [step.name]
    for spec in step.specs:
        value = getattr(step, spec.name)
        if isinstance(value, Targets | Target):
            place = value.select.removeprefix("model.").removeprefix("transformer.")
            said.append(f"to {place}" if isinstance(value, Target) else place)
        elif value != spec.default and spec.is_asked and spec.kind != "parents":
            said.append(f"{spec.name} {value}")
    return " ".join(said)


def metric(state: State) -> str | None:
    """The main figure that was measured in this state, such as the perplexity; else None."""
    figure = state.report.main if state.report else None
    if figure is None:
        return None
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{figure.after:.{figure.decimals}f}{unit}"


def points(session: Session) -> list[dict[str, Any]]:
    """The measured states for the chart: parameters, the main figure, interval and label.

    Only states of which the figure measured last was measured. The original is one of them as soon as any
    state was compared with it.
    """
    latest = next((state.report for state in reversed([*session.history]) if state.report), None)
    shown, base = latest.main if latest else None, session.history.base
    if shown is None:
        return []
    found = []
    if base.graph is not None and not (base.report and shown.name in base.report):
        before = shown.before if shown.before is not None else shown.perfect
        found.append(_point(session, base, base.graph, before or 0.0, 0.0, shown))
    for state in session.history:
        figure = state.report.get(shown.name) if state.report else None
        if figure is None or state.graph is None:
            continue
        found.append(_point(session, state, state.graph, figure.after, figure.half_width, shown))
    return found


def _sizes(graph: ModuleGraph) -> dict[str, float | None]:
    """What a state costs, by the names of the chart's axis."""
    found = costs(graph)
    return {
        "parameters": found.parameters,
        "bytes": found.size_bytes,
        "macs": found.macs_per_token or None,
        "cache": found.kv_bytes_per_token or None,
    }


def _point(
    session: Session, state: State, graph: ModuleGraph, value: float, half_width: float, shown: Figure
) -> dict[str, Any]:
    return {
        "id": state.id,
        "label": label(state),
        **_sizes(graph),
        "value": value,
        "half_width": half_width,
        "better": shown.better,
        "metric": f"{shown.name}, {shown.unit}" if shown.unit else shown.name,
        "current": state is session.history.current,
    }
