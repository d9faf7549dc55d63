"""What operators do to labels: which entries they join, and where they carry them.

A rule gets the joined labels, the operator's arguments with a `Labelled` in place of each tensor, and
gives the labels of what it returns. An operator without a rule fixes all that it reads: what isn't
understood can't be cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from graph.coupling.labels import Joined, Labels, repeated


@dataclass(eq=False)
class Labelled:
    """A tensor's sizes and the labels along each dimension."""

    shape: tuple[int, ...]
    dims: list[Labels]


Dims = list[Labels]
Rule = Callable[..., Dims]
RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


def rule_of(operator: Any) -> Rule | None:
    """The rule of an ATen operator, by its name; None if there is none."""
    name = operator._schema.name.removeprefix("aten::")
    found = RULES.get(name)
    if found is None and (torch.Tag.pointwise in operator.tags or name.rstrip("_") in _ELEMENTWISE):
        return pointwise
    return found


_ELEMENTWISE = frozenset({"hardswish", "_prelu_kernel", "copy", "celu", "selu", "threshold", "zero", "fill"})


def pointwise(joined: Joined, *args: Any, **named: Any) -> Dims:
    """Entries that meet are one unit; a size of 1 is there for all."""
    tensors = [value for value in (*args, *named.values()) if isinstance(value, Labelled)]
    rank = max(len(tensor.shape) for tensor in tensors)
    out: Dims = []
    for place in range(-rank, 0):
        here = [(item.shape[place], item.dims[place]) for item in tensors if len(item.shape) >= -place]
        size = max(size for size, _ in here)
        out.append(_met(joined, size, here))
    return out


def _met(joined: Joined, size: int, here: list[tuple[int, Labels]]) -> Labels:
    full = [labels for length, labels in here if length == size]
    labelled = [labels for labels in full if labels is not None]
    for labels in labelled[1:]:
        joined.same(labelled[0], labels)
    if len(labelled) < len(full):  # something beside them has no labels and would keep its size
        joined.fix(*labelled)
    return labelled[0] if labelled else None


@_rule("convolution")
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
        out = _met(joined, bias.shape[0], [(bias.shape[0], out), (bias.shape[0], bias.dims[0])])
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


@_rule("mm", "bmm")
def _matmul(joined: Joined, left: Labelled, right: Labelled) -> Dims:
    _contract(joined, left.dims[-1], right.dims[-2])
    ends = [left.dims[-2], right.dims[-1]]
    if len(left.shape) == 2:
        return ends
    return [_met(joined, left.shape[0], [(left.shape[0], item.dims[0]) for item in (left, right)]), *ends]


@_rule("addmm")
def _addmm(joined: Joined, bias: Labelled, left: Labelled, right: Labelled, **_: Any) -> Dims:
    product = Labelled((left.shape[0], right.shape[1]), _matmul(joined, left, right))
    return pointwise(joined, bias, product)


