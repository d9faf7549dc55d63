"""Sessions whose adapters have values as training leaves them, and modules with adapters by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import surgery
from surgery.adapters.adapter import Adapter
from surgery.session import Session
from tests.surgery.contract import MODELS

SITES = {"scse": ("cnn", "stem[1], stage2[*]"), "bottleneck": ("tied_head", "blocks[0], blocks[1].norm")}
"""Where kinds go that are about no linear module."""


def opened(kind: str) -> tuple[Session, str]:
    """A session on a model of the zoo, and modules there that suit a kind."""
    name, targets = SITES.get(kind, ("tied_head", "blocks[0:2].{up,down}"))
    model, inputs = MODELS[name]()
    return surgery.open(model, inputs), targets


def adapters_of(model: nn.Module) -> dict[str, Adapter]:
    """The adapters of a model by path."""
    return {path: item for path, item in model.named_modules() if isinstance(item, Adapter)}


def train(model: nn.Module, seed: int = 0, name: str | None = None) -> None:
    """Gives the adapters of a model, or those of one name, other values: what is drawn is not small."""
    drawn = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    with torch.no_grad():
        for adapter in adapters_of(model).values():
            for parameter in adapter._parameters.values():
                if parameter is None or id(parameter) in done or name not in (None, adapter.name):
                    continue
                done.add(id(parameter))
                moved = torch.randn(parameter.shape, generator=drawn) * 0.2
                parameter.copy_(parameter + moved.to(parameter.dtype))


def rank(kind: str, rank: int = 2) -> dict[str, Any]:
    """The rank as a field of `attach`, for a kind that has one."""
    return {} if kind == "ia3" else {"rank": rank}
