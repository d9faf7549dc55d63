"""A linear map whose weight is a combination of matrices that it shares with others."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.lora import is_transposed, weight_of, widths

_META = torch.device("meta")


class AtomLinear(nn.Module):
    """`x Wᵀ + b` with W = Σ cₛ Dₛ, made at each call: `count` products of the weight's size, whatever x is.

    `atom_0` … are the matrices Dₛ, stored as the weight of the module in whose place this stands is;
    `coefficients` are the cₛ, (count,). All are on meta until their values are set. The bias is as it was.
    """

    count: int
    transposed: bool
    in_features: int
    out_features: int

    def __init__(self, replaced: nn.Module, count: int) -> None:
        super().__init__()
        like = weight_of(replaced)
        self.count, self.transposed = count, is_transposed(replaced)
        self.in_features, self.out_features = widths(replaced)
        self.training = replaced.training
        names = [f"atom_{number}" for number in range(count)]
        for name, shape in (("coefficients", (count,)), *((name, like.shape) for name in names)):
            empty = torch.empty(shape, dtype=like.dtype, device=_META)
            self.register_parameter(name, nn.Parameter(empty, requires_grad=like.requires_grad))
        self.register_parameter("bias", replaced._parameters.get("bias"))

    @property
    def weight(self) -> torch.Tensor:
        """W, as the module in whose place this stands had it; made anew each time."""
        factors = self.get_parameter("coefficients")
        total = factors[0] * self.get_parameter("atom_0")
        for number in range(1, self.count):
            total = torch.addcmul(total, factors[number], self.get_parameter(f"atom_{number}"))
        return total

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any number of dimensions, the last of them `in_features`."""
        weight = self.weight
        return F.linear(x, weight.T if self.transposed else weight, self._parameters["bias"])

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, atoms={self.count}"