@_rule(
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
    out = _met(joined, size, [(size, x.dims[1]), *((item.shape[0], item.dims[0]) for item in own)])
    return [None, out, *[None] * (len(x.shape) - 2)]


@_rule("native_group_norm")
def _group_norm(joined: Joined, x: Labelled, *rest: Any, **_: Any) -> Dims:
    """Entries of a group share their statistics: the group is one unit."""
    out = _batch_norm(joined, x, *rest[:2])
    groups = rest[-2]
    if out[1] is not None:
        joined.runs(out[1], x.shape[1] // groups)
    return out


@_rule("native_layer_norm", "_fused_rms_norm")
def _layer_norm(joined: Joined, x: Labelled, over: Sequence[int], *rest: Any, **_: Any) -> Dims:
    behind = len(x.shape) - len(over)
    own = [labels for item in rest if isinstance(item, Labelled) for labels in item.dims]
    joined.fix(*x.dims[behind:], *own)
    return [*x.dims[:behind], *[None] * len(over)]


@_rule("cat")
def _cat(joined: Joined, tensors: Sequence[Labelled], dim: int = 0) -> Dims:
    parts = [tensor for tensor in tensors if tensor.shape != (0,)]
    rank = len(parts[0].shape)
    dim %= rank
    out: Dims = []
    for place in range(rank):
        here = [(item.shape[place], item.dims[place]) for item in parts]
        if place != dim:
            out.append(_met(joined, here[0][0], here))
        elif any(labels is not None for _, labels in here):
            out.append([each for size, labels in here for each in (labels or joined.fixed(size))])
        else:
            out.append(None)
    return out


@_rule("mean", "sum", "amax", "amin", "var", "std", "prod", "logsumexp")
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


@_rule("_softmax", "_log_softmax", "cumsum")
def _along(joined: Joined, x: Labelled, dim: int, *_: Any, **__: Any) -> Dims:
    joined.fix(x.dims[dim])
    return [None if place == dim % len(x.shape) else labels for place, labels in enumerate(x.dims)]


def _spatial(count: int) -> Rule:
    def rule(joined: Joined, x: Labelled, *_: Any, **__: Any) -> Dims:
        joined.fix(*x.dims[-count:])
        return [*x.dims[:-count], *[None] * count]

    return rule


for _count in (1, 2, 3):
    for _name in (
        "avg_pool{}d", "_adaptive_avg_pool{}d", "adaptive_avg_pool{}d", "adaptive_max_pool{}d",
        "max_pool{}d_with_indices", "max_pool{}d", "upsample_nearest{}d", "_upsample_nearest_exact{}d",
        "upsample_linear{}d", "upsample_bilinear{}d", "upsample_bicubic{}d", "upsample_trilinear{}d",
        "_upsample_bilinear{}d_aa", "_upsample_bicubic{}d_aa", "reflection_pad{}d", "replication_pad{}d",
    ):  # fmt: skip
        RULES[_name.format(_count)] = _spatial(_count)


@_rule("constant_pad_nd")
def _pad(joined: Joined, x: Labelled, pad: Sequence[int], *_: Any) -> Dims:
    out = list(x.dims)
    for number in range(len(pad) // 2):
        place, before, after = -1 - number, pad[2 * number], pad[2 * number + 1]
        labels = out[place]
        if labels is None or before == after == 0:
            continue
        if min(before, after) < 0:
            joined.fix(labels)
            out[place] = None
        else:
            out[place] = [*joined.fixed(before), *labels, *joined.fixed(after)]
    return out


@_rule("pixel_shuffle")
def _pixel_shuffle(joined: Joined, x: Labelled, factor: int) -> Dims:
    joined.fix(*x.dims[-2:])
    labels = x.dims[-3]
    if labels is not None:
        joined.runs(labels, factor**2)
        labels = labels[:: factor**2]
    return [*x.dims[:-3], labels, None, None]


@_rule("glu")
def _glu(joined: Joined, x: Labelled, dim: int = -1) -> Dims:
    return _part(joined, x, dim, 0, x.shape[dim] // 2)


@_rule("slice")
def _slice(
    joined: Joined, x: Labelled, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Dims:
    size = x.shape[dim]
    first, last, step = slice(start, end, step).indices(size)
    if (first, last, step) == (0, size, 1):
        return list(x.dims)
    return _part(joined, x, dim, first, max(last - first, 0) if step == 1 else 0)


def _part(joined: Joined, x: Labelled, dim: int, start: int, length: int) -> Dims:
    """Some entries along `dim`: one of the equal chunks they make up, else all of them stay."""
    out, labels = list(x.dims), x.dims[dim]
    if labels is not None:
        if length and len(labels) % length == 0 and start % length == 0:
            joined.chunks(labels, length)
            out[dim] = labels[start : start + length]
        else:
            joined.fix(labels)
            out[dim] = None
    return out


@_rule("select")
def _select(joined: Joined, x: Labelled, dim: int, _: int) -> Dims:
    joined.fix(x.dims[dim])
    return [labels for place, labels in enumerate(x.dims) if place != dim % len(x.shape)]


@_rule("clone", "alias", "detach", "_to_copy", "lift_fresh", "lift_fresh_copy", "contiguous", "dropout")
def _alike(_: Joined, x: Labelled, *__: Any, **___: Any) -> Dims:
    return list(x.dims)


@_rule("permute")
def _permute(_: Joined, x: Labelled, order: Sequence[int]) -> Dims:
    return [x.dims[place] for place in order]


@_rule("transpose")
def _transpose(_: Joined, x: Labelled, one: int, other: int) -> Dims:
    out = list(x.dims)
    out[one], out[other] = out[other], out[one]
    return out


@_rule("t")
def _t(_: Joined, x: Labelled) -> Dims:
    return x.dims[::-1]


def split(joined: Joined, x: Labelled, sizes: Any, dim: int = 0) -> list[Dims]:
    """Of equal pieces entry i of each is one unit; unequal ones stay as they are."""
    size = x.shape[dim]
    lengths = sizes if isinstance(sizes, list | tuple) else [sizes] * (size // sizes)
    if sum(lengths) != size or len(set(lengths)) > 1:
        joined.fix(x.dims[dim])
        lengths = lengths if sum(lengths) == size else [*lengths, size - sum(lengths)]
        return [
            [None if place == dim % len(x.shape) else labels for place, labels in enumerate(x.dims)]
            for _ in lengths
        ]
    return [_part(joined, x, dim, number * lengths[0], lengths[0]) for number in range(len(lengths))]


def expanded(joined: Joined, x: Labelled, shape: tuple[int, ...]) -> Dims:
    """The labels of `x` with sizes of 1 made larger and dimensions put in front."""
    out: Dims = [None] * (len(shape) - len(x.shape))
    for size, labels, wanted in zip(x.shape, x.dims, shape[len(out) :], strict=True):
        if size != wanted:
            joined.fix(labels)
        out.append(labels if size == wanted else None)
    return out


def reshaped(joined: Joined, x: Labelled, shape: tuple[int, ...]) -> Dims:
    """The labels of `x` in another shape: kept where a dimension stays or is flattened with others.

    A dimension that is taken apart stays as wide as it is: how is not seen from the sizes.
    """
    if 0 in shape:
        return _stays(joined, list(zip(x.shape, x.dims, strict=True)), len(shape))
    old = [(size, labels) for size, labels in zip(x.shape, x.dims, strict=True) if size != 1]
    joined.fix(*(labels for size, labels in zip(x.shape, x.dims, strict=True) if size == 1))
    wanted = [size for size in shape if size != 1]
    found: Dims = []
    while old or wanted:
        took, gave = [old.pop(0)], [wanted.pop(0)]
        while (left := _product(size for size, _ in took)) != (right := _product(gave)):
            if left < right:
                took.append(old.pop(0))
            else:
                gave.append(wanted.pop(0))
        found += _merged(joined, took) if len(gave) == 1 else _stays(joined, took, len(gave))
    rest = iter(found)
    return [None if size == 1 else next(rest) for size in shape]


def _merged(joined: Joined, took: list[tuple[int, Labels]]) -> Dims:
    labelled = [place for place, (_, labels) in enumerate(took) if labels is not None]
    if len(labelled) != 1:
        return _stays(joined, took, 1)
    place = labelled[0]
    labels = took[place][1]
    assert labels is not None
    if len(took) == 1:
        return [labels]
    times = _product(size for size, _ in took[:place])
    return [repeated(labels, times, _product(size for size, _ in took[place + 1 :]))]


def _stays(joined: Joined, took: list[tuple[int, Labels]], count: int) -> Dims:
    joined.fix(*(labels for _, labels in took))
    return [None] * count


RESHAPED: dict[str, Rule] = dict.fromkeys(
    ("view", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze"), reshaped
) | {"expand": expanded}
"""Rules by the shape that came out, whatever was asked for."""

SPLIT: dict[str, Callable[..., list[Dims]]] = {"split": split, "split_with_sizes": split}
"""Rules of operators that return several tensors worth a label."""


def _product(sizes: Any) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
