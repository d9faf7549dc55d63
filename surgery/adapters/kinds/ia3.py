"""(IA)³: one learned factor for each output of a linear module, or for each of its inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from surgery.adapters.adapter import Adapter, Spot, between, blended, root_of
from surgery.adapters.kinds.kind import Kind, Settings, Side
from surgery.adapters.lora import is_linear, is_transposed, weight_of, widths
from surgery.lazy import Lazy, recipe
from surgery.model import Patient


class Ia3Linear(Adapter):
    """l · base(x), or base(l · x) with `side` "input", around a linear module; l is one at first: bit-equal.

    `ia3_l` is (outputs,) or (inputs,). The bias is multiplied as well, as part of the output.
    """

    kind = "ia3"
    additive = False
    side: Side
    ia3_l: nn.Parameter

    def __init__(self, base: nn.Module, side: Side) -> None:
        super().__init__(base)
        root = root_of(base)
        inputs, outputs = widths(root)
        self.__dict__["side"] = side
        self.own("ia3_l", (inputs if side == "input" else outputs,), weight_of(root).dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        return {"ia3_l": recipe("ones", shape=tuple(self.ia3_l.shape), dtype=self.ia3_l.dtype)}

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        along = int((self.side == "input") != is_transposed(root_of(self)))
        found = {"weight": recipe("times_along", base["weight"], own["ia3_l"], dim=along)}
        if "bias" in base and self.side == "output":
            found["bias"] = recipe("times_along", base["bias"], own["ia3_l"], dim=0)
        return {name: blended(base[name], lazy, self.strength) for name, lazy in found.items()}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.active:
            off: torch.Tensor = self.base(x)
            return off
        if self.side == "input":
            scaled: torch.Tensor = self.base(between(x, self.ia3_l * x, self.strength))
            return scaled
        result: torch.Tensor = self.base(x)
        return between(result, self.ia3_l * result, self.strength)


def _misfit(module: nn.Module) -> str | None:
    return None if is_linear(module) else "is no linear module"


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    return Ia3Linear(patient.module(path), settings.side)


IA3 = Kind(
    name="ia3",
    title="(IA)³",
    source="Liu et al. 2022, arXiv:2205.05638",
    fields=("side",),
    parameters="o",
    exact=True,
    suits="Linear or Conv1D",
    misfit=_misfit,
    make=_made,
)
