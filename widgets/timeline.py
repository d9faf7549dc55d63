"""The history panel, and the size-against-metric chart over the same states."""

from __future__ import annotations

from typing import Any

from graph.costs import costs
from surgery.history import State
from surgery.script import python_of, python_of_all
from surgery.session import Session
from surgery.show import short


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
    text = python_of(state.step).removeprefix("s.")
    name, _, rest = text.partition("(")
    first = rest.rstrip(")").partition(", ")[0].strip('"')
    return f"{name} {first.removeprefix('model.').removeprefix('transformer.')}"


def metric(state: State) -> str | None:
    """Perplexity if it was measured in this state, else agreement, else None."""
    if state.report is None:
        return None
    if state.report.perplexity is not None:
        return f"{state.report.perplexity.after:.2f}"
    return f"{state.report.agreement.value:.1f} %"


def points(session: Session) -> list[dict[str, Any]]:
    """The measured states for the chart: parameters, perplexity (or agreement), interval and label."""
    found = []
    for state in session.history:
        report = state.report
        if report is None or state.graph is None:
            continue
        change = report.perplexity
        value = change.after if change else report.agreement.value
        interval = change.interval if change else report.agreement.interval
        found.append(
            {
                "id": state.id,
                "label": label(state),
                "parameters": costs(state.graph).parameters,
                "value": value,
                "half_width": interval.half_width if interval else 0.0,
                "metric": "perplexity" if change else "agreement, %",
                "current": state is session.history.current,
            }
        )
    return found
