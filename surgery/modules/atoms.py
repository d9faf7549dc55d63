"""A linear map whose weight is a combination of matrices that it shares with others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.lora import weight_of
from surgery.functions.atoms import combined_atoms
from surgery.lazy import Lazy, recipe_like
from surgery.modules.made import MadeLinear


class AtomLinear(MadeLinear):
    """`x Wᵀ + b` with W = Σ cₛ Dₛ, made at each call: `count` products of the weight's size, whatever x is.

    `atom_0` … are the matrices Dₛ, stored as the weight of the module in whose place this stands is;
    `coefficients` are the cₛ, (count,). All are on meta until their values are set. The bias is as it was.
    """

    count: int

    def __init__(self, replaced: nn.Module, count: int) -> None:
        super().__init__(replaced)
        self.count = count
        self._own("coefficients", (count,), replaced)
        for number in range(count):
            self._own(f"atom_{number}", tuple(weight_of(replaced).shape), replaced)
        self.register_parameter("bias", replaced._parameters.get("bias"))

    @property
    def weight(self) -> torch.Tensor:
        return combined_atoms(*(self.get_parameter(name) for name in self._names))

    @property
    def _names(self) -> list[str]:
        return ["coefficients", *(f"atom_{number}" for number in range(self.count))]

    def multiplied_out(self, own: Mapping[str, Lazy]) -> Lazy:
        return recipe_like(own["atom_0"], "combined_atoms", *(own[name] for name in self._names))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any number of dimensions, the last of them `in_features`."""
        weight = self.weight
        return F.linear(x, weight.T if self.transposed else weight, self._parameters["bias"])

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, atoms={self.count}"
