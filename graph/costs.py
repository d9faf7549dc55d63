"""What a part of a model costs: parameters, bytes, multiply-accumulates, cache."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from graph.cache import kv_cache_bytes_per_token, step_macs
from graph.nodes import ModuleGraph, ParameterNode
from graph.paths import is_below

_WHOLE = "_costs_of_the_whole"


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of the modules below one path.

    `parameters` counts elements, tied ones once: `owned` are used only below the path, `shared`
    outside it as well. `size_bytes` is of parameters and buffers, tied ones once;
    `bytes_by_dtype` splits it, dtypes sorted. `macs` are over the example inputs (for a decoder: a
    prefill), 0 if the graph was made without; `macs_per_token` divides by their positions, or by the
    examples if that is the `unit`. `decode_macs` are those of one decode step, one new token of one
    sequence after a cache as long as the example; None without a known cache. `kv_bytes_per_token` is
    what one position adds to that cache. `activation_bytes` are of the tensors that calls return,
    over the example inputs: what a backward pass would keep, less what leaves keep for themselves.
    """

    parameters: int
    owned: int
    shared: int
    size_bytes: int
    bytes_by_dtype: tuple[tuple[str, int], ...]
    macs: int
    macs_per_token: float
    decode_macs: float | None
    kv_bytes_per_token: int | None
    activation_bytes: int
    unit: Literal["token", "example"]


def costs(graph: ModuleGraph, path: str = "", kv_bytes_per_token: int | None = None) -> Costs:
    """Costs of the module at `path` and all below it.

    A given `kv_bytes_per_token` is passed on; without one it is derived. Different tensors over
    one storage count each in full. Raises KeyError for a path the graph doesn't have.
    """
    if path or kv_bytes_per_token is not None:
        return _costs(graph, path, kv_bytes_per_token)
    known: dict[str, Costs] = graph.__dict__  # as a cached property has it; a graph never changes
    if _WHOLE not in known:
        known[_WHOLE] = _costs(graph, "", None)
    return known[_WHOLE]


def _costs(graph: ModuleGraph, path: str, kv_bytes_per_token: int | None) -> Costs:
    if path not in graph:
        raise KeyError(path)
    inside: dict[str, ParameterNode] = {}
    outside: set[str] = set()
    for node in graph.modules:
        if not node.tensors:  # most
            continue
        within = is_below(node.path, path)
        for tensor in node.tensors:
            key = tensor.path if tensor.tie is None else identity(graph, tensor)
            if within:
                inside.setdefault(key, tensor)
            else:
                outside.add(key)
    parameters = {key: tensor.count for key, tensor in inside.items() if tensor.kind == "parameter"}
    shared = sum([count for key, count in parameters.items() if key in outside]) if outside else 0
    bytes_by_dtype: dict[str, int] = defaultdict(int)
    for tensor in inside.values():
        bytes_by_dtype[tensor.dtype] += tensor.size_bytes
    calls = [call for call in graph.calls if is_below(call.module, path)] if path else graph.calls
    everywhere = kv_cache_bytes_per_token(graph)
    macs, step = sum([call.macs for call in calls]), step_macs(graph, cached=everywhere is not None)
    if kv_bytes_per_token is None:
        kv_bytes_per_token = kv_cache_bytes_per_token(graph, path) if path else everywhere
    total = sum(parameters.values())
    return Costs(
        parameters=total,
        owned=total - shared,
        shared=shared,
        size_bytes=sum(bytes_by_dtype.values()),
        bytes_by_dtype=tuple(sorted(bytes_by_dtype.items())),
        macs=macs,
        macs_per_token=macs / graph.tokens,
        decode_macs=None if step is None else sum([step.get(call.id, 0.0) for call in calls]),
        kv_bytes_per_token=kv_bytes_per_token,
        activation_bytes=sum([call.activation_bytes for call in calls]),
        unit=graph.unit,
    )


def identity(graph: ModuleGraph, tensor: ParameterNode) -> str:
    """A text equal for nodes that are one tensor: the first path of that tensor."""
    if tensor.tie is None:
        return tensor.path
    tie = graph.ties[tensor.tie]
    if tie.kind == "parameter":
        return tie.paths[0]
    if tie.kind == "module":
        # The deepest tied place around the tensor says what follows it.
        place = max((path for path in tie.paths if is_below(tensor.path, path)), key=len)
        return tie.paths[0] + tensor.path.removeprefix(place)
    return tensor.path
