"""Batch norms behind the layer whose outputs they scale: where they fit, and what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from graph.nodes import CallNode
from surgery.adapters.lora import LoraLinear, is_linear
from surgery.errors import SurgeryError
from surgery.lazy import Lazy, Recipe, recipe
from surgery.model import Patient
from surgery.rewriting.reading import Reading, said


@dataclass(frozen=True)
class Fold:
    """A batch norm at `norm` and the layer at `layer` whose outputs alone it reads, if there is one."""

    norm: str
    layer: str

    def weight(self, patient: Patient, dtype: torch.dtype | None = None) -> Recipe:
        """The layer's weight with the norm in it; in the layer's dtype, or another."""
        layer, weight = patient.module(self.layer), patient.tensor(f"{self.layer}.weight")
        gains = [patient.tensor(f"{self.norm}.weight")] if self._has(patient, "weight") else []
        dtype = dtype or weight.dtype
        return recipe(
            "folded_weight",
            weight,
            self._buffer(patient, "running_var"),
            *gains,
            shape=weight.shape,
            dtype=dtype,
            eps=self._eps(patient),
            groups=layer.groups if isinstance(layer, _ConvTransposeNd) else 0,
            to=_name(dtype),
        )

    def bias(self, patient: Patient, dtype: torch.dtype | None = None) -> Recipe:
        """The layer's bias with the norm in it, there or not before."""
        mean = self._buffer(patient, "running_mean")
        given: dict[str, Lazy] = {}
        if self.layer and patient.module(self.layer)._parameters.get("bias") is not None:
            given["b"] = patient.tensor(f"{self.layer}.bias")
        if self._has(patient, "weight"):
            given["g"] = patient.tensor(f"{self.norm}.weight")
        if self._has(patient, "bias"):
            given["s"] = patient.tensor(f"{self.norm}.bias")
        dtype = dtype or patient.tensor(f"{self.layer}.weight").dtype
        return recipe(
            "folded_bias",
            mean,
            self._buffer(patient, "running_var"),
            *given.values(),
            shape=mean.shape,
            dtype=dtype,
            eps=self._eps(patient),
            has="".join(given),
            to=_name(dtype),
        )

    def _has(self, patient: Patient, name: str) -> bool:
        return patient.module(self.norm)._parameters.get(name) is not None

    def _eps(self, patient: Patient) -> float:
        eps: Any = patient.module(self.norm).eps
        return float(eps)

    def _buffer(self, patient: Patient, name: str) -> Lazy:
        held = patient.buffer(f"{self.norm}.{name}")
        if held is None:
            raise SurgeryError("keeps no running statistics", path=self.norm, got=name)
        return held


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a module is one of torch's batch norms."""
    return isinstance(module, _BatchNorm)


def is_affine(module: nn.Module | None) -> bool:
    """Whether a module is a convolution or linear layer with a weight of its own."""
    return module is not None and (
        is_linear(module) or (isinstance(module, _ConvNd) and "weight" in module._parameters)
    )


def fold_at(patient: Patient, path: str, verb: str) -> Fold:
    """The fold of the batch norm at `path`; SurgeryError for one that cannot be folded exactly."""
    reading, norm = Reading.of(patient, verb), patient.module(path)
    refuse_moving(norm, path)
    calls = reading.calls_of(norm)
    if len(calls) != 1:
        raise SurgeryError("is not called exactly once", path=path, got=f"{len(calls)} calls")
    refuse_shared(reading, path, calls)
    source = _layer_before(reading, calls[0])
    layer = None if source is None else reading.module(source)
    if source is None or not is_affine(layer):
        raise SurgeryError(
            "follows no convolution or linear layer" + _what_follows(reading, calls[0]),
            path=path,
            got=said(source) if source is not None else "the model's input",
            hint=_adapter_hint(patient, source),
        )
    assert layer is not None
    if len(reading.calls_of(layer)) != 1:
        raise SurgeryError(
            "is called more than once, and only one of its results is normalised",
            path=source.module,
            got=f"{len(reading.calls_of(layer))} calls",
        )
    readers = reading.readers(source)
    if len(readers) != 1:
        other = next(reader for reader in readers if reader is not calls[0])
        raise SurgeryError("what it gives is also read without the norm", path=source.module, got=said(other))
    if patient.reused(source.module):
        refuse_twice(patient, source.module)
    refuse_shared(reading, source.module, [source])
    return Fold(path, source.module)


def _layer_before(reading: Reading, call: CallNode) -> CallNode | None:
    """The call whose result a norm reads, past modules that hand on what they are given."""
    source = reading.source(call)
    while source is not None and isinstance(reading.module(source), nn.Identity):
        if len(reading.readers(source)) != 1:
            return source
        source = reading.source(source)
    return source


def refuse_moving(norm: nn.Module, path: str) -> None:
    """SurgeryError for a batch norm that does not normalise by fixed statistics."""
    if not isinstance(norm, _BatchNorm):
        raise SurgeryError("is no batch norm", path=path, got=type(norm).__name__)
    if norm.running_mean is None:
        raise SurgeryError("keeps no running statistics, and normalises by each batch", path=path)
    if norm.training:
        raise SurgeryError(
            "is in training mode, where it normalises by each batch", path=path, hint="`s.model.eval()` first"
        )


def refuse_shared(reading: Reading, path: str, calls: list[CallNode]) -> None:
    """SurgeryError where a parameter of the module at `path` is tied, or read by others than its `calls`."""
    for name in reading.patient.module(path)._parameters:
        other = reading.other_owner(f"{path}.{name}", calls)
        if other is not None:
            raise SurgeryError(
                "is tied, and would change where it must not",
                path=f"{path}.{name}",
                got=other,
                hint=f'`untie("{path}")` first',
            )


def refuse_twice(patient: Patient, path: str) -> None:
    """SurgeryError for what is in a module that sits at several paths."""
    outer = patient.reused(path)
    if outer:
        raise SurgeryError(
            "is one module used at several paths",
            path=path,
            got=" and ".join(patient.module_paths(patient.module(outer))),
            hint=f'`untie("{patient.module_paths(patient.module(outer))[-1]}")` first',
        )


def _what_follows(reading: Reading, call: CallNode) -> str:
    """Says of a norm before a convolution that pads why it cannot go into that either."""
    for reader in reading.readers(call):
        module = None if reader is None else reading.module(reader)
        if isinstance(module, _ConvNd) and any(map(bool, module.padding)):
            return (
                f", and into {reader.module if reader else ''}, which pads with zeros, it does not go exactly"
            )
    return ""


def _adapter_hint(patient: Patient, source: CallNode | None) -> str | None:
    path = "" if source is None else source.module
    while path:
        if isinstance(patient.module(path), LoraLinear):
            return f'`fold("{path}")` or `detach("{path}")` first'
        path = path.rpartition(".")[0]
    return None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
