"""Whether two models that should compute the same do so: measured on example inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from surgery.devices import device_of
from surgery.model import private_shell


def tolerance_of(model: nn.Module) -> float:
    """The difference between outputs, over the largest output, that counts as rounding.

    It is the root of the rounding step of the coarsest floating dtype among the parameters, half of its
    digits: 3.5e-4 for float32, 0.088 for bfloat16.
    """
    steps = [
        torch.finfo(parameter.dtype).eps for parameter in model.parameters() if parameter.is_floating_point()
    ]
    return math.sqrt(max(steps, default=torch.finfo(torch.float32).eps))


def difference_on(inputs: Any, edited: nn.Module, other: nn.Module) -> float | None:
    """The largest difference between two models' outputs, over the largest output of `edited`.

    Both run in evaluation mode, in shells. None if there are no inputs, or if `edited` cannot run on them;
    infinite if `other` returns something else, or not a number where `edited` returns one.
    """
    if inputs is None:
        return None
    try:
        expected = _outputs(edited, inputs)
    except Exception:  # inputs that were made here may not fit
        return None
    found = _outputs(other, inputs)
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in found]:
        return float("inf")
    return max((_difference(*pair) for pair in zip(expected, found, strict=True)), default=0.0)


def _difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    same = (expected == found) | (expected.isnan() & found.isnan())
    if bool(same.all()):
        return 0.0
    apart = torch.where(same, 0.0, (expected - found).abs())
    largest = (
        expected[expected.isfinite()].abs().max() if bool(expected.isfinite().any()) else torch.tensor(0.0)
    )
    over = float(apart.max() / largest)
    return over if over == over else float("inf")


def _outputs(model: nn.Module, inputs: Any) -> list[torch.Tensor]:
    """The tensors the model returns on the inputs, on the device of its weights, in float64."""
    device = device_of(model)
    moved = tree_map(lambda value: value.to(device) if isinstance(value, torch.Tensor) else value, inputs)
    runnable = private_shell(model).eval()
    with torch.no_grad():
        if isinstance(moved, Mapping):
            out = runnable(**moved)
        else:
            out = runnable(*moved) if isinstance(moved, list | tuple) else runnable(moved)
    return [leaf.double() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
