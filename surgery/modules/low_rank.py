"""A linear layer as two thin ones."""

from __future__ import annotations

import torch
from torch import nn

from surgery.adapters.lora import weight_of, widths


class LowRankLinear(nn.Module):
    """up(down(x)) = x Aᵀ Bᵀ + b: `down` has A (rank × inputs), `up` has B (outputs × rank) and the bias.

    Made for a linear module, whose very bias it takes over; A and B are on meta until they are set.
    """

    down: nn.Linear
    up: nn.Linear

    def __init__(self, base: nn.Module, rank: int) -> None:
        super().__init__()
        inputs, outputs = widths(base)
        with torch.device("meta"):
            self.down = nn.Linear(inputs, rank, bias=False, dtype=weight_of(base).dtype)
            self.up = nn.Linear(rank, outputs, bias=False, dtype=weight_of(base).dtype)
        self.up._parameters["bias"] = base._parameters.get("bias")
        self.train(base.training)

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

    @property
    def weight(self) -> torch.Tensor:
        """That of `up`: model code asks it for a dtype or a device; a product with it fails by its shape."""
        return self.up.weight

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, None where there is none."""
        return self.up._parameters.get("bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs) to (…, outputs)."""
        result: torch.Tensor = self.up(self.down(x))
        return result
