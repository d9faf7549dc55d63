"""The history panel, and the size-against-metric chart over the same states."""

from __future__ import annotations

from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from graph.units import short
from surgery.fields import Target, Targets
from surgery.history import State
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
                "parameters": short(costs(state.graph).parameters) if state.graph else "",
                "metric": metric(state),
                "current": state is current,
                "ahead": state not in line,
            }
            for state in session.history
        ],
        "python": python_of_all(session.steps),
    }


def label(state: State) -> str:
    """What the step did, in a few words: `remove layers[3]`."""
    if state.step is None:
        return "Original"
    words = [state.step.name]
    for spec in state.step.specs:
        value = getattr(state.step, spec.name)
        if isinstance(value, Targets | Target):
            place = value.select.removeprefix("model.").removeprefix("transformer.")
            words.append(f"to {place}" if isinstance(value, Target) else place)
        elif value != spec.default and spec.is_asked and spec.kind != "parents":
            words.append(f"{spec.name} {value}")
    return " ".join(words)


def metric(state: State) -> str | None:
    """Perplexity if it was measured in this state, else agreement, else None."""
    if state.report is None:
        return None
    if state.report.perplexity is not None:
        return f"{state.report.perplexity.after:.2f}"
    return f"{state.report.agreement.value:.1f} %"


def points(session: Session) -> list[dict[str, Any]]:
    """The measured states for the chart: parameters, perplexity (or agreement), interval and label.

    The original is one of them as soon as any state was compared with it.
    """
    found = []
    latest = next((state.report for state in reversed([*session.history]) if state.report), None)
    base = session.history.base
    if latest is not None and base.report is None and base.graph is not None:
        before = latest.perplexity.before if latest.perplexity else 100.0
        found.append(_point(session, base, base.graph, before, 0.0, latest.perplexity is not None))
    for state in session.history:
        report = state.report
        if report is None or state.graph is None:
            continue
        change = report.perplexity
        value = change.after if change else report.agreement.value
        interval = change.interval if change else report.agreement.interval
        width = interval.half_width if interval else 0.0
        found.append(_point(session, state, state.graph, value, width, change is not None))
    return found


def _point(
    session: Session, state: State, graph: ModuleGraph, value: float, half_width: float, perplexity: bool
) -> dict[str, Any]:
    return {
        "id": state.id,
        "label": label(state),
        "parameters": costs(graph).parameters,
        "value": value,
        "half_width": half_width,
        "metric": "perplexity" if perplexity else "agreement, %",
        "current": state is session.history.current,
    }
