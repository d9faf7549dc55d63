"""Generating token by token: what a position adds to the cache, and what one step computes."""

from collections.abc import Iterator, Mapping

from graph.nodes import INPUT, CallNode, ModuleGraph, ModuleNode
from graph.paths import is_below
from graph.tree import join

ATTENTION = ("scaled_dot_product_attention", "flex_attention")
_OF_A_CACHE = frozenset({"is_causal", "layer_idx"})
_OF_A_STATE = frozenset({"ssm_state_size", "layer_type"})
_ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


def kv_cache_bytes_per_token(graph: ModuleGraph, path: str = "") -> int | None:
    """Bytes one position adds to the key-value cache of one sequence, batch 1, before any window is full.

    Counted are attention modules that say they are causal (`is_causal`) or, where they don't say,
    which layer of a cache they use (`layer_idx`): by the widths of their key and value projections,
    by `num_key_value_heads` and `head_dim`, by the latent of multi-head latent attention, as GPT-2's
    fused `c_attn`, or else by what their attention call was given. State-space layers keep a state
    of fixed size and add nothing. The cache is taken to have the dtype of the weights. None if there
    is no such module, or if an attention call that may be causal sits in one that isn't known.
    """
    total, known, widths, calls = 0, set(), _seen_widths(graph), _attention_calls(graph)
    for node in _naming(graph, _OF_A_CACHE):
        if is_below(node.path, path):
            bytes_here = _kv_bytes(graph, node, widths, calls.get(node.path))
            if bytes_here is not None:
                known.add(node.path)
                total += bytes_here
    attending = {place for place in calls if is_below(place, path) and _may_cache(graph[place])}
    return total if known and attending <= known else None


def step_macs(graph: ModuleGraph, *, cached: bool) -> Mapping[int, float] | None:
    """MACs per call of one decode step: one new token of one sequence, the cache as long as the example.

    Every operator of a decoder is linear in the positions it computes, so a step costs the example's
    share per position; attention with a sliding window looks back no further than that. In an
    encoder-decoder only what depends on the decoder's input is computed again. None where no cache is
    known (`cached` says whether one is), and for state-space layers, whose steps run by other operators than
    a prefill.
    """
    if not cached or any(map(_keeps_a_state, _naming(graph, _OF_A_STATE))):
        return None
    attending = _attention_calls(graph)
    fed = [index for index, name in enumerate(graph.inputs) if name.startswith("decoder_")]
    if not fed:
        return {
            call.id: call.macs * _times(graph, call, attending) / graph.tokens
            for call in graph.calls
            if call.macs
        }
    moved, positions = set(), 1
    for edge in graph.edges:
        first = edge.source == INPUT and edge.output in fed
        if first or edge.source in moved:
            moved.add(edge.target)
        if first and len(edge.tensor.shape) >= 2:
            positions = max(positions, edge.tensor.shape[0] * edge.tensor.shape[1])
    return {
        call.id: call.macs * _times(graph, call, attending) / positions
        for call in graph.calls
        if call.macs and call.id in moved
    }


def _naming(graph: ModuleGraph, names: frozenset[str]) -> Iterator[ModuleNode]:
    """The modules with an attribute of one of these names, in the order of the tree."""
    known: dict[int, bool] = {}
    for node in graph.modules:
        said = node.attributes  # alike modules have them in common
        if id(said) not in known:
            known[id(said)] = not names.isdisjoint([name for name, _ in said])
        if known[id(said)]:
            yield node


def _times(graph: ModuleGraph, call: CallNode, attending: Mapping[str, CallNode]) -> float:
    """What a step of this call computes, in positions of the example.

    One; of attention with a window the share of the keys it looks at; all where keys and values are made
    anew from their latents.
    """
    attends = call.function in ATTENTION
    if not attends and not call.module.endswith("kv_b_proj"):  # most
        return 1.0
    attention, _, name = call.module.rpartition(".")
    if name == "kv_b_proj" and "kv_lora_rank" in dict(graph[attention].attributes):
        return attending[attention].inputs[1].shape[-2] if attention in attending else 1.0
    if not attends or len(call.inputs) < 2:
        return 1.0
    window, keys = dict(graph[call.module].attributes).get("sliding_window"), call.inputs[1].shape[-2]
    return min(window / keys, 1.0) if isinstance(window, int) and window > 0 else 1.0


