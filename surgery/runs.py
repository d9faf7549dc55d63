"""Two of the three runs of a plan: live computes tensors, skeleton only remembers what they are."""

from __future__ import annotations

import torch
from torch import nn

from surgery.lazy import Held, Lazy
from surgery.recipes import compute


class Live:
    """Computes each lazy tensor once; a node set at several sites becomes one Parameter, a tie."""

    def __init__(self) -> None:
        self.tensors: dict[int, torch.Tensor] = {}
        self.parameters: dict[int, nn.Parameter] = {}
        self.kept: list[Lazy] = []

    def parameter(self, lazy: Lazy, *, trainable: bool) -> nn.Parameter:
        if isinstance(lazy, Held):
            return lazy.parameter
        if id(lazy) not in self.parameters:
            self.kept.append(lazy)
            self.parameters[id(lazy)] = nn.Parameter(compute(lazy, self.tensors), requires_grad=trainable)
        return self.parameters[id(lazy)]


class Skeleton:
    """Makes parameters on meta; `lineage` says, by id of Parameter, what each stands for."""

    def __init__(self) -> None:
        self.lineage: dict[int, Lazy] = {}
        self.parameters: dict[int, nn.Parameter] = {}

    def parameter(self, lazy: Lazy, *, trainable: bool) -> nn.Parameter:
        if isinstance(lazy, Held):
            return lazy.parameter
        if id(lazy) not in self.parameters:
            empty = torch.empty(lazy.shape, dtype=lazy.dtype, device="meta")
            made = nn.Parameter(empty, requires_grad=trainable)
            self.parameters[id(lazy)] = made
            self.lineage[id(made)] = lazy
        return self.parameters[id(lazy)]
