"""Which tensors lie over the same memory, fake ones included."""

from math import prod

import torch
from torch.utils._python_dispatch import _disable_current_modes

MOST = 1 << 24
"""Elements of a storage up to which an overlap is looked up exactly; beyond, it is assumed."""


def storage_of(tensor: torch.Tensor) -> int:
    """A number equal for tensors over one storage; a tensor without one has a number of its own."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def overlap(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether two tensors over one storage have an element in common.

    The halves that `chunk` makes do not, though their elements alternate.
    """
    if one is two:
        return True
    if one.layout != torch.strided or two.layout != torch.strided or one.dtype != two.dtype:
        return True
    ends = []
    for tensor in (one, two):
        if not tensor.numel():
            return False
        last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
        ends.append((tensor.storage_offset(), tensor.storage_offset() + last + 1))
    if ends[0][0] >= ends[1][1] or ends[1][0] >= ends[0][1]:
        return False
    dense = [prod(tensor.shape) == end - start for tensor, (start, end) in zip((one, two), ends, strict=True)]
    size = max(end for _, end in ends)
    if all(dense) or size > MOST:
        return True
    with _disable_current_modes():
        taken = torch.zeros(size, dtype=torch.bool)
        taken.as_strided(one.shape, one.stride(), one.storage_offset()).fill_(True)
        return bool(taken.as_strided(two.shape, two.stride(), two.storage_offset()).any())
