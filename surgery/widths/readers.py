"""Who reads the units of a part: layers that multiply each with columns of their own, and gates in front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from surgery.adapters.lora import is_linear, is_transposed
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.part import Cut, Part


@dataclass(frozen=True, eq=False)
class Reader:
    """The layer at `path` has `width` inputs; `units` (width,) says of which unit each is, −1 of none."""

    path: str
    units: Tensor

    def by_unit(self, values: Tensor, count: int) -> Tensor:
        """Σ of (width,) values over the inputs of each unit, (count,)."""
        sums = values.new_zeros(count + 1)
        return sums.index_add_(0, self.units.remainder(count + 1), values)[:count]

    def gate(self, given: Tensor, gates: Tensor, channels: int) -> Tensor:
        """What the layer is given, with the units' `gates` (examples, count) on them; others as they are.

        `channels` is the dimension of its inputs.
        """
        each, rest = divmod(len(given), len(gates))
        if rest:
            raise SurgeryError(
                "what this layer is given has no row per example, so that no gradient is that of one",
                path=self.path,
                got=f"{len(given)} rows of {len(gates)} examples",
                hint='`by="magnitude"` or `by="activation"`',
            )
        whole = torch.cat([gates, gates.new_ones(len(gates), 1)], 1)  # −1 is the last
        wide = whole[:, self.units.to(gates.device)].repeat_interleave(each, 0).to(given.dtype)
        shape = [1] * given.dim()
        shape[0], shape[channels] = len(given), given.shape[channels]
        return given * wide.view(shape)


def readers(patient: Patient, parts: Sequence[Part]) -> list[Reader]:
    """Of parts that share their tensors, the layers that have columns for each unit.

    They are linear ones and convolutions without groups. Where a grouped convolution reads a unit it hands it
    on, and who reads that is among them. A module at several paths is told once. SurgeryError where there is
    none, as of experts, which a router chooses.
    """
    found: dict[nn.Module, Reader] = {}
    for part in parts:
        for cut in part.cuts:
            path, _, name = cut.path.rpartition(".")
            module = patient.module(path)
            if name == "weight" and cut.dim == _inputs(module):
                width = patient.tensor(cut.path).shape[cut.dim]
                found.setdefault(module, Reader(path, _units(part, cut, width)))
    if not found:
        raise SurgeryError(
            "no layer reads its units one by one, so that nothing can be measured of each",
            path=parts[0].path,
            hint='`by="magnitude"`',
        )
    return list(found.values())


def _inputs(module: nn.Module) -> int | None:
    """The dimension of its weight that goes by its inputs."""
    if isinstance(module, _ConvNd):
        return None if module.groups > 1 else 0 if isinstance(module, _ConvTransposeNd) else 1
    return (0 if is_transposed(module) else 1) if is_linear(module) else None


def _units(part: Part, cut: Cut, width: int) -> Tensor:
    units = torch.full((width,), -1, dtype=torch.int64)
    for start, size in cut.sections:
        units[start : start + part.count * size] = torch.arange(part.count).repeat_interleave(size)
    return units


@contextmanager
def gated(
    model: nn.Module, parts: Sequence[tuple[int, Sequence[Reader]]], examples: int
) -> Iterator[list[Tensor]]:
    """Within, a gate per example on each unit, (examples, count): of each part one for all that read it.

    `parts` are how many units there are, and who reads them.

    At 1 they change nothing; the slope of the loss there is Σ x · ∂L/∂x over all that is read of the unit,
    which is Σ w · ∂L/∂w over all weights that read it.
    """
    device = next(model.parameters()).device
    gates = [torch.ones(examples, count, device=device, requires_grad=True) for count, _ in parts]
    inside: dict[nn.Module, list[tuple[Reader, Tensor]]] = {}
    for gate, (_, those) in zip(gates, parts, strict=True):
        for reader in those:
            inside.setdefault(model.get_submodule(reader.path), []).append((reader, gate))
    handles = [
        module.register_forward_pre_hook(
            lambda module, args, kwargs, here=here: _gated(module, args, kwargs, here), with_kwargs=True
        )
        for module, here in inside.items()
    ]
    try:
        yield gates
    finally:
        for handle in handles:
            handle.remove()


def _gated(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], here: list[tuple[Reader, Tensor]]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    name = None if args else next(iter(kwargs))
    given = args[0] if name is None else kwargs[name]
    channels = -1 - len(module.kernel_size) if isinstance(module, _ConvNd) else -1
    for reader, gates in here:
        given = reader.gate(given, gates, channels)
    return ((given, *args[1:]), kwargs) if name is None else (args, kwargs | {name: given})
