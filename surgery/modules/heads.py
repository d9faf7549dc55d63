"""A linear map whose outputs are heads, each with a weight that another map may share."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.lora import weight_of, widths

_META = torch.device("meta")


class HeadsLinear(nn.Module):
    """`x Wᵀ + b`, W the weights of `count` heads one under another; they are put together at each call.

    `head_0` … are (outputs / count, inputs), on meta until their values are set. The bias is as it was, that
    of the linear module in whose place this stands.
    """

    count: int
    in_features: int
    out_features: int

    def __init__(self, replaced: nn.Module, count: int) -> None:
        super().__init__()
        like = weight_of(replaced)
        self.count = count
        self.in_features, self.out_features = widths(replaced)
        self.training = replaced.training
        for number in range(count):
            empty = torch.empty(self.out_features // count, self.in_features, dtype=like.dtype, device=_META)
            self.register_parameter(f"head_{number}", nn.Parameter(empty, requires_grad=like.requires_grad))
        self.register_parameter("bias", replaced._parameters.get("bias"))

    @property
    def weight(self) -> torch.Tensor:
        """W, (outputs, inputs), put together anew each time."""
        return torch.cat([self.get_parameter(f"head_{number}") for number in range(self.count)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any number of dimensions, the last of them `in_features`."""
        return F.linear(x, self.weight, self._parameters["bias"])

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, heads={self.count}"
