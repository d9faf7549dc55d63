"""The states of a history in words, and those that were measured as points of a chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph.costs import costs
from graph.nodes import ModuleGraph
from surgery.evaluate import Figure
from surgery.evaluate.figure import Better
from surgery.fields import Target, Targets
from surgery.history import State
from surgery.operation import Operation

if TYPE_CHECKING:
    from surgery.session import Session


@dataclass(frozen=True)
class Point:
    """A measured state: its size, the main figure with half its interval, and what is measured."""

    id: int
    label: str
    parameters: int
    value: float
    half_width: float
    metric: str
    current: bool
    better: Better = "lower"
    size_bytes: int = 0
    macs_per_token: float | None = None
    kv_bytes_per_token: float | None = None
    latency_ms: float | None = None
    """Of one token, or of one example, where the state was timed: the last of its paces."""
    peak_bytes: int | None = None


def label(state: State) -> str:
    """The state's name, or what the step did, in a few words: `remove layers[3]`."""
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


def points(session: Session) -> list[Point]:
    """The measured states for a chart of size against quality.

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


def _point(
    session: Session, state: State, graph: ModuleGraph, value: float, half_width: float, shown: Figure
) -> Point:
    found, speed = costs(graph), state.speed
    return Point(
        id=state.id,
        label=label(state),
        parameters=found.parameters,
        value=value,
        half_width=half_width,
        metric=f"{shown.name}, {shown.unit}" if shown.unit else shown.name,
        current=state is session.history.current,
        better=shown.better,
        size_bytes=found.size_bytes,
        macs_per_token=found.macs_per_token or None,
        kv_bytes_per_token=found.kv_bytes_per_token or None,
        latency_ms=None if speed is None else 1000 * speed.paces[-1].after_s / speed.paces[-1].items,
        peak_bytes=None if speed is None else speed.peak_bytes[1],
    )
