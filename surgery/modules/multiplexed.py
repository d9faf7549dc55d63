"""A linear map that shares its weight with others and has a small transformation of its own around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.lora import weight_of
from surgery.functions.multiplexed import multiplied_heads, multiplied_units
from surgery.lazy import Lazy, recipe_like
from surgery.modules.made import MadeLinear


@dataclass(frozen=True)
class Transformation:
    """What is each layer's own: mixes of heads, or a factor for each unit, at its outputs or its inputs.

    `heads` and `sizes` are of sections side by side, such as queries, keys and values in one matrix: how many
    heads, and how wide one is. There are none where each unit has a factor.
    """

    at_inputs: bool
    heads: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def names(self) -> list[str]:
        """Its parameters: `mix_0` …, or `gain`."""
        return [f"mix_{number}" for number in range(len(self.heads))] or ["gain"]


class MultiplexedLinear(MadeLinear):
    """`T(x W′ᵀ) + b`, or `T(x) W′ᵀ + b`: `shared` is W′, stored as the weight of the module before was.

    T has a factor for each unit (`gain`), or mixes heads by a matrix (heads, heads) for each section of them
    (`mix_0` …), so that the weight is diag(g) W′ or (M ⊗ I) W′ without being made at a call. All are on meta
    until their values are set. The bias is as it was.
    """

    transformation: Transformation

    def __init__(self, replaced: nn.Module, transformation: Transformation) -> None:
        super().__init__(replaced)
        self.transformation = transformation
        self._own("shared", tuple(weight_of(replaced).shape), replaced)
        width = self.in_features if transformation.at_inputs else self.out_features
        for name, heads in zip(transformation.names, transformation.heads or (0,), strict=True):
            self._own(name, (heads, heads) if heads else (width,), replaced)
        self.register_parameter("bias", replaced._parameters.get("bias"))

    @property
    def dim(self) -> int:
        """The dimension of the stored weight along which the transformation goes."""
        return int(self.transformation.at_inputs is not self.transposed)

    @property
    def weight(self) -> torch.Tensor:
        shared, own = self.get_parameter("shared"), self._transforming
        if not self.transformation.heads:
            return multiplied_units(shared, *own, dim=self.dim)
        heads, sizes = self.transformation.heads, self.transformation.sizes
        return multiplied_heads(shared, *own, dim=self.dim, heads=heads, sizes=sizes)

    @property
    def _transforming(self) -> list[nn.Parameter]:
        return [self.get_parameter(name) for name in self.transformation.names]

    def multiplied_out(self, own: Mapping[str, Lazy]) -> Lazy:
        inputs = [own["shared"], *(own[name] for name in self.transformation.names)]
        if not self.transformation.heads:
            return recipe_like(inputs[0], "multiplied_units", *inputs, dim=self.dim)
        heads, sizes = self.transformation.heads, self.transformation.sizes
        return recipe_like(inputs[0], "multiplied_heads", *inputs, dim=self.dim, heads=heads, sizes=sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any number of dimensions, the last of them `in_features`."""
        shared, bias = self.get_parameter("shared"), self._parameters["bias"]
        weight = shared.T if self.transposed else shared
        if self.transformation.at_inputs:
            return F.linear(self._transformed(x), weight, bias)
        made = self._transformed(F.linear(x, weight))
        return made if bias is None else made + bias

    def _transformed(self, x: torch.Tensor) -> torch.Tensor:
        if not self.transformation.heads:
            return x * self.get_parameter("gain")
        heads, sizes = self.transformation.heads, self.transformation.sizes
        widths = [count * size for count, size in zip(heads, sizes, strict=True)]
        mixed = [
            torch.matmul(mix.T if self.transformation.at_inputs else mix, part.unflatten(-1, (count, size)))
            for mix, count, size, part in zip(
                self._transforming, heads, sizes, x.split(widths, -1), strict=True
            )
        ]
        return (
            mixed[0].flatten(-2) if len(mixed) == 1 else torch.cat([item.flatten(-2) for item in mixed], -1)
        )

    def extra_repr(self) -> str:
        kind = self.transformation
        said = f"heads={'+'.join(map(str, kind.heads))}" if kind.heads else "gains"
        side = "inputs" if kind.at_inputs else "outputs"
        return f"in_features={self.in_features}, out_features={self.out_features}, own={said} at the {side}"
