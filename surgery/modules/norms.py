"""Norms that torch has not: what a rewrite puts in the place of another."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ShiftedRMSNorm(nn.Module):
    """x / √(mean x² + ε) ⊙ γ + β over the last dimension: an RMSNorm that kept a LayerNorm's bias."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = weight, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X of any shape whose last dimension is that of the weight."""
        return F.rms_norm(x, tuple(self.weight.shape), self.weight, self.eps) + self.bias

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, eps={self.eps}"


def without_centring(norm: nn.LayerNorm) -> nn.Module:
    """The RMSNorm with the ε, γ and β of a LayerNorm: the same where the mean of what it reads is 0."""
    weight, bias = norm._parameters.get("weight"), norm._parameters.get("bias")
    if weight is not None and bias is not None:
        return ShiftedRMSNorm(weight, bias, norm.eps).train(norm.training)
    shape = list(norm.normalized_shape)
    made = nn.RMSNorm(shape, eps=norm.eps, elementwise_affine=False)
    made.elementwise_affine = weight is not None
    made._parameters["weight"] = weight
    return made.train(norm.training)
