"""LoRA: a low-rank addition to a linear map. Hu et al. 2021, arXiv:2106.09685."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Adapter, Spot, root_of, zeros
from surgery.lazy import Lazy, recipe


def is_transposed(module: nn.Module) -> bool:
    """Whether a linear module stores its weight as inputs × outputs, as GPT-2's Conv1D does."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def is_linear(module: nn.Module) -> bool:
    """Whether `module` computes x Wᵀ + b with a weight of its own, not one that is computed each time."""
    return (isinstance(module, nn.Linear) or is_transposed(module)) and "weight" in module._parameters


def widths(module: nn.Module) -> tuple[int, int]:
    """(inputs, outputs) of a linear module."""
    first, second = weight_of(module).shape
    return (first, second) if is_transposed(module) else (second, first)


def weight_of(module: nn.Module) -> nn.Parameter:
    """The weight of a linear module."""
    found = module._parameters.get("weight")
    return module.get_parameter("weight") if found is None else found


class LowRank(Adapter):
    """An adapter that adds scale · strength · B A, for a rank r and alpha, to a weight.

    `scale` is alpha / r, or alpha / √r where it is rank-stabilised (Kalajdzievski 2023, arXiv:2312.03732).
    """

    kind = "lora"
    rank: int
    alpha: float
    scale: float

    def ranked(self, rank: int, alpha: float, stabilised: bool) -> None:
        """Notes rank and alpha, and the scale that they make."""
        self.__dict__.update(rank=rank, alpha=alpha, scale=alpha / (rank**0.5 if stabilised else rank))
        if stabilised:
            self.__dict__["kind"] = "rslora"

    @property
    def factor(self) -> float:
        """What the product B A is multiplied by."""
        return self.scale * self.strength


class LoraLinear(LowRank):
    """`base(x) + scale · x Aᵀ Bᵀ` around a linear module; B starts at zero, so the output is bit-equal.

    `lora_A` is rank × inputs, `lora_B` outputs × rank, both on meta until their values are set.
    """

    in_features: int
    out_features: int
    lora_A: nn.Parameter  # noqa: N815  the name that PEFT has for it
    lora_B: nn.Parameter  # noqa: N815

    def __init__(self, base: nn.Module, rank: int, alpha: float, stabilised: bool = False) -> None:
        super().__init__(base)
        root = root_of(base)
        inputs, outputs = widths(root)
        self.ranked(rank, alpha, stabilised)
        self.__dict__.update(in_features=inputs, out_features=outputs)
        dtype = weight_of(root).dtype
        self.own("lora_A", (rank, inputs), dtype)
        self.own("lora_B", (outputs, rank), dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        a, b = self.lora_A, self.lora_B
        bound = self.in_features**-0.5
        drawn = spot.uniform("lora_A", tuple(a.shape), a.dtype, bound)
        return {"lora_A": drawn, "lora_B": zeros(tuple(b.shape), b.dtype)}

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        turned, a, b = is_transposed(root_of(self)), own["lora_A"], own["lora_B"]
        return {"weight": recipe("fold_low_rank", base["weight"], a, b, scale=self.factor, transposed=turned)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        if not self.active:
            return result
        return result + self.factor * F.linear(F.linear(x, self.lora_A), self.lora_B)
