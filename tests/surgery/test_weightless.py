"""Modules built without values for their parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from surgery.weightless import LARGE, weightless


class Tied(nn.Module):
    """One parameter under three names, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.head = nn.Linear(4, 8, bias=False)
        self.head.weight = self.embed.weight
        shared = nn.Parameter(torch.ones(3), requires_grad=False)
        self.one, self.two = shared, shared
        self.register_buffer("steps", torch.arange(4.0))
        self.register_parameter("none", None)


def test_nothing_is_drawn_for_what_has_no_values() -> None:
    """Filling a parameter is left out, by whatever name; a buffer is filled as ever."""
    torch.manual_seed(0)
    expected = torch.randn(4)
    torch.manual_seed(0)
    with weightless():
        layer = nn.Linear(3, 2)
        assert nn.init.normal_(layer.weight, std=2.0) is layer.weight
        assert nn.init.zeros_(layer.bias) is layer.bias and layer.weight.uniform_() is layer.weight
        buffer = nn.init.normal_(torch.empty(4))
    assert layer.weight.is_meta and torch.equal(buffer, expected)


def test_parameters_are_on_meta_with_their_ties() -> None:
    """Each object is made once, and keeps whether it is trained; buffers have their values."""
    with weightless():
        made = Tied()
    assert all(parameter.is_meta for parameter in made.parameters())
    assert made.head.weight is made.embed.weight
    assert made.one is made.two and not made.one.requires_grad and made.head.weight.requires_grad
    assert made.steps.tolist() == [0, 1, 2, 3] and made.none is None


def test_what_is_too_large_for_this_machine_is_built() -> None:
    """A tensor of a terabyte is never asked for, whichever way its size is given."""
    with weightless():
        experts = nn.Parameter(torch.empty(1024, 16384, 16384))
        listed = torch.zeros([1024, 16384, 16384])
        named = torch.ones(size=(1024, 16384, 16384), dtype=torch.bfloat16)
    assert experts.is_meta and listed.is_meta and named.is_meta
    assert experts.shape == (1024, 16384, 16384) and named.dtype == torch.bfloat16


def test_tables_of_ordinary_size_are_real() -> None:
    """Buffers are computed from them."""
    with weightless():
        assert not torch.ones(LARGE // 64).is_meta


def test_lazy_parameters_stay_lazy() -> None:
    """They have no shape that meta could keep."""
    with weightless():
        made = nn.LazyLinear(4)
    assert made.has_uninitialized_params()


def test_modules_are_built_as_ever_afterwards() -> None:
    """Also after an error inside."""
    register = nn.Module.register_parameter
    with pytest.raises(RuntimeError, match="half-way"), weightless():
        raise RuntimeError("half-way")
    assert nn.Module.register_parameter is register
    assert not nn.Linear(2, 2).weight.is_meta and not torch.empty(2).is_meta
