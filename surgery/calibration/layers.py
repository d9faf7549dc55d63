"""The layers whose inputs can be observed: what multiplies a weight of its own with what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from graph.paths import is_among
from surgery.adapters.lora import is_linear, is_transposed
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.model import Patient

Kind = Literal["linear", "transposed", "convolution"]
AT_ONCE = 1 << 24
"""Numbers that an unfolded convolution's input is made of at a time."""


@dataclass(frozen=True)
class Layer:
    """A weight that is multiplied with `width` inputs for each of `outputs` rows.

    `path` is the module, `places` all modules that hold this very weight, and `sites` its slots.
    `linear` weights are (outputs, width), `transposed` ones, of GPT-2's Conv1D, (width, outputs), those of a
    `convolution` (outputs, channels, …), of which width is all but the first.
    """

    path: str
    kind: Kind
    width: int
    outputs: int
    places: tuple[str, ...]
    sites: tuple[str, ...]

    @property
    def weight(self) -> str:
        """The first slot of the weight."""
        return f"{self.path}.weight"


def layers_that_can(patient: Patient, targets: Targets, verb: str) -> list[Layer]:
    """Those of `layers_of` that nothing is in the way of, maybe none; what it refuses is left out."""
    found: dict[int, Layer] = {}
    for path, module in patient.walk():
        weight = module._parameters.get("weight")
        if is_among(path, targets.paths) and kind_of(module) is not None and id(weight) not in found:
            with suppress(SurgeryError):
                found[id(weight)] = _layer(patient, path, module, verb)
    return list(found.values())


def layers_of(patient: Patient, targets: Targets, verb: str, *, read_alone: bool = False) -> list[Layer]:
    """The layers at and below the targets, each weight once, in the order of the tree.

    Linear layers, GPT-2's Conv1D, and convolutions of one or two dimensions without groups; of a layer with
    an adapter the layer alone. Other parameters are left out, so is the output of torch's MultiheadAttention,
    which reads it past its module. Refused: targets with no layer; experts stacked in one tensor; grouped
    convolutions; a weight that something else than such layers reads too, such as an embedding, unless it is
    only looked at what layers read (`read_alone`).
    """
    found: dict[int, list[str]] = {}
    modules: dict[int, nn.Module] = {}
    for path, module in _inside(patient, targets, verb):
        weight = module._parameters["weight"]
        found.setdefault(id(weight), []).append(path)
        modules.setdefault(id(weight), module)
    if not found:
        raise SurgeryError(
            f"{verb} finds no linear layer or convolution here", path=targets.select, hint="`**:Linear`"
        )
    return [_layer(patient, paths[0], modules[key], verb, read_alone) for key, paths in found.items()]


def _inside(patient: Patient, targets: Targets, verb: str) -> Iterator[tuple[str, nn.Module]]:
    adapters: list[str] = []
    for path, module in patient.walk():
        if hasattr(module, "base_layer"):  # of PEFT: the layer, and matrices that are the adapter's
            adapters += [f"{path}.{name}" for name in module._modules if name != "base_layer"]
        if not is_among(path, targets.paths) or (is_among(path, adapters) and path not in targets.paths):
            continue
        if _stacks_experts(module):
            raise SurgeryError(
                f"{verb} cannot see what each expert is given: they are stacked in one tensor",
                path=path,
                got=type(module).__name__,
                hint="targets beside the experts, such as `**.self_attn`",
            )
        if kind_of(module) is not None:
            yield path, module


def kind_of(module: nn.Module) -> Kind | None:
    """How the module multiplies its weight; None for what is no such layer."""
    weight = module._parameters.get("weight")
    if (
        isinstance(module, NonDynamicallyQuantizableLinear)
        or weight is None
        or not weight.is_floating_point()
    ):
        return None
    if is_linear(module):
        return "transposed" if is_transposed(module) else "linear"
    return "convolution" if type(module) in (nn.Conv1d, nn.Conv2d) else None


def _stacks_experts(module: nn.Module) -> bool:
    held = module._parameters.values()
    return "Experts" in type(module).__name__ and any(item is not None and item.dim() > 2 for item in held)


def _layer(patient: Patient, path: str, module: nn.Module, verb: str, read_alone: bool = False) -> Layer:
    kind, weight = kind_of(module), module._parameters["weight"]
    assert kind is not None and weight is not None
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups > 1:
        raise SurgeryError(
            f"{verb} weighs inputs of all channels together, and this convolution has groups",
            path=path,
            got=f"{module.groups} groups",
            expected="1",
            hint="targets without it",
        )
    sites = tuple(patient.sites()[id(weight)])
    places = tuple(site.removesuffix(".weight") for site in sites)
    if read_alone:
        places = tuple(place for place in places if kind_of(patient.module(place)) == kind)
    for place in places:
        if f"{place}.weight" not in sites or kind_of(patient.module(place)) != kind:
            raise SurgeryError(
                f"{verb} would change a weight that {type(patient.module(place)).__name__} reads too",
                path=path,
                got=place,
                hint=f'targets without it, or `untie("{path}")` first',
            )
    transposed = kind == "transposed"
    outputs = weight.shape[1] if transposed else weight.shape[0]
    return Layer(path, kind, weight.numel() // outputs, outputs, places, sites)


def as_rows(weight: Tensor, kind: Kind) -> Tensor:
    """The weight as (outputs, width): a view where it can be one."""
    return weight.t() if kind == "transposed" else weight.flatten(1)


def like_weight(rows: Tensor, kind: Kind, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """What `as_rows` gave, in the shape of the weight again."""
    return rows.t() if kind == "transposed" else rows.reshape(shape)


def inputs_of(module: nn.Module, given: Tensor) -> Iterator[Tensor]:
    """What each output is a sum over, (positions, width), in pieces; `given` is what the module gets."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        yield given.reshape(-1, given.shape[-1])
        return
    dims = len(module.kernel_size)
    images = given if given.dim() == dims + 2 else given.unsqueeze(0)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padded = F.pad(images, module._reversed_padding_repeated_twice, mode=mode)
    sides = (module.kernel_size, module.dilation, module.stride)
    if dims == 1:
        padded, sides = padded.unsqueeze(2), tuple((1, *side) for side in sides)  # type: ignore[assignment]
    kernel, dilation, stride = sides
    each = padded[0].numel() * torch.Size(kernel).numel()
    for part in padded.split(max(1, AT_ONCE // each)):
        unfolded = F.unfold(part, kernel, dilation=dilation, stride=stride)
        yield unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1])
