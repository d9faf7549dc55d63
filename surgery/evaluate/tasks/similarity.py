"""How alike two sets of vectors are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from surgery.errors import SurgeryError


def cosines(ours: Tensor, theirs: Tensor, what: str) -> Tensor:
    """The cosine of each pair of vectors along the last dimension, exactly 1 where they are equal.

    Raises SurgeryError, naming `what`, for vectors of other shapes and for values that are no numbers.
    """
    if ours.shape != theirs.shape:
        raise SurgeryError(
            f"{what} has another shape in the edited model, so there is nothing to compare",
            got=tuple(ours.shape),
            expected=tuple(theirs.shape),
        )
    found = F.cosine_similarity(ours.float(), theirs.float(), dim=-1).clamp(-1, 1)
    return torch.where((ours == theirs).all(-1), torch.ones_like(found), found)


def refuse_no_numbers(values: Tensor, what: str) -> None:
    """SurgeryError where `values` hold NaN or infinity."""
    bad = int((~values.isfinite()).sum())
    if bad:
        raise SurgeryError(
            f"{what} are not numbers, so there is nothing to measure",
            got=f"{bad:,} NaN or infinite of {values.numel():,}",
            expected="finite values",
            hint="undo the last step, or evaluate in full precision with `exact=True`",
        )
