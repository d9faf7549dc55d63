"""Recipe functions of exact rewrites. All compute in float64 and round once, to the dtype they say."""

from __future__ import annotations

from typing import Any

import torch

from surgery.functions.initial import uniform
from surgery.functions.units import take_units
from surgery.recipes import function


def _scale(weight: torch.Tensor | None, variance: torch.Tensor, eps: float) -> torch.Tensor:
    """γ / √(σ² + ε), (channels,) float64."""
    deviation = torch.rsqrt(variance.double() + eps)
    return deviation if weight is None else weight.double() * deviation


@function(tiling="whole", workspace=24)
def folded_weight(
    weight: torch.Tensor, variance: torch.Tensor, *gain: torch.Tensor, eps: float, groups: int, to: str
) -> torch.Tensor:
    """The weight times γ / √(σ² + ε) per output; `gain` is γ, if there is one.

    `groups` is 0 where outputs are the first dimension of W. Else W is a transposed convolution's, inputs ×
    (outputs / groups) × …, of that many groups.
    """
    scale = _scale(gain[0] if gain else None, variance, eps)
    if groups == 0:
        made = weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))
    else:
        split = weight.double().unflatten(0, (groups, -1))
        made = (split * scale.reshape(groups, 1, -1, *[1] * (weight.dim() - 2))).flatten(0, 1)
    return made.to(getattr(torch, to))


@function(tiling="whole", workspace=32)
def folded_bias(
    mean: torch.Tensor, variance: torch.Tensor, *given: torch.Tensor, eps: float, has: str, to: str
) -> torch.Tensor:
    """(b − μ) s + β; `given` are those of b, γ and β that `has` names, as letters b, g, s, in this order."""
    named = dict(zip(has, given, strict=True))
    made = -mean.double()
    if "b" in named:
        made = made + named["b"].double()
    made = made * _scale(named.get("g"), variance, eps)
    if "s" in named:
        made = made + named["s"].double()
    return made.to(getattr(torch, to))


@function(tiling="rows", whole=1, workspace=16)
def columns_scaled(gain: torch.Tensor, weight: torch.Tensor, *, offset: float) -> torch.Tensor:
    """W diag(γ + offset), for W of outputs × inputs and γ of (inputs,)."""
    return (weight.double() * (gain.double() + offset)).to(weight.dtype)


@function(tiling="whole", workspace=16)
def rows_scaled(gain: torch.Tensor, weight: torch.Tensor, *, offset: float) -> torch.Tensor:
    """Diag(γ + offset) W, for W of inputs × outputs and γ of (inputs,)."""
    return (weight.double() * (gain.double() + offset)[:, None]).to(weight.dtype)


@function(tiling="whole", workspace=16)
def shifted_bias(
    weight: torch.Tensor, shift: torch.Tensor, *bias: torch.Tensor, transposed: bool
) -> torch.Tensor:
    """The bias plus Wβ, (outputs,); `transposed` for weights stored as inputs × outputs."""
    made = (weight.double() * (shift.double()[:, None] if transposed else shift.double())).sum(
        0 if transposed else 1
    )
    return (made + bias[0].double() if bias else made).to(weight.dtype)


@function(tiling="slices", workspace=16)
def centred_rows(source: torch.Tensor) -> torch.Tensor:
    """Each vector along the last dimension less its mean."""
    wide = source.double()
    return (wide - wide.mean(-1, keepdim=True)).to(source.dtype)


@function(tiling="whole", workspace=16)
def centred_columns(source: torch.Tensor) -> torch.Tensor:
    """Each vector along the first dimension less its mean."""
    wide = source.double()
    return (wide - wide.mean(0, keepdim=True)).to(source.dtype)


@function(tiling="whole", workspace=16)
def padded_kernel(kernel: torch.Tensor, *, sides: tuple[int, ...]) -> torch.Tensor:
    """The kernel, outputs × inputs × …, in the middle of one of these sides, with zeros around it."""
    room = [(side - own) // 2 for side, own in zip(sides, kernel.shape[2:], strict=True)]
    return torch.nn.functional.pad(kernel, [pad for side in reversed(room) for pad in (side, side)])


@function(tiling="whole", workspace=16)
def identity_kernel(
    variance: torch.Tensor, *gain: torch.Tensor, eps: float, inputs: int, sides: tuple[int, ...]
) -> torch.Tensor:
    """The kernel, outputs × inputs × sides, that multiplies each channel by γ / √(σ² + ε); in float64.

    `inputs` are those of a group of channels, which come one after another.
    """
    scale = _scale(gain[0] if gain else None, variance, eps)
    made = scale.new_zeros(len(scale), inputs, *sides)
    places = torch.arange(len(scale), device=scale.device)
    middle: tuple[Any, ...] = tuple(side // 2 for side in sides)
    made[(places, places % inputs, *middle)] = scale
    return made


@function(tiling="whole")
def drawn_copies(
    *, count: int, seed: int, path: str, shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """The `count` places in order, then copies of them in drawn order, each again before any once more."""
    more = shape[0] - count
    values = uniform(low=0.0, high=1.0, seed=seed, path=path, shape=(count,), dtype=torch.float32)
    order = torch.argsort(values, stable=True)
    return torch.cat([torch.arange(count), order.repeat(more // count + 1)[:more]]).to(dtype)


@function(tiling="whole", workspace=16)
def shared_units(
    tensor: torch.Tensor, index: torch.Tensor, *, count: int, dim: int, sections: tuple[int, ...]
) -> torch.Tensor:
    """The units at `index` along `dim`, each divided by how often it comes; see `take_units`."""
    made = take_units(tensor, index, count=count, dim=dim, sections=sections)
    times = torch.bincount(index.cpu(), minlength=count)[index.cpu()]
    shares = torch.ones(made.shape[dim], dtype=torch.float64)
    for start, size in zip(sections[::2], sections[1::2], strict=True):
        first = start + sum(
            (len(index) - count) * wide
            for place, wide in zip(sections[::2], sections[1::2], strict=True)
            if place < start
        )
        shares[first : first + len(index) * size] = times.repeat_interleave(size)
    shape = [1] * made.dim()
    shape[dim] = -1
    return (made.double() / shares.to(made.device).reshape(shape)).to(made.dtype)