def _attention_calls(graph: ModuleGraph) -> dict[str, CallNode]:
    """The first attention call of each module that makes one."""
    found: dict[str, CallNode] = {}
    for call in graph.calls:
        if call.function in ATTENTION:
            found.setdefault(call.module, call)
    return found


def _seen_widths(graph: ModuleGraph) -> dict[str, int]:
    """By path, the width of the last tensor made below it: an adapted projection ends in a function."""
    seen: dict[str, int] = {}
    for call in reversed(graph.calls):
        path = call.module
        if path not in seen and call.outputs and call.outputs[0].shape:
            while path and path not in seen:  # what is around one that was seen was seen as well
                seen[path] = call.outputs[0].shape[-1]
                path = path.rpartition(".")[0]
    return seen


def _may_cache(node: ModuleNode) -> bool:
    return dict(node.attributes).get("is_causal") is not False


def _keeps_a_state(node: ModuleNode) -> bool:
    """Whether `node` remembers by a state of fixed size, as Mamba does."""
    said = dict(node.attributes)
    return "ssm_state_size" in said or said.get("layer_type") == "linear_attention"


def _kv_bytes(
    graph: ModuleGraph, node: ModuleNode, widths: Mapping[str, int], call: CallNode | None
) -> int | None:
    said = dict(node.attributes)
    if _OF_A_CACHE.isdisjoint(said) or not _may_cache(node):
        return None
    if _keeps_a_state(node):
        return 0
    width = _kv_width(graph, node, widths, call)
    return None if width is None else width * _item_bytes(graph, node)


def _kv_width(
    graph: ModuleGraph, node: ModuleNode, widths: Mapping[str, int], call: CallNode | None
) -> int | None:
    """Elements of keys and values per position."""
    said = dict(node.attributes)

    def width(name: str) -> int | None:
        path = join(node.path, name)
        if path not in graph:
            return None
        attributes = dict(graph[path].attributes)
        found = widths.get(path, attributes.get("out_features", attributes.get("nf")))
        return found if isinstance(found, int) else None

    latent, rotary = said.get("kv_lora_rank"), said.get("qk_rope_head_dim")
    if isinstance(latent, int) and isinstance(rotary, int):
        return latent + rotary  # multi-head latent attention keeps what keys and values are made of
    for pair in (("k_proj", "v_proj"), ("k", "v")):
        keys, values = map(width, pair)
        if keys is not None and values is not None:
            return keys + values
    heads, size = said.get("num_key_value_heads"), said.get("head_dim")
    if isinstance(heads, int) and isinstance(size, int):
        return 2 * heads * size
    fused = width("c_attn")
    if fused is not None and fused % 3 == 0:
        return fused // 3 * 2
    if call is None or [len(tensor.shape) for tensor in call.inputs[:3]] != [4, 4, 4]:
        return None
    queries, keyed, valued = (tensor.shape for tensor in call.inputs[:3])
    groups = said.get("num_key_value_groups")
    # Keys are cached before they are repeated for the queries that share them.
    repeated = groups if isinstance(groups, int) and keyed[1] == queries[1] else 1
    return keyed[1] // repeated * (keyed[3] + valued[3])


def _item_bytes(graph: ModuleGraph, node: ModuleNode) -> int:
    """Bytes per element of the first floating parameter at or below `node`; 4 without one."""
    below = [node]
    for other in below:  # grows while it is read
        for tensor in other.tensors:
            if tensor.kind == "parameter" and tensor.dtype in _ITEM_BYTES:
                return _ITEM_BYTES[tensor.dtype]
        below.extend(graph[join(other.path, name)] for name in other.children)
    return 4
