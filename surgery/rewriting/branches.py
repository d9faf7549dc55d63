"""Branches of convolutions and batch norms that read one tensor and are added: one convolution does it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from graph.nodes import CallNode, Edge
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.rewriting.folding import is_batch_norm, refuse_moving, refuse_shared, refuse_twice
from surgery.rewriting.reading import Reading

_ADDS = frozenset({"add", "add_", "iadd"})

Origin = tuple[int, int]
"""The call that gives a tensor, and which of its results it is."""


@dataclass(frozen=True)
class Branch:
    """A convolution at `layer` with a batch norm at `norm` behind it; either may be missing, as ""."""

    layer: str
    norm: str

    @property
    def last(self) -> str:
        """The module whose result is added."""
        return self.norm or self.layer


@dataclass(frozen=True)
class Sum:
    """Branches of one tensor that are added, the one with the largest kernel first."""

    branches: tuple[Branch, ...]

    @property
    def lead(self) -> Branch:
        return self.branches[0]


def sums(patient: Patient, verb: str) -> list[Sum | SurgeryError]:
    """Every sum of branches of one tensor, in the order of the calls; or why it cannot be one convolution."""
    reading = Reading.of(patient, verb)
    found: list[Sum | SurgeryError] = []
    for call in reading.graph.calls:
        if call.function not in _ADDS or any(_is_sum(reading, reader) for reader in reading.readers(call)):
            continue  # only the last of several additions
        by_origin: dict[Origin, list[tuple[Branch, list[CallNode]]]] = {}
        for edge in _operands(reading, call):
            made = _branch(reading, edge)
            if made is not None:
                origin, branch, calls = made
                by_origin.setdefault(origin, []).append((branch, calls))
        for several in by_origin.values():
            if len(several) > 1 and any(branch.layer for branch, _ in several):
                found.append(_checked(reading, several))
    return found


def _is_sum(reading: Reading, call: CallNode | None) -> bool:
    return call is not None and call.function in _ADDS and len(reading.sources(call)) == 2


def _operands(reading: Reading, call: CallNode) -> Iterator[Edge]:
    """What is added in the end, where sums of which only the total is read are taken apart."""
    for edge in reading.sources(call):
        source = reading.calls.get(edge.source)
        if source is not None and _is_sum(reading, source) and len(reading.readers(source)) == 1:
            yield from _operands(reading, source)
        else:
            yield edge


def _branch(reading: Reading, edge: Edge) -> tuple[Origin, Branch, list[CallNode]] | None:
    """The branch that ends in an operand, what it reads, and its calls; None for anything else."""
    calls: list[CallNode] = []
    norm = layer = ""
    while (call := reading.calls.get(edge.source)) is not None:
        module = reading.module(call)
        alone = len(reading.readers(call)) == 1 and module is not None
        if not alone or len(reading.calls_of(module)) != 1:  # type: ignore[arg-type]
            break
        if isinstance(module, nn.Identity):
            pass
        elif is_batch_norm(module) and not norm and not layer:  # type: ignore[arg-type]
            norm = call.module
        elif _is_convolution(module) and not layer:
            layer = call.module
        else:
            break
        calls.append(call)
        edge = reading.sources(call)[0]
    return ((edge.source, edge.output), Branch(layer, norm), calls) if layer or norm else None


def _is_convolution(module: nn.Module | None) -> bool:
    return isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd)


def _checked(reading: Reading, several: list[tuple[Branch, list[CallNode]]]) -> Sum | SurgeryError:
    patient = reading.patient
    branches = [branch for branch, _ in several]
    branches.sort(key=lambda branch: -_size(patient, branch))  # the first of equals stays first
    lead: Any = patient.module(branches[0].layer)
    try:
        for branch, calls in several:
            for call in calls:
                refuse_twice(patient, call.module)
                refuse_shared(reading, call.module, [call])
            if branch.norm:
                refuse_moving(patient.module(branch.norm), branch.norm)
            if (why := _misfit(patient, lead, branch)) is not None:
                raise SurgeryError(
                    f"does not fit into the convolution {branches[0].layer}", path=branch.last, got=why
                )
    except SurgeryError as error:
        return error
    return Sum(tuple(branches))


def _size(patient: Patient, branch: Branch) -> int:
    return patient.tensor(f"{branch.layer}.weight").count if branch.layer else 0


def _misfit(patient: Patient, lead: Any, branch: Branch) -> str | None:
    """What keeps a branch from being a part of the kernel of `lead`; None if nothing does."""
    sides = len(lead.kernel_size)
    if lead.padding_mode != "zeros" or isinstance(lead.padding, str):
        return f"padding {lead.padding_mode}, {lead.padding}"
    if not branch.layer:
        wide = lead.in_channels == lead.out_channels
        centred = all(
            pad * 2 == kernel - 1 for pad, kernel in zip(lead.padding, lead.kernel_size, strict=True)
        )
        plain = lead.stride == lead.dilation == (1,) * sides
        return None if wide and centred and plain else "an identity beside other widths, strides or padding"
    layer: Any = patient.module(branch.layer)
    if type(layer) is not type(lead) or isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return f"{type(layer).__name__} with padding {layer.padding_mode}, {layer.padding}"
    for name in ("in_channels", "out_channels", "stride", "groups"):
        if getattr(layer, name) != getattr(lead, name):
            return f"{name} {getattr(layer, name)}, not {getattr(lead, name)}"
    if layer.dilation != lead.dilation and any(side > 1 for side in layer.kernel_size):
        return f"dilation {layer.dilation}, not {lead.dilation}"
    for own, kernel, pad, whole, spaced in zip(
        layer.padding, layer.kernel_size, lead.padding, lead.kernel_size, lead.dilation, strict=True
    ):
        room = whole - kernel
        if room < 0 or room % 2 or pad - own != room // 2 * spaced:
            padded = f"padded by {layer.padding}"
            return f"kernel {layer.kernel_size} {padded} beside {lead.kernel_size} by {lead.padding}"
    return None
