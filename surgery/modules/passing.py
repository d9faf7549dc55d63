"""Modules that stand in the place of others: they let by what they are given, or give nothing on."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class PassThrough(nn.Module):
    """Returns its first argument as it is, whatever else it is given.

    With `pair` the result is (tensor, None), as attention modules and some blocks of transformers return it.
    """

    def __init__(self, pair: bool = False) -> None:
        super().__init__()
        self.pair = pair

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """The first argument, of any shape."""
        return (hidden_states, None) if self.pair else hidden_states


class Nothing(nn.Module):
    """Returns zeros like its first argument: added to a residual stream, nothing."""

    def __init__(self, pair: bool = False) -> None:
        super().__init__()
        self.pair = pair

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Zeros like the first argument."""
        zeros = torch.zeros_like(hidden_states)
        return (zeros, None) if self.pair else zeros


class Silent(nn.Module):
    """Returns the number zero, whatever it is given: a branch that adds nothing to a sum."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Zero, of no dimension and the dtype of the argument."""
        return hidden_states.new_zeros(())


class Layer(nn.Module):
    """A block made of one module: of all that blocks are given it hands on the hidden states alone."""

    def __init__(self, base: nn.Module, pair: bool = False) -> None:
        super().__init__()
        self.base, self.pair = base, pair

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the module makes of the first argument."""
        result = self.base(hidden_states)
        return (result, None) if self.pair else result


def as_block(module: nn.Module, pair: bool) -> nn.Module:
    """The module as one that takes what a block or a part of one is given, and returns what that does."""
    return PassThrough(pair) if isinstance(module, PassThrough) else Layer(module, pair)
