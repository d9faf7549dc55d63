"""What modules are called in a picture: by as much of their paths as it takes."""

from __future__ import annotations

from dataclasses import replace

from graph.flow import Flow, FlowNode


def told_apart(flow: Flow) -> Flow:
    """The flow with as much of each path as tells its modules apart: `encoder.layers`, `decoder.layers`."""
    nodes = []
    for node in flow.nodes:
        others = [other.path for other in flow.nodes if other.path != node.path and other.path]
        most, enough = node.path.count(".") + 1, least(node)
        alone = (
            size
            for size in range(enough, most + 1)
            if all(_ending(other, size) != _ending(node.path, size) for other in others)
            and not _ending(node.path, size).split(".")[0].isdigit()
        )
        nodes.append(called(node, next(alone, enough)))
    return replace(flow, nodes=tuple(nodes))


def least(node: FlowNode) -> int:
    """How many segments of its path say what a module is: `block.0`, where its own name is 0."""
    return 2 if node.title.isdigit() else 1


def _ending(path: str, size: int) -> str:
    return ".".join(path.split(".")[-size:])


def called(node: FlowNode, size: int) -> FlowNode:
    """The node by so many segments of its path, if it is a module, and with what it gives."""
    named = node.kind in ("module", "strip") and bool(node.path)
    title = _ending(node.path, size) if named else node.title
    if node.gives and node.kind == "strip":
        title = f"{title} · {node.gives}"
    subtitle = node.gives if node.gives and node.kind == "module" else node.subtitle
    return replace(node, title=title, subtitle=subtitle)
