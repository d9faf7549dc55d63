"""What hover and inspector say of modules: weight shapes, activations in → out, figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from graph.costs import identity
from graph.nodes import Edge, ModuleGraph, ModuleNode
from graph.rollup import Share
from graph.units import short

MOST_SHAPES = 4


def hover(
    graph: ModuleGraph, node: ModuleNode, share: Share, flow: str, partners: list[str]
) -> dict[str, Any]:
    """The facts of one thing drawn, as protocol.ts has them; `flow` is what `activations` says of it."""
    said = dict(node.attributes)
    head = node.class_name
    if "in_features" in said and "out_features" in said:
        head += f" {said['in_features']} → {said['out_features']}"
    if node.tensors:
        head += f" · {node.tensors[0].dtype}"
    lines = [head]
    if share.parameters:
        shared = f", {short(share.shared)} shared" if share.shared else ""
        lines.append(f"{short(share.owned)} own{shared} · {short(share.size_bytes, 'B')}")
    if flow:
        lines.append(flow)
    if share.macs:
        lines.append(f"{short(share.macs / graph.tokens)} MACs per {graph.unit}")
    if partners:
        lines.append(f"tied with {', '.join(partners)}")
    return {"title": node.path or graph.class_name, "lines": lines, "note": node.opaque}


def selected(graph: ModuleGraph, selection: list[str]) -> list[dict[str, str]]:
    """Rows on the selected modules: of one also class and shapes, of several the figures of all together."""
    if not selection:
        return []
    rows: list[tuple[str, str]] = []
    parameters, macs_per_token = together(graph, selection)
    if len(selection) == 1:
        rows.append(("Class", graph[selection[0]].class_name))
    if parameters or len(selection) > 1:
        rows.append(("Parameters", short(parameters)))
    if len(selection) == 1:
        rows += weights(graph[selection[0]])
        flow = activations(graph, selection).get(selection[0])
        rows += [("Activations", flow)] if flow else []
    if macs_per_token:
        rows.append((f"MACs per {graph.unit}", short(macs_per_token)))
    return [{"label": label, "value": value} for label, value in rows]


def together(graph: ModuleGraph, paths: Collection[str]) -> tuple[int, float]:
    """Parameters and MACs per token at or below any of `paths`: each tensor and each call counts once."""
    chosen = set(paths)
    counts: dict[str, int] = {}
    for node in graph.modules:
        if node.tensors and _within(node.path, chosen):
            for tensor in node.tensors:
                if tensor.kind == "parameter":
                    counts[identity(graph, tensor)] = tensor.count
    macs = sum(call.macs for call in graph.calls if call.macs and _within(call.module, chosen))
    return sum(counts.values()), macs / graph.tokens


def weights(node: ModuleNode) -> list[tuple[str, str]]:
    """Names and shapes of a module's own parameters, where they are few."""
    own = [tensor for tensor in node.tensors if tensor.kind == "parameter"]
    if len(own) > MOST_SHAPES:
        return []
    return [(tensor.path.rpartition(".")[2], _shape(tensor.shape)) for tensor in own]


def activations(graph: ModuleGraph, paths: Collection[str]) -> dict[str, str]:
    """`2 × 8 × 32 → 2 × 8 × 64` for each of `paths` that ran: first tensor in, last out, first call."""
    chosen, found = set(paths), dict[str, str]()
    for call in graph.calls:
        if call.function is None and call.module in chosen and call.inputs and call.outputs:
            found.setdefault(call.module, f"{_shape(call.inputs[0].shape)} → {_shape(call.outputs[0].shape)}")
    spans = [span for span in reversed(graph.spans) if span.module in chosen and span.module not in found]
    if not spans:
        return found
    into, out_of = defaultdict[int, list[Edge]](list), defaultdict[int, list[Edge]](list)
    for edge in graph.edges:
        into[edge.target].append(edge)
        out_of[edge.source].append(edge)
    for span in spans:
        calls = range(span.start, span.stop)
        entering = (edge for call in calls for edge in into[call] if edge.source not in calls)
        leaving = (edge for call in reversed(calls) for edge in out_of[call] if edge.target not in calls)
        first, last = next(entering, None), next(leaving, None)
        if first and last:
            found[span.module] = f"{_shape(first.tensor.shape)} → {_shape(last.tensor.shape)}"
    return found


def _within(path: str, chosen: set[str]) -> bool:
    while path and path not in chosen:
        path = path.rpartition(".")[0]
    return path in chosen


def _shape(sides: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in sides) or "one number"
