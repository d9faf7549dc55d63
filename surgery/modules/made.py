"""Linear modules whose weight is made of other parameters, and which can be written out as plain ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn

from surgery.adapters.lora import is_transposed, weight_of, widths
from surgery.lazy import Lazy

_META = torch.device("meta")


class MadeLinear(nn.Module, ABC):
    """`x Wᵀ + b` in the place of a linear module, with W made of parameters that others may share.

    The bias is that of the linear module. `transposed`: whether that stored its weight as inputs × outputs.
    """

    transposed: bool
    in_features: int
    out_features: int

    def __init__(self, replaced: nn.Module) -> None:
        super().__init__()
        self.transposed = is_transposed(replaced)
        self.in_features, self.out_features = widths(replaced)
        self.training = replaced.training

    def _own(self, name: str, shape: tuple[int, ...], replaced: nn.Module) -> None:
        """A parameter on meta, of the dtype of the weight before and trained as that was."""
        like = weight_of(replaced)
        empty = torch.empty(shape, dtype=like.dtype, device=_META)
        self.register_parameter(name, nn.Parameter(empty, requires_grad=like.requires_grad))

    @property
    @abstractmethod
    def weight(self) -> torch.Tensor:
        """W, as the module in whose place this stands had it; made anew each time."""

    @abstractmethod
    def multiplied_out(self, own: Mapping[str, Lazy]) -> Lazy:
        """W, of this module's parameters by their names."""

    def plain(self) -> nn.Module:
        """The linear module that this stands for, around the same bias, its weight on meta."""
        made: nn.Module
        dtype = next(iter(self._parameters.values())).dtype  # type: ignore[union-attr]
        with _META:
            if self.transposed:
                from transformers.pytorch_utils import Conv1D

                made = Conv1D(self.out_features, self.in_features).to(dtype)
            else:
                made = nn.Linear(self.in_features, self.out_features, bias=False, dtype=dtype)
        made._parameters["bias"] = self._parameters["bias"]
        trained = any(item.requires_grad for name, item in self.named_parameters() if name != "bias")
        made.get_parameter("weight").requires_grad_(trained)
        return made.train(self.training)
