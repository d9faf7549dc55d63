"""Small models of which an adviser's answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import surgery
from surgery.evaluate import Examples, tensors

TURN = ((0.0, -1.0), (1.0, 0.0))
"""A quarter turn of the plane."""


class Stack(nn.Module):
    """Blocks in a list, one after another; what the last gives are the logits."""

    def __init__(self, blocks: Sequence[nn.Module], head: nn.Module | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.head = head or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x)
        return logits


class Inner(nn.Module):
    """A residual block of a linear layer and a ReLU that torch has as a function."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.up(x)))


def linear(weight: object) -> nn.Linear:
    """A linear layer of just this matrix."""
    matrix = torch.as_tensor(weight, dtype=torch.float32)
    made = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    made.weight.data = matrix.clone()
    return made


def plane(*matrices: object) -> tuple[surgery.Session, Examples]:
    """Linear blocks of the plane, and random points of it."""
    torch.manual_seed(0)
    points = torch.randn(12, 2)
    return surgery.open(Stack([*map(linear, matrices)]), points[:1]), tensors(points)


def classifier(blocks: int = 3, width: int = 4) -> tuple[surgery.Session, Examples]:
    """Residual blocks under a head of three classes, and labelled points."""
    torch.manual_seed(0)
    model = Stack([Inner(width) for _ in range(blocks)], nn.Linear(width, 3)).eval()
    points = torch.randn(24, width)
    return surgery.open(model, points[:1]), tensors(points, torch.arange(24) % 3)


def loss_of(model: nn.Module, examples: Examples) -> Tensor:
    """The mean cross-entropy of a classifier."""
    assert examples.labels is not None
    return nn.functional.cross_entropy(model(next(iter(examples.inputs.values()))), examples.labels)
