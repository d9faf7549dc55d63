"""Parts of tensors that were put together of others: of one expert of all, that one alone is read."""

from __future__ import annotations

from typing import Any

import torch

from surgery.lazy import Lazy, Recipe

_JOINED = ("stacked", "concatenated")


def narrowed(lazy: Lazy) -> Lazy:
    """The same tensor, made of as little as can be where it is a view of what was put together."""
    if not _is(lazy, "viewed") or not lazy.count:
        return lazy
    (source,) = lazy.inputs
    strides, offset = _strides(lazy), _argument(lazy, "offset")
    contiguous = strides == _contiguous(lazy.shape)
    if contiguous and offset == 0 and lazy.shape == source.shape:
        return source
    part = _in_one(lazy, source) if _is(source, *_JOINED) else None
    if part is None and contiguous and _is(source, "viewed"):
        part = _slice_of(lazy, source)
    return lazy if part is None else narrowed(part)


def is_joined(lazy: Lazy) -> bool:
    """Whether the elements of a tensor are those of its inputs, one after another."""
    return _is(lazy, *_JOINED) and bool(lazy.shape) and _argument(lazy, "dim") == 0


def _in_one(lazy: Lazy, source: Lazy) -> Lazy | None:
    """A view of the one input of `source` in which all of it lies."""
    dim, offset = _argument(source, "dim"), _argument(lazy, "offset")
    last = offset + sum((side - 1) * stride for side, stride in zip(lazy.shape, _strides(lazy), strict=True))
    chunks = [torch.Size(item.shape[dim:]).numel() for item in source.inputs]
    period = sum(chunks)  # each index before `dim` has a chunk of every input
    number = offset // period
    begins = number * period
    for item, chunk in zip(source.inputs, chunks, strict=True):
        if begins <= offset and last < begins + chunk:
            return _viewed(item, lazy.shape, _strides(lazy), number * chunk + offset - begins)
        begins += chunk
    return None


def _slice_of(lazy: Lazy, source: Lazy) -> Lazy | None:
    """What a run of the elements of a view is in what that is a view of."""
    start, sides, strides = _argument(lazy, "offset"), list(source.shape), list(_strides(source))
    offset = _argument(source, "offset")
    while sides and torch.Size(sides).numel() > lazy.count:
        one = torch.Size(sides[1:]).numel()
        number = start // one
        if start + lazy.count > (number + 1) * one:
            return None
        offset, start = offset + number * strides[0], start - number * one
        del sides[0], strides[0]
    kept = [(side, stride) for side, stride in zip(sides, strides, strict=True) if side > 1]
    if start or [side for side, _ in kept] != [side for side in lazy.shape if side > 1]:
        return None
    left = iter(kept)
    found = tuple(next(left)[1] if side > 1 else 1 for side in lazy.shape)
    return _viewed(source.inputs[0], lazy.shape, found, offset)


def _viewed(source: Lazy, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Lazy:
    arguments: dict[str, Any] = {"sides": shape, "strides": _plain(shape, strides), "offset": offset}
    return Recipe(shape=shape, dtype=source.dtype, inputs=(source,), function="viewed", arguments=arguments)


def _plain(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, those of sides of one as they are in a contiguous tensor."""
    usual = _contiguous(shape)
    return tuple(
        stride if side > 1 else other for side, stride, other in zip(shape, strides, usual, strict=True)
    )


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(torch.Size(shape[place + 1 :]).numel() for place in range(len(shape)))


def _is(lazy: Lazy, *functions: str) -> bool:
    return isinstance(lazy, Recipe) and lazy.function in functions


def _strides(lazy: Lazy) -> tuple[int, ...]:
    return _plain(lazy.shape, _argument(lazy, "strides"))


def _argument(lazy: Lazy, name: str) -> Any:
    assert isinstance(lazy, Recipe)
    return lazy.arguments[name]
