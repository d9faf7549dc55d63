"""What a norm computes, asked of the module itself: whatever its class is called."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.model import private_shell
from surgery.rewriting.double import InDouble


@dataclass(frozen=True)
class Norm:
    """A norm over the last dimension, s(x) · (x − c) ⊙ (γ + offset) + β, with c the mean if it is `centred`.

    s is a number for each vector. `offset` is 1 where a weight of zero means no change, as Gemma has it.
    """

    centred: bool
    offset: float


def norm_of(module: nn.Module) -> Norm | None:
    """What this norm computes; None for what is none, found by running it on a few numbers in float64."""
    weight = module._parameters.get("weight")
    names = {name for name, parameter in module._parameters.items() if parameter is not None}
    if (
        module._modules
        or module._buffers
        or weight is None
        or weight.dim() != 1
        or not names <= {"weight", "bias"}
    ):
        return None
    width = weight.shape[0]
    if width < 2:
        return None
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, width, generator=generator, dtype=torch.float64) + 0.5
    gains = [torch.rand(width, generator=generator, dtype=torch.float64) + 0.5 for _ in range(2)]
    shift = torch.randn(width, generator=generator, dtype=torch.float64)
    try:
        made = [_run(module, x, gain, shift) - (shift if "bias" in names else 0) for gain in gains]
    except Exception:  # it wants another shape, or more than one argument: whatever it is, it is no such norm
        return None
    for centred in (False, True):
        moved = x - x.mean(-1, keepdim=True) if centred else x
        for offset in (0.0, 1.0):
            scales = [out / (moved * (gain + offset)) for out, gain in zip(made, gains, strict=True)]
            flat = all(bool((scale - scale[:, :1]).abs().max() < 1e-9) for scale in scales)
            if flat and torch.allclose(scales[0], scales[1], rtol=1e-9) and bool((scales[0] != 1).any()):
                return Norm(centred, offset)
    return None


def _run(module: nn.Module, x: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """The module on x with these values for its weight and bias."""
    weight = module._parameters["weight"]

    def value(old: nn.Parameter) -> nn.Parameter:
        return nn.Parameter(gain if old is weight else shift, requires_grad=False)

    shell = private_shell(module, parameter=value).eval()
    with torch.no_grad(), InDouble():
        made = shell(x)
    if not isinstance(made, torch.Tensor) or made.shape != x.shape:
        raise SurgeryError("gives another shape than it is given")
    return made


def is_norm(module: nn.Module) -> bool:
    """Whether it is a norm over the last dimension with a weight."""
    return norm_of(module) is not None
