"""Rules of operators that compute over entries: convolutions, products, norms, reductions."""

from collections.abc import Sequence
from typing import Any

from graph.coupling.labels import Joined, Labels, repeated
from graph.coupling.rules import RULES, Dims, Labelled, Rule, met, pointwise, rule


@rule("convolution")
def _convolution(joined: Joined, x: Labelled, weight: Labelled, bias: Labelled | None, *rest: Any) -> Dims:
    transposed, groups = rest[3], rest[5]
    inner, outer = (0, 1) if transposed else (1, 0)
    joined.fix(*weight.dims[2:], *x.dims[2:])
    if groups == 1:
        _contract(joined, x.dims[1], weight.dims[inner])
        out = weight.dims[outer]
    else:
        out = _grouped(joined, x.dims[1], weight, groups, transposed)
    if bias is not None:
        out = met(joined, bias.shape[0], [(bias.shape[0], out), (bias.shape[0], bias.dims[0])])
    return [x.dims[0], out, *[None] * (len(weight.shape) - 2)]


def _grouped(joined: Joined, into: Labels, weight: Labelled, groups: int, transposed: bool) -> Labels:
    """A group with its inputs and outputs is one unit: a depthwise channel, for one."""
    joined.fix(weight.dims[1])
    along = weight.dims[0]
    assert along is not None
    if into is None:
        joined.fix(along)
        return None
    for group in range(groups):
        ends = []
        for labels in (into, along):
            each = len(labels) // groups
            ends.append(labels[group * each : (group + 1) * each])
            joined.one(ends[-1])
        joined.same(ends[0][:1], ends[1][:1])
    if not transposed:
        return along
    return repeated([into[group * (len(into) // groups)] for group in range(groups)], 1, weight.shape[1])


def _contract(joined: Joined, left: Labels, right: Labels) -> None:
    """Summed over together: entries that meet are one unit."""
    if left is None or right is None:
        joined.fix(left, right)
    else:
        joined.same(left, right)


@rule("mm", "bmm")
def _matmul(joined: Joined, left: Labelled, right: Labelled) -> Dims:
    _contract(joined, left.dims[-1], right.dims[-2])
    ends = [left.dims[-2], right.dims[-1]]
    if len(left.shape) == 2:
        return ends
    return [met(joined, left.shape[0], [(left.shape[0], item.dims[0]) for item in (left, right)]), *ends]


@rule("_grouped_mm")
def _grouped_matmul(joined: Joined, left: Labelled, right: Labelled, *_: Any, **__: Any) -> Dims:
    """Rows sorted by expert times a matrix of each, (experts, inputs, outputs)."""
    joined.fix(left.dims[0], right.dims[0])
    _contract(joined, left.dims[-1], right.dims[-2])
    return [None, right.dims[-1]]


@rule("addmm")
def _addmm(joined: Joined, bias: Labelled, left: Labelled, right: Labelled, **_: Any) -> Dims:
    product = Labelled((left.shape[0], right.shape[1]), _matmul(joined, left, right))
    return pointwise(joined, bias, product)


@rule(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
    "miopen_batch_norm",
)
def _batch_norm(joined: Joined, x: Labelled, *rest: Any, **_: Any) -> Dims:
    joined.fix(x.dims[0], *x.dims[2:])
    size = x.shape[1]
    own = [item for item in rest[:4] if isinstance(item, Labelled)]
    out = met(joined, size, [(size, x.dims[1]), *((item.shape[0], item.dims[0]) for item in own)])
    return [None, out, *[None] * (len(x.shape) - 2)]


@rule("native_group_norm")
def _group_norm(joined: Joined, x: Labelled, *rest: Any, **_: Any) -> Dims:
    """Entries of a group share their statistics: the group is one unit."""
    out = _batch_norm(joined, x, *rest[:2])
    groups = rest[-2]
    if out[1] is not None:
        joined.runs(out[1], x.shape[1] // groups)
    return out


@rule("native_layer_norm", "_fused_rms_norm")
def _layer_norm(joined: Joined, x: Labelled, over: Sequence[int], *rest: Any, **_: Any) -> Dims:
    behind = len(x.shape) - len(over)
    own = [labels for item in rest if isinstance(item, Labelled) for labels in item.dims]
    joined.fix(*x.dims[behind:], *own)
    return [*x.dims[:behind], *[None] * len(over)]


@rule("mean", "sum", "amax", "amin", "var", "std", "prod", "logsumexp")
def _reduced(joined: Joined, x: Labelled, dims: Any = None, keepdim: bool = False, **_: Any) -> Dims:
    """What is reduced over stays: without an entry a mean is another one."""
    rank = len(x.shape)
    given = range(rank) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    gone = {place % rank for place in given} if rank else set()
    joined.fix(*(x.dims[place] for place in gone))
    return [
        None if place in gone else labels
        for place, labels in enumerate(x.dims)
        if keepdim or place not in gone
    ]


@rule("_softmax", "_log_softmax", "cumsum")
def _along(joined: Joined, x: Labelled, dim: int, *_: Any, **__: Any) -> Dims:
    joined.fix(x.dims[dim])
    return [None if place == dim % len(x.shape) else labels for place, labels in enumerate(x.dims)]


def _spatial(count: int) -> Rule:
    def pooled(joined: Joined, x: Labelled, *_: Any, **__: Any) -> Dims:
        joined.fix(*x.dims[-count:])
        return [*x.dims[:-count], *[None] * count]

    return pooled


for _count in (1, 2, 3):
    for _name in (
        "avg_pool{}d", "_adaptive_avg_pool{}d", "adaptive_avg_pool{}d", "adaptive_max_pool{}d",
        "max_pool{}d_with_indices", "max_pool{}d", "upsample_nearest{}d", "_upsample_nearest_exact{}d",
        "upsample_linear{}d", "upsample_bilinear{}d", "upsample_bicubic{}d", "upsample_trilinear{}d",
        "_upsample_bilinear{}d_aa", "_upsample_bicubic{}d_aa", "reflection_pad{}d", "replication_pad{}d",
    ):  # fmt: skip
        RULES[_name.format(_count)] = _spatial(_count)
