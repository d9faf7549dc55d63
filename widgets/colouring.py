"""What the graph can be coloured by: what was measured of the state, and what its structure says."""

from __future__ import annotations

from dataclasses import replace

from graph.flow import overview
from graph.nodes import ModuleGraph
from graph.rollup import rollup
from graph.units import short
from surgery.advise import Advice, adviser_named
from surgery.evaluate import Report
from surgery.evaluate.sweep.colours import costs
from surgery.history import State
from surgery.scores import Scores

TITLES = {
    "cost": "cost of an edit",
    "layers": "layer difference",
    "parameters": "parameters",
    "macs": "MACs",
    "none": "nothing",
}
"""By the name of a choice; without one what was measured last is shown."""

ADVICE = "advice:"
"""What the name of an adviser begins with as a choice."""


def choices(chosen: str | None, state: State) -> dict[str, str]:
    """Titles by name of all there is to choose: those above, and the advisers that were asked of the state.

    One that is `chosen` is among them even where it was not.
    """
    asked = {f"{ADVICE}{name}": advice.called for name, advice in state.advice.items()}
    if chosen is not None and chosen.startswith(ADVICE) and chosen not in asked:
        asked[chosen] = adviser_named(chosen.removeprefix(ADVICE)).called()
    return TITLES | asked


def scores(name: str | None, graph: ModuleGraph, state: State) -> Scores | None:
    """What the graph is coloured by, of that or of what was measured of the state; None for no colours."""
    if name in ("parameters", "macs"):
        return _structural(name, graph)
    if name == "layers":
        return _layers(state.layers, graph)
    if name is not None and name.startswith(ADVICE):
        return _advice(state.advice.get(name.removeprefix(ADVICE)), graph)
    return None if name == "none" else costs(state.sweep)


def line(name: str | None, path: str, state: State) -> list[str]:
    """What the adviser that colours the graph says of a path: `block influence: 0.12`."""
    advice = state.advice.get((name or "").removeprefix(ADVICE)) if (name or "").startswith(ADVICE) else None
    values = {} if advice is None else advice.values
    return [f"{advice.called}: {advice.text(values[path])}"] if advice and path in values else []


def _advice(advice: Advice | None, graph: ModuleGraph) -> Scores | None:
    if advice is None:
        return None
    found = advice.scores
    values = {path: value for path, value in found.values.items() if path in graph}
    return replace(found, values=values) if values else None


def _structural(name: str, graph: ModuleGraph) -> Scores | None:
    shares = rollup(graph)
    drawn = overview(graph).paths
    if name == "parameters":
        counts = {path: float(shares[path].parameters) for path in drawn}
        return Scores("parameters", counts, short) if counts else None
    macs = {path: shares[path].macs / graph.tokens for path in drawn}
    return Scores(f"MACs per {graph.unit}", macs, short) if any(macs.values()) else None


def _layers(report: Report | None, graph: ModuleGraph) -> Scores | None:
    """One less the cosine, at the paths that the blocks have now."""
    if report is None:
        return None
    now = graph.by_origin
    found = {now[figure.name]: 1 - figure.after for figure in report.results if figure.name in now}
    return Scores("1 − cosine with the original", found, lambda value: f"{value:.3g}") if found else None
