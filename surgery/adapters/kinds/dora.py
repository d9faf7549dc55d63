"""DoRA: the low-rank addition turns a weight's vectors, a magnitude of its own says how long each is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Adapter, Spot, blended, root_of
from surgery.adapters.kinds.kind import Kind, Settings
from surgery.adapters.lora import LoraLinear, is_linear, is_transposed, weight_of
from surgery.lazy import Lazy, recipe
from surgery.model import Patient


class DoraLinear(LoraLinear):
    """x (m V / ‖V‖)ᵀ + b with V = W + scale · B A around a linear module; ‖V‖ is each output's length.

    `magnitude` m is (outputs,) and starts as ‖W‖, so that the output is that of the base to rounding.
    """

    kind = "dora"
    additive = False  # its length is that of the weight below it, which nothing may have changed
    magnitude: nn.Parameter

    def __init__(self, base: nn.Module, rank: int, alpha: float) -> None:
        super().__init__(base, rank, alpha)
        self.own("magnitude", (self.out_features,), weight_of(base).dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        weight = spot.held("weight")
        turned, shape = is_transposed(root_of(self)), (self.out_features,)
        return super().starts(spot) | {
            "magnitude": recipe("output_lengths", weight, shape=shape, transposed=turned)
        }

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        weight, turned = base["weight"], is_transposed(root_of(self))
        factors = own["lora_A"], own["lora_B"], own["magnitude"]
        whole = recipe("fold_dora", weight, *factors, scale=self.scale, transposed=turned)
        return {"weight": blended(weight, whole, self.strength)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        if not self.active:
            return result
        weight, bias = self.weight, self.bias
        wide = torch.promote_types(weight.dtype, torch.float32)
        rows = weight.to(wide)
        rows = rows.T if is_transposed(root_of(self)) else rows
        moved = rows + self.scale * (self.lora_B.to(wide) @ self.lora_A.to(wide))
        # As in the paper (section 4.3), no gradient goes through the length.
        share = (self.magnitude.to(wide) / moved.norm(dim=1).detach()).to(result.dtype)
        linear = result if bias is None else result - bias
        added = F.linear(F.linear(x, self.lora_A), self.lora_B)
        made: torch.Tensor = (share - 1) * linear + share * self.scale * added
        return result + self.strength * made


def _misfit(module: nn.Module) -> str | None:
    return None if is_linear(module) else "is no linear module"


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    return DoraLinear(patient.module(path), settings.rank, settings.scaled)


DORA = Kind(
    name="dora",
    title="DoRA",
    source="Liu et al. 2024, arXiv:2402.09353",
    fields=("rank", "alpha", "seed"),
    parameters="r*(d + o) + o",
    exact=False,
    suits="Linear or Conv1D",
    misfit=_misfit,
    make=_made,
    innermost=True,
)
