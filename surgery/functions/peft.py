"""Recipe functions of PEFT's adapters: what their parameters start from, and what they are merged into."""

from __future__ import annotations

import hashlib

import torch

from surgery.recipes import function


@function(tiling="whole", workspace=64)
def peft_start(
    *base: torch.Tensor,
    name: str,
    spec: str,
    described: str,
    seed: int,
    path: str,
    shape: tuple[int, ...] = (),
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """The parameter `name` as PEFT makes it around such a module, with what (seed, path) draws; on the CPU.

    `base`: the module's parameters, where what it starts from is computed of them.
    """
    from surgery.adapters.peft.described import parameter_names, standing_in
    from surgery.adapters.peft.layers import built, drawn, values

    digest = hashlib.sha256(f"{seed}:{path}".encode()).digest()
    number = int.from_bytes(digest[:7], "big")
    if not base:
        return values(drawn(spec, described, number))[name].clone()
    own = [tensor.detach().cpu().clone() for tensor in base]
    known = dict(zip(parameter_names(described), own, strict=True))
    return values(built(spec, standing_in(described, known), number))[name].clone()


@function(tiling="whole", workspace=64)
def peft_merged(*tensors: torch.Tensor, name: str, spec: str, described: str, seed: int) -> torch.Tensor:
    """The parameter `name` of a module once PEFT has merged its layer into it.

    `tensors`: the module's parameters in the order of its description, then those of the layer.
    """
    from surgery.adapters.peft.asking import merge
    from surgery.adapters.peft.described import parameter_names
    from surgery.adapters.peft.layers import owned, template

    layer = template(spec, described, seed)
    names = parameter_names(described)
    values = [tensor.detach() for tensor in tensors]
    base = dict(zip(names, values[: len(names)], strict=True))
    own = {item.name: value for item, value in zip(owned(layer), values[len(names) :], strict=True)}
    return merge(layer, described, base, own)[name]
