"""A linear layer, or a 1 × 1 convolution, as two thin ones."""

from __future__ import annotations

import torch
from torch import nn

from surgery.adapters.lora import weight_of, widths


class _Pair(nn.Module):
    """up(down(x)), made for a module whose very bias `up` takes over; both are on meta until they are set."""

    def __init__(self, base: nn.Module, down: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.down, self.up = down, up
        self.up._parameters["bias"] = base._parameters.get("bias")
        self.train(base.training)

    @property
    def weight(self) -> torch.Tensor:
        """That of `up`: model code asks it for a dtype or a device; a product with it fails by its shape."""
        found: torch.Tensor = self.up.weight  # type: ignore[assignment]
        return found

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, None where there is none."""
        return self.up._parameters.get("bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the shape that the layer gave."""
        result: torch.Tensor = self.up(self.down(x))
        return result


class LowRankLinear(_Pair):
    """x Aᵀ Bᵀ + b, (…, inputs) to (…, outputs): `down` has A (rank × inputs), `up` B (outputs × rank), b."""

    down: nn.Linear
    up: nn.Linear

    def __init__(self, base: nn.Module, rank: int) -> None:
        inputs, outputs = widths(base)
        with torch.device("meta"):
            down = nn.Linear(inputs, rank, bias=False, dtype=weight_of(base).dtype)
            up = nn.Linear(rank, outputs, bias=False, dtype=weight_of(base).dtype)
        super().__init__(base, down, up)

    @property
    def in_features(self) -> int:
        """How many inputs it has."""
        return self.down.in_features

    @property
    def out_features(self) -> int:
        """How many outputs it has."""
        return self.up.out_features

    @property
    def rank(self) -> int:
        """How many numbers pass between the two."""
        return self.down.out_features


class LowRankConv2d(_Pair):
    """A 1 × 1 convolution of A (rank × inputs × 1 × 1) and then B and the bias, at every place of an image.

    Stride and padding are those of the convolution, and `down` has them: no bias stands between the two.
    """

    down: nn.Conv2d
    up: nn.Conv2d

    def __init__(self, base: nn.Conv2d, rank: int) -> None:
        with torch.device("meta"):
            down = nn.Conv2d(
                base.in_channels,
                rank,
                1,
                stride=base.stride,  # type: ignore[arg-type]
                padding=base.padding,  # type: ignore[arg-type]
                padding_mode=base.padding_mode,
                bias=False,
                dtype=base.weight.dtype,
            )
            up = nn.Conv2d(rank, base.out_channels, 1, bias=False, dtype=base.weight.dtype)
        super().__init__(base, down, up)

    @property
    def rank(self) -> int:
        """How many numbers pass between the two at each place."""
        return self.down.out_channels


def of_low_rank(base: nn.Module, rank: int) -> LowRankLinear | LowRankConv2d:
    """Two thin modules in the place of a linear one."""
    return LowRankConv2d(base, rank) if isinstance(base, nn.Conv2d) else LowRankLinear(base, rank)
