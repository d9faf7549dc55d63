"""Figures of every path at once, for screens that show a whole tree."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from graph.costs import identity
from graph.nodes import ModuleGraph
from graph.remembered import once_per_graph


@dataclass(frozen=True, slots=True)
class Share:
    """What lies below one path, as `Costs` counts it: tied parameters once, `owned` used nowhere else."""

    parameters: int
    owned: int
    size_bytes: int
    macs: int

    @property
    def shared(self) -> int:
        """Parameters that are used outside the path as well."""
        return self.parameters - self.owned


@once_per_graph
def rollup(graph: ModuleGraph) -> dict[str, Share]:
    """The share of every module path, in one pass over tensors and calls."""
    below: dict[str, Counter[str]] = defaultdict(Counter)
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for node in graph.modules:
        for tensor in node.tensors:
            key = identity(graph, tensor)
            counts[key] = tensor.count if tensor.kind == "parameter" else 0
            sizes[key] = tensor.size_bytes
            for path in _upwards(node.path):
                below[path][key] += 1
    macs: Counter[str] = Counter()
    for call in graph.calls:
        if call.macs:
            for path in _upwards(call.module):
                macs[path] += call.macs
    everywhere = below[""]
    return {
        node.path: Share(
            parameters=sum(counts[key] for key in below[node.path]),
            owned=sum(counts[key] for key, uses in below[node.path].items() if uses == everywhere[key]),
            size_bytes=sum(sizes[key] for key in below[node.path]),
            macs=macs[node.path],
        )
        for node in graph.modules
    }


def _upwards(path: str) -> Iterator[str]:
    """The path, its ancestors, the root."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""
