"""What a part of a model costs: parameters, bytes, multiply-accumulates, cache."""

from collections import defaultdict
from dataclasses import dataclass

from graph.nodes import ModuleGraph, ModuleNode, ParameterNode
from graph.tree import join

_ATTENTION = ("scaled_dot_product_attention", "flex_attention")
_ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of the modules below one path.

    `parameters` counts elements, tied ones once: `owned` are used only below the path, `shared`
    outside it as well. `size_bytes` is of parameters and buffers, tied ones once;
    `bytes_by_dtype` splits it, dtypes sorted. `macs` are over the example inputs, 0 if the graph
    was made without; `macs_per_token` divides by their positions. `kv_bytes_per_token` is what
    one position adds to the cache of one sequence, None if unknown.
    """

    parameters: int
    owned: int
    shared: int
    size_bytes: int
    bytes_by_dtype: tuple[tuple[str, int], ...]
    macs: int
    macs_per_token: float
    kv_bytes_per_token: int | None


def costs(graph: ModuleGraph, path: str = "", kv_bytes_per_token: int | None = None) -> Costs:
    """Costs of the module at `path` and all below it.

    A given `kv_bytes_per_token` is passed on; without one it is derived. Different tensors over
    one storage count each in full. Raises KeyError for a path the graph doesn't have.
    """
    if path not in graph:
        raise KeyError(path)
    inside: dict[str, ParameterNode] = {}
    outside: set[str] = set()
    for node in graph.modules:
        within = is_below(node.path, path)
        for tensor in node.tensors:
            key = identity(graph, tensor)
            if within:
                inside.setdefault(key, tensor)
            else:
                outside.add(key)
    parameters = {key: tensor.count for key, tensor in inside.items() if tensor.kind == "parameter"}
    shared = sum(count for key, count in parameters.items() if key in outside)
    bytes_by_dtype: dict[str, int] = defaultdict(int)
    for tensor in inside.values():
        bytes_by_dtype[tensor.dtype] += tensor.size_bytes
    macs = sum(call.macs for call in graph.calls if is_below(call.module, path))
    if kv_bytes_per_token is None:
        kv_bytes_per_token = kv_cache_bytes_per_token(graph, path)
    total = sum(parameters.values())
    return Costs(
        parameters=total,
        owned=total - shared,
        shared=shared,
        size_bytes=sum(bytes_by_dtype.values()),
        bytes_by_dtype=tuple(sorted(bytes_by_dtype.items())),
        macs=macs,
        macs_per_token=macs / graph.tokens,
        kv_bytes_per_token=kv_bytes_per_token,
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


def is_below(path: str, parent: str) -> bool:
    """Whether `path` is `parent` or lies below it."""
    return not parent or path == parent or path.startswith(parent + ".")


def kv_cache_bytes_per_token(graph: ModuleGraph, path: str = "") -> int | None:
    """Bytes one position adds to the key-value cache of one sequence, batch 1.

    Known are attention modules that say they are causal (`is_causal`) or which layer of a cache
    they use (`layer_idx`), by the widths of `k_proj` and `v_proj`, by `num_key_value_heads` and
    `head_dim`, or as GPT-2's fused `c_attn`. The cache is taken to have the dtype of the weights.
    None if there is no such module, or if a traced attention call sits in one that isn't known.
    """
    total, known, widths = 0, set(), _seen_widths(graph)
    for node in graph.modules:
        if is_below(node.path, path):
            bytes_here = _kv_bytes(graph, node, widths)
            if bytes_here is not None:
                known.add(node.path)
                total += bytes_here
    attending = {c.module for c in graph.calls if c.function in _ATTENTION and is_below(c.module, path)}
    return total if known and attending <= known else None


def _seen_widths(graph: ModuleGraph) -> dict[str, int]:
    """By path, the width of the last tensor made below it: an adapted projection ends in a function."""
    seen: dict[str, int] = {}
    for call in graph.calls:
        if call.outputs and call.outputs[0].shape:
            path = call.module
            while path:
                seen[path] = call.outputs[0].shape[-1]
                path = path.rpartition(".")[0]
    return seen


def _kv_bytes(graph: ModuleGraph, node: ModuleNode, widths: dict[str, int]) -> int | None:
    said = dict(node.attributes)
    if said.get("is_causal") is False or not ("is_causal" in said or "layer_idx" in said):
        return None

    def width(name: str) -> int | None:
        path = join(node.path, name)
        if path not in graph:
            return None
        attributes = dict(graph[path].attributes)
        found = widths.get(path, attributes.get("out_features", attributes.get("nf")))
        return found if isinstance(found, int) else None

    keys, values = width("k_proj"), width("v_proj")
    if keys is not None and values is not None:
        return (keys + values) * _item_bytes(graph, node)
    heads, size = said.get("num_key_value_heads"), said.get("head_dim")
    if isinstance(heads, int) and isinstance(size, int):
        return 2 * heads * size * _item_bytes(graph, node)
    fused = width("c_attn")
    if fused is not None and fused % 3 == 0:
        return fused // 3 * 2 * _item_bytes(graph, node)
    return None


def _item_bytes(graph: ModuleGraph, node: ModuleNode) -> int:
    """Bytes per element of the first floating parameter at or below `node`; 4 without one."""
    below = [node]
    for other in below:  # grows while it is read
        for tensor in other.tensors:
            if tensor.kind == "parameter" and tensor.dtype in _ITEM_BYTES:
                return _ITEM_BYTES[tensor.dtype]
        below.extend(graph[join(other.path, name)] for name in other.children)
    return 4
