"""A linear map whose outputs are heads, each with a weight that another map may share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from surgery.lazy import Lazy, recipe
from surgery.modules.made import MadeLinear


class HeadsLinear(MadeLinear):
    """`x Wᵀ + b`, W the weights of `count` heads one under another; they are put together at each call.

    `head_0` … are (outputs / count, inputs), on meta until their values are set. The bias is as it was, that
    of the linear module in whose place this stands.
    """

    count: int

    def __init__(self, replaced: nn.Module, count: int) -> None:
        super().__init__(replaced)
        self.count = count
        for number in range(count):
            self._own(f"head_{number}", (self.out_features // count, self.in_features), replaced)
        self.register_parameter("bias", replaced._parameters.get("bias"))

    @property
    def weight(self) -> torch.Tensor:
        return torch.cat([self.get_parameter(name) for name in self._names])

    @property
    def _names(self) -> list[str]:
        return [f"head_{number}" for number in range(self.count)]

    def multiplied_out(self, own: Mapping[str, Lazy]) -> Lazy:
        heads = [own[name] for name in self._names]
        return recipe("concatenated", *heads, shape=(self.out_features, self.in_features), dim=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any number of dimensions, the last of them `in_features`."""
        return F.linear(x, self.weight, self._parameters["bias"])

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, heads={self.count}"
