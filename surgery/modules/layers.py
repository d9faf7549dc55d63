"""The modules that ship: what a model can get inserted, or in place of another."""

from __future__ import annotations

from torch import nn

from surgery.modules.passing import PassThrough
from surgery.modules.register import Start, module, ours

_NORM = {"weight": Start("ones"), "bias": Start("zeros")}


@ours
@module("identity", width=False)
def identity() -> nn.Module:
    """What it is given, whatever else it is given: changes nothing."""
    return PassThrough()


@ours
@module("layernorm", start=_NORM)
def layernorm(width: int, *, eps: float = 1e-5, bias: bool = True) -> nn.Module:
    """(x - mean) / deviation over the last dimension, weight one and bias zero: changes the output."""
    return nn.LayerNorm(width, eps=eps, bias=bias)


@ours
@module("rmsnorm", start=_NORM)
def rmsnorm(width: int, *, eps: float = 1e-6) -> nn.Module:
    """X / root mean square over the last dimension, weight one: changes the output."""
    return nn.RMSNorm(width, eps=eps)


@ours
@module("linear", start={"weight": Start("eye"), "bias": Start("zeros")})
def linear(width: int, *, bias: bool = True) -> nn.Module:
    """X Wᵀ + b, W the identity matrix and b zero: equal to its input until it is trained."""
    return nn.Linear(width, width, bias=bias)


@ours
@module("dropout", width=False)
def dropout(*, p: float = 0.1) -> nn.Module:
    """Zeros with probability `p` in training; in evaluation changes nothing."""
    return nn.Dropout(p)
