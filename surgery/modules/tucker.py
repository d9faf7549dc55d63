"""A convolution as three: into fewer channels, over places among these, and out."""

from __future__ import annotations

import torch
from torch import nn


class TuckerConv2d(nn.Module):
    """last(core(first(x))): 1 × 1 from all inputs to s channels, k × k from s to r, 1 × 1 to all outputs.

    Made for a convolution, whose stride, padding, dilation and very bias it takes over; weights are on meta
    until they are set. Only `last` has a bias, so that what `core` pads with zeros was zeros before too.
    """

    first: nn.Conv2d
    core: nn.Conv2d
    last: nn.Conv2d

    def __init__(self, base: nn.Conv2d, outputs: int, inputs: int) -> None:
        super().__init__()
        dtype = base.weight.dtype
        with torch.device("meta"):
            self.first = nn.Conv2d(base.in_channels, inputs, 1, bias=False, dtype=dtype)
            self.core = nn.Conv2d(
                inputs,
                outputs,
                base.kernel_size,  # type: ignore[arg-type]
                stride=base.stride,  # type: ignore[arg-type]
                padding=base.padding,  # type: ignore[arg-type]
                dilation=base.dilation,  # type: ignore[arg-type]
                padding_mode=base.padding_mode,
                bias=False,
                dtype=dtype,
            )
            self.last = nn.Conv2d(outputs, base.out_channels, 1, bias=False, dtype=dtype)
        self.last._parameters["bias"] = base._parameters.get("bias")
        self.train(base.training)

    @property
    def weight(self) -> torch.Tensor:
        """That of `core`: model code asks it for a dtype or a device."""
        return self.core.weight

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, None where there is none."""
        return self.last._parameters.get("bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs, height, width) to (…, outputs, height, width)."""
        result: torch.Tensor = self.last(self.core(self.first(x)))
        return result
