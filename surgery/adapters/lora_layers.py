"""LoRA on convolutions and embeddings, with the factors that PEFT gives them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Spot, root_of, zeros
from surgery.adapters.lora import LowRank, weight_of
from surgery.lazy import Lazy, recipe

Conv = nn.Conv1d | nn.Conv2d
_POINTWISE = {3: F.conv1d, 4: F.conv2d}


class LoraConv(LowRank):
    """`base(x)` + scale · B ∗ (A ∗ x) around a convolution without groups; bit-equal at first.

    `lora_A` is rank × inputs × kernel and goes over x as the base does, `lora_B` is outputs × rank × 1 (× 1).
    """

    lora_A: nn.Parameter  # noqa: N815
    lora_B: nn.Parameter  # noqa: N815

    def __init__(self, base: nn.Module, rank: int, alpha: float, stabilised: bool = False) -> None:
        super().__init__(base)
        weight = weight_of(root_of(base))
        self.ranked(rank, alpha, stabilised)
        self.own("lora_A", (rank, *weight.shape[1:]), weight.dtype)
        self.own("lora_B", (weight.shape[0], rank, *(1 for _ in weight.shape[2:])), weight.dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        a, b = self.lora_A, self.lora_B
        drawn = spot.uniform("lora_A", tuple(a.shape), a.dtype, a[0].numel() ** -0.5)
        return {"lora_A": drawn, "lora_B": zeros(tuple(b.shape), b.dtype)}

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        weight = base["weight"]
        return {
            "weight": recipe("fold_low_rank_conv", weight, own["lora_A"], own["lora_B"], scale=self.factor)
        }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        if not self.active:
            return result
        root = root_of(self)
        assert isinstance(root, Conv)
        inner = root._conv_forward(x, self.lora_A, None)  # its stride, dilation and padding of any mode
        return result + self.factor * _POINTWISE[self.lora_B.dim()](inner, self.lora_B)


class LoraEmbedding(LowRank):
    """`base(i)` + scale · (B A)[:, i] around an embedding; A starts at zero, so the output is bit-equal.

    `lora_embedding_A` is rank × rows, `lora_embedding_B` width × rank.
    """

    lora_embedding_A: nn.Parameter  # noqa: N815
    lora_embedding_B: nn.Parameter  # noqa: N815

    def __init__(self, base: nn.Module, rank: int, alpha: float, stabilised: bool = False) -> None:
        super().__init__(base)
        weight = weight_of(root_of(base))
        self.ranked(rank, alpha, stabilised)
        self.own("lora_embedding_A", (rank, weight.shape[0]), weight.dtype)
        self.own("lora_embedding_B", (weight.shape[1], rank), weight.dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        a, b = self.lora_embedding_A, self.lora_embedding_B
        drawn = spot.uniform("lora_embedding_B", tuple(b.shape), b.dtype, b.shape[1] ** -0.5)
        return {"lora_embedding_A": zeros(tuple(a.shape), a.dtype), "lora_embedding_B": drawn}

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        a, b = own["lora_embedding_A"], own["lora_embedding_B"]
        weight = base["weight"]
        return {"weight": recipe("fold_low_rank", weight, a, b, scale=self.factor, transposed=True)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        if not self.active:
            return result
        rows = F.embedding(x, self.lora_embedding_A.T)
        return result + self.factor * F.linear(rows, self.lora_embedding_B)
