"""Rules of operators that move entries: concatenations, slices, views, paddings."""

from collections.abc import Iterable, Sequence
from typing import Any

from graph.coupling.labels import Joined, Labels, repeated
from graph.coupling.rules import RESHAPED, SPLIT, Dims, Labelled, met, rule


@rule("cat")
def _cat(joined: Joined, tensors: Sequence[Labelled], dim: int = 0) -> Dims:
    parts = [tensor for tensor in tensors if tensor.shape != (0,)]
    rank = len(parts[0].shape)
    dim %= rank
    out: Dims = []
    for place in range(rank):
        here = [(item.shape[place], item.dims[place]) for item in parts]
        if place != dim:
            out.append(met(joined, here[0][0], here))
        elif any(labels is not None for _, labels in here):
            out.append([each for size, labels in here for each in (labels or joined.fixed(size))])
        else:
            out.append(None)
    return out


@rule("constant_pad_nd")
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


@rule("pixel_shuffle")
def _pixel_shuffle(joined: Joined, x: Labelled, factor: int) -> Dims:
    joined.fix(*x.dims[-2:])
    labels = x.dims[-3]
    if labels is not None:
        joined.runs(labels, factor**2)
        labels = labels[:: factor**2]
    return [*x.dims[:-3], labels, None, None]


@rule("glu")
def _glu(joined: Joined, x: Labelled, dim: int = -1) -> Dims:
    return _part(joined, x, dim, 0, x.shape[dim] // 2)


@rule("slice")
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


@rule("select")
def _select(joined: Joined, x: Labelled, dim: int, _: int) -> Dims:
    joined.fix(x.dims[dim])
    return [labels for place, labels in enumerate(x.dims) if place != dim % len(x.shape)]


@rule("clone", "alias", "detach", "_to_copy", "lift_fresh", "lift_fresh_copy", "contiguous", "dropout")
def _alike(_: Joined, x: Labelled, *__: Any, **___: Any) -> Dims:
    return list(x.dims)


@rule("roll")
def _roll(joined: Joined, x: Labelled, _: Any, dims: Sequence[int] = (), **__: Any) -> Dims:
    moved = {dim % len(x.shape) for dim in dims} or set(range(len(x.shape)))
    joined.fix(*(x.dims[place] for place in moved))
    return [None if place in moved else labels for place, labels in enumerate(x.dims)]


@rule("permute")
def _permute(_: Joined, x: Labelled, order: Sequence[int]) -> Dims:
    return [x.dims[place] for place in order]


@rule("transpose")
def _transpose(_: Joined, x: Labelled, one: int, other: int) -> Dims:
    out = list(x.dims)
    out[one], out[other] = out[other], out[one]
    return out


@rule("t")
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


RESHAPED.update(dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze"), reshaped))
RESHAPED["expand"] = expanded
SPLIT.update(dict.fromkeys(("split", "split_with_sizes"), split))


def _product(sizes: Iterable[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
