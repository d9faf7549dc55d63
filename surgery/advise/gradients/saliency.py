"""Numbers per weight, added up per path: what SNIP, GraSP and SynFlow have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from surgery.advise.case import Case
from surgery.advise.loss import Loss
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.precision import wide


def trained(case: Case) -> dict[str, nn.Parameter]:
    """The floating parameters of the case's model by their first paths, all asking for gradients from now on.

    SurgeryError where there are none.
    """
    found = {name: held for name, held in case.model.named_parameters() if held.is_floating_point()}
    if not found:
        raise SurgeryError("the model has no weights to score", got=type(case.model).__name__)
    for parameter in found.values():
        parameter.requires_grad_(True)
    return found


def averaged(
    case: Case, loss: Loss, held: Mapping[str, nn.Parameter], of: Callable[[Batch], tuple[Tensor, ...]]
) -> dict[str, Tensor]:
    """The mean over the examples of sums `of` a batch, one tensor per parameter, float32."""
    total = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in held.values()]
    for parts, _ in case.over(of, loss.room):
        for known, more in zip(total, parts, strict=True):
            known += more
    return {name: sums / case.seen for name, sums in zip(held, total, strict=True)}


def per_path(case: Case, held: Mapping[str, nn.Parameter], by_name: Mapping[str, Tensor]) -> Tensor:
    """The sum at or below each path of the case, (paths,) float64; NaN where it has no weights.

    A tensor that is tied counts in full at each of its ends.
    """
    sums = {id(held[name]): float(wide(values).sum()) for name, values in by_name.items()}
    found = []
    for path in case.paths:
        inside = case.parameters(path).values()
        found.append(sum(sums[id(parameter)] for parameter in inside) if inside else torch.nan)
    return torch.tensor(found, dtype=torch.float64)


def in_per_cent(found: Tensor, by_name: Mapping[str, Tensor]) -> Tensor:
    """Sums of paths as parts of the whole model's, which must not be zero."""
    whole = sum(float(wide(values).sum()) for values in by_name.values())
    if not whole:
        raise SurgeryError("nothing in the model changes what is scored: every weight has zero")
    return 100 * found / whole
