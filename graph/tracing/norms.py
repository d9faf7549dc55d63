"""Batch norms at rest, told from shapes alone.

Torch has no kernel for their shapes: a fake tensor mode runs a dozen operators for each, and takes ten times
as long as for a convolution.
"""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

_aten = torch.ops.aten
_TRAINS: dict[Any, tuple[bool, ...]] = {
    _aten.native_batch_norm.default: (False,),
    _aten._native_batch_norm_legit_no_training.default: (),
}
"""By operator what is said between the statistics and the momentum: that they are not to be renewed."""

Kind = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]


def at_rest(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Kind, ...] | None:
    """Shapes, strides and dtypes of what a batch norm by given statistics returns.

    None for what is no such operator, and for arguments that it may refuse.
    """
    said = _TRAINS.get(operator)
    if said is None or kwargs or args[5 : 5 + len(said)] != said:
        return None
    x, weight, bias, mean, variance = args[:5]
    if x.dim() < 2 or not x.numel() or not x.is_floating_point() or mean is None or variance is None:
        return None
    if any(own is not None and own.shape != x.shape[1:2] for own in (weight, bias, mean, variance)):
        return None
    return (tuple(x.shape), _dense(x), x.dtype), *[((0,), (1,), x.dtype)] * 2


def _dense(x: FakeTensor) -> tuple[int, ...]:
    """The strides of a tensor like `x` that leaves no room between its entries."""
    with torch._C._DisableTorchDispatch():
        return torch.empty_like(torch.empty_strided(x.shape, x.stride(), device="meta")).stride()
