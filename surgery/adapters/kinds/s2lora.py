"""S2-LoRA: A and B are shared by all modules of one shape, which differ in r numbers each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Adapter, Spot
from surgery.adapters.kinds.kind import Kind, Settings
from surgery.adapters.lora import LoraLinear, is_linear
from surgery.lazy import Lazy, recipe
from surgery.model import Patient


class S2LoraLinear(LoraLinear):
    """`base(x) + scale · B diag(s) A x`, A and B tied to those of all others of this shape.

    `s` is (rank,) and zero at first, so that the output is bit-equal; A and B are drawn both, since with B
    zero as well nothing would ever get a gradient.
    """

    kind = "s2lora"
    s: nn.Parameter

    def __init__(self, base: nn.Module, rank: int, alpha: float) -> None:
        super().__init__(base, rank, alpha)
        self.own("s", (rank,), self.lora_A.dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        b = self.lora_B
        drawn = spot.uniform("lora_B", tuple(b.shape), b.dtype, self.rank**-0.5)
        s = recipe("zeros", shape=(self.rank,), dtype=b.dtype)
        return super().starts(spot) | {"lora_B": drawn, "s": s}

    def shares(self, role: str) -> Mapping[str, Hashable]:
        return dict.fromkeys(("lora_A", "lora_B"), "all")

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        scaled = recipe("times_along", own["lora_A"], own["s"], dim=0)
        return super().folded({**own, "lora_A": scaled}, base)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        if not self.active:
            return result
        return result + self.factor * F.linear(self.s * F.linear(x, self.lora_A), self.lora_B)


def _misfit(module: nn.Module) -> str | None:
    return None if is_linear(module) else "is no linear module"


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    return S2LoraLinear(patient.module(path), settings.rank, settings.scaled)


S2LORA = Kind(
    name="s2lora",
    title="S2-LoRA",
    source="Liu et al. 2023, arXiv:2309.11756",
    fields=("rank", "alpha", "seed"),
    parameters="r, and r*(d + o) once for all of a shape",
    exact=True,
    suits="Linear or Conv1D",
    misfit=_misfit,
    make=_made,
)
