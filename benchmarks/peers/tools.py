"""The tools that are compared: how each is called, and what its graph says of the leaf calls.

Each is called as its documentation says, at the settings that suit it best: every level shown, nothing
drawn or written, no notebook.
"""

import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Tool:
    """`extract(model, inputs)` returns the tool's graph; `leaves` counts leaf calls that an edge enters."""

    extract: Callable[[nn.Module, Any], Any]
    leaves: Callable[[Any], int | None]


def tool(name: str) -> Tool:
    """The tool called `name`, its package imported."""
    return {"ours": _ours, "torchview": _torchview, "torchvista": _torchvista, "export": _export}[name]()


def _ours() -> Tool:
    from graph import ModuleGraph, extract

    def leaves(made: ModuleGraph) -> int:
        entered = {edge.target for edge in made.edges}
        return sum(call.function is None and call.id in entered for call in made.calls)

    return Tool(extract, leaves)


def _torchview() -> Tool:
    """`draw_graph` fills a graphviz object; graphviz itself is not run."""
    from torchview import draw_graph
    from torchview.computation_node import ModuleNode

    def extract(model: nn.Module, inputs: Any) -> Any:
        data = inputs if isinstance(inputs, dict) else list(inputs)
        return draw_graph(model, input_data=data, device=_device(inputs), depth=10_000)

    def leaves(made: Any) -> int:
        return len({head.node_id for _, head in made.edge_list if isinstance(head, ModuleNode)})

    return Tool(extract, leaves)


class _Spread(nn.Module):
    """torchvista hands a dictionary on as one argument."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, given: dict[str, Any]) -> Any:
        return self.model(**given)


def _torchvista() -> Tool:
    """`process_graph` is what `trace_model` does before it writes a page for the notebook."""
    from torchvista.engine import process_graph

    def extract(model: nn.Module, inputs: Any) -> dict[str, Any]:
        nodes: dict[str, Any] = {}
        process_graph(
            _Spread(model) if isinstance(inputs, dict) else model,
            inputs,
            adj_list=nodes,
            module_info={},
            func_info={},
            node_to_module_path={},
            parent_module_to_nodes=defaultdict(list),
            parent_module_to_depth={},
            graph_node_name_to_without_suffix={},
            graph_node_display_names={},
            node_to_ancestors=defaultdict(list),
            repeat_containers=set(),
            node_to_attr_name={},
            show_non_gradient_nodes=True,
            forced_module_tracing_depth=None,
        )
        return nodes

    def leaves(made: dict[str, Any]) -> int:
        entered = {edge["target"] for node in made.values() for edge in node["edges"]}
        return sum(_kind(node) == "Module" and name in entered for name, node in made.items())

    return Tool(extract, leaves)


def _kind(node: dict[str, Any]) -> str:
    kind = node["node_type"]
    return str(getattr(kind, "value", kind))


def _export() -> Tool:
    """Non-strict: faster, and takes more models. Its nodes are operators, so no leaf calls are counted."""

    def extract(model: nn.Module, inputs: Any) -> Any:
        args, kwargs = ((), inputs) if isinstance(inputs, dict) else (tuple(inputs), None)
        return torch.export.export(model, args, kwargs, strict=False)

    return Tool(extract, lambda made: None)


def _device(inputs: Any) -> str:
    values = inputs.values() if isinstance(inputs, dict) else inputs
    return next((str(value.device) for value in values if isinstance(value, torch.Tensor)), "cpu")


def with_room(run: Callable[[], None]) -> None:
    """`run()` where deep models do not overflow: peers raise RecursionError under Python's own limit."""
    sys.setrecursionlimit(1_000_000)
    before = threading.stack_size(1024**3 - 4096)
    thread = threading.Thread(target=run)
    thread.start()
    threading.stack_size(before)
    thread.join()
