"""LoRA: a low-rank addition to a linear map. Hu et al. 2021, arXiv:2106.09685."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_META = torch.device("meta")


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


class LoraLinear(nn.Module):
    """`base(x) + scale · x Aᵀ Bᵀ` around a linear module; B starts at zero, so the output is bit-equal.

    `lora_A` is rank × inputs, `lora_B` outputs × rank, both on meta until their values are set.
    """

    base: nn.Module
    rank: int
    alpha: float
    scale: float
    in_features: int
    out_features: int
    lora_A: nn.Parameter  # noqa: N815  the name that PEFT has for it
    lora_B: nn.Parameter  # noqa: N815

    def __init__(self, base: nn.Module, rank: int, alpha: float) -> None:
        super().__init__()
        weight = weight_of(base)
        inputs, outputs = widths(base)
        # Put where torch would put them: it asks of each what it is, which takes longer than all the rest.
        self._modules["base"] = base
        self.__dict__.update(rank=rank, alpha=alpha, scale=alpha / rank)
        self.__dict__.update(in_features=inputs, out_features=outputs, training=base.training)
        for name, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
            empty = torch.empty(shape, dtype=weight.dtype, device=_META)
            self._parameters[name] = nn.Parameter(empty)

    @property
    def weight(self) -> torch.Tensor:
        """The base's weight; model code asks it for a dtype or a device."""
        return self.base.get_parameter("weight")

    @property
    def bias(self) -> torch.Tensor | None:
        """The base's bias, None where it has none."""
        return self.base._parameters.get("bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        return result + self.scale * F.linear(F.linear(x, self.lora_A), self.lora_B)
