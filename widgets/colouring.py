"""What the graph can be coloured by: what was measured of the state, and what its structure says."""

from __future__ import annotations

from graph.flow import overview
from graph.nodes import ModuleGraph
from graph.rollup import rollup
from graph.units import short
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


def scores(name: str | None, graph: ModuleGraph, state: State) -> Scores | None:
    """What the graph is coloured by, of that or of what was measured of the state; None for no colours."""
    if name in ("parameters", "macs"):
        return _structural(name, graph)
    if name == "layers":
        return _layers(state.layers, graph)
    return None if name == "none" else costs(state.sweep)


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
