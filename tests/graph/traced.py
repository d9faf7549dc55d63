"""Every model of the atlas, made and traced once for all tests that only look at it."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from graph import ModuleGraph, extract
from tests.zoo import ATLAS
from tests.zoo.building import Inputs


@dataclass(frozen=True)
class Traced:
    """A model, its example inputs and its graph; not to be changed."""

    model: nn.Module
    inputs: Inputs
    graph: ModuleGraph

    def run(self, **more: object) -> object:
        """The model's true output on its inputs, without gradients."""
        with torch.no_grad():
            if isinstance(self.inputs, dict):
                return self.model(**self.inputs, **more)
            return self.model(*self.inputs, **more)


@cache
def traced(name: str) -> Traced:
    """The atlas's model of that name with its graph."""
    model, inputs = ATLAS[name]()
    return Traced(model, inputs, extract(model, inputs))


def modules_called(graph: ModuleGraph) -> list[str]:
    """Paths of the leaves called, in order."""
    return [call.module for call in graph.calls if call.function is None]


def state_of(model: nn.Module) -> list[tuple[object, ...]]:
    """What a trace must leave alone, by module: class, training flag, hooks, attributes."""
    return [
        (
            path,
            type(module),
            module.training,
            list(module._forward_hooks.items()),
            list(module._forward_pre_hooks.items()),
            sorted(module.__dict__),
        )
        for path, module in model.named_modules()
    ]
