"""Rules of operators that compute over all units at once and do not mind their order."""

from collections.abc import Callable, Sequence
from typing import Any

from graph.coupling.labels import Joined
from graph.coupling.rules import REORDERED, Dims, Labelled, Rule, met


def _known(*names: str) -> Callable[[Rule], Rule]:
    def register(made: Rule) -> Rule:
        REORDERED.update(dict.fromkeys(names, made))
        return made

    return register


@_known("native_layer_norm", "_fused_rms_norm")
def _layer_norm(joined: Joined, x: Labelled, over: Sequence[int], *rest: Any, **_: Any) -> Dims:
    """Mean and spread are those of all units; each has a weight and a shift of its own."""
    behind = len(x.shape) - len(over)
    own = [item for item in rest if isinstance(item, Labelled)]
    inner = [
        met(joined, size, [(size, x.dims[behind + place]), *((size, item.dims[place]) for item in own)])
        for place, size in enumerate(over)
    ]
    return [*x.dims[:behind], *inner]


@_known("mean", "sum", "amax", "amin", "var", "std", "prod", "logsumexp")
def _reduced(joined: Joined, x: Labelled, dims: Any = None, keepdim: bool = False, **_: Any) -> Dims:
    rank = len(x.shape)
    given = range(rank) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    gone = {place % rank for place in given} if rank else set()
    return [
        None if place in gone else labels
        for place, labels in enumerate(x.dims)
        if keepdim or place not in gone
    ]


@_known("linalg_vector_norm")
def _length(
    joined: Joined, x: Labelled, order: float = 2, dims: Any = None, keepdim: bool = False, **_: Any
) -> Dims:
    return _reduced(joined, x, dims, keepdim)


@_known("_softmax", "_log_softmax")
def _softmax(_: Joined, x: Labelled, *__: Any, **___: Any) -> Dims:
    return list(x.dims)


@_known("embedding")
def _embedding(joined: Joined, table: Labelled, places: Labelled, *_: Any, **__: Any) -> Dims:
    """Rows go by numbers that come in, columns are units."""
    joined.fix(table.dims[0], *places.dims)
    return [*[None] * len(places.shape), table.dims[1]]


@_known("index_select")
def _index_select(joined: Joined, x: Labelled, dim: int, places: Labelled) -> Dims:
    joined.fix(x.dims[dim], *places.dims)
    return [None if place == dim % len(x.shape) else labels for place, labels in enumerate(x.dims)]


@_known("index")
def _index(joined: Joined, x: Labelled, places: Sequence[Labelled | None]) -> Dims:
    """By numbers that come in, of one dimension or of several side by side; of others nothing is known."""
    by = {dim: item for dim, item in enumerate(places) if isinstance(item, Labelled)}
    first, last = min(by), max(by)
    if len(by) != last - first + 1:
        raise ValueError(f"indices of {len(by)} dimensions that lie apart")
    for dim, index in by.items():
        joined.fix(x.dims[dim], *index.dims)
    made = max(len(index.shape) for index in by.values())
    return [*x.dims[:first], *[None] * made, *x.dims[last + 1 :]]
