"""The dtype of the result: steps before and after a merge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch

from surgery.checkpoint.tensors import Checkpoint
from surgery.mergekit.config import MergeFile
from surgery.mergekit.models import OurModel
from surgery.operations.cast import stays_wide


def casts(
    file: MergeFile, ours: OurModel, others: Sequence[Checkpoint]
) -> tuple[torch.dtype | None, torch.dtype | None]:
    """The dtypes that our model is cast to before the merge and after it, None for not at all.

    Steps compute in float32 or wider and write our model's dtype. It is made wide enough for the result
    before, and narrow afterwards. Without a dtype in the file the result has the widest of each tensor's.
    """
    mine = ours.dtypes()
    said = file.out_dtype or file.dtype
    if said is None:
        wider = _widest(mine | _dtypes_of(others))
        return (wider if _is_narrower(ours, others) else None), None
    result: torch.dtype = getattr(torch, said)
    needed = {result} | ({torch.float64} if file.dtype == "float64" else set())
    narrow = any(torch.promote_types(own, other) != own for own in mine for other in needed)
    before = _widest(mine | needed) if narrow else None
    after = result if _changes(ours, before, result) else None
    return before, after


def _changes(ours: OurModel, before: torch.dtype | None, result: torch.dtype) -> bool:
    """Whether a cast to the result's dtype would change a parameter; transformers keeps some in float32."""
    return any(
        (before or parameter.dtype) != result and not stays_wide(ours.module, name, result)
        for name, parameter in ours.module.named_parameters()
        if parameter.is_floating_point()
    )


def _widest(dtypes: set[torch.dtype]) -> torch.dtype:
    return reduce(torch.promote_types, sorted(dtypes, key=str))


def _dtypes_of(others: Sequence[Checkpoint]) -> set[torch.dtype]:
    found = {lazy.dtype for other in others for lazy in (other.converted or {}).values()}
    return {dtype for dtype in found if dtype.is_floating_point}


def _is_narrower(ours: OurModel, others: Sequence[Checkpoint]) -> bool:
    """Whether another model has a tensor in a dtype that ours cannot hold."""
    for name, parameter in ours.module.named_parameters():
        for other in others if parameter.is_floating_point() else ():
            lazy = (other.converted or {}).get(name)
            if lazy is not None and torch.promote_types(lazy.dtype, parameter.dtype) != parameter.dtype:
                return True
    return False
