"""Carry adapters that were trained elsewhere, several as one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from graph.paths import is_among
from surgery.adapters.fitting import free, refuse_unfit
from surgery.adapters.lora import LoraLinear, widths
from surgery.checkpoint.adapter import Adapter, Factors, parent_at
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Parent, Targets, option
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Adopt adapters", group="attach", source="LoRA: Hu et al. 2021, arXiv:2106.09685")
class Adopt(Operation):
    """Each module that the parents adapt carries one adapter that adds Σ wᵢ times what theirs add, exactly.

    Fields: `parents`: folders of LoRA adapters in PEFT's format; `targets`: where they may go; `weights`, one
    per parent, 1 if empty. The new rank is the sum of theirs: A is theirs one above the other, B theirs side
    by side, each times its weight and its own scale, rank-stabilised or not. So adapters of different ranks
    and scales are merged without loss; `fold` makes it part of the weights. Refused: DoRA, whose magnitudes
    do not add up (merge it into the model instead), tensors beside LoRA's factors, modules that are not
    linear, adapted already, or reused at several paths.
    """

    parents: tuple[Parent, ...] = option(help="folders of LoRA adapters in PEFT's format")
    targets: Targets = option(Targets(""), help="the modules where adapters may go; all if empty")
    weights: tuple[float, ...] = option((), help="one per parent; 1 each if empty")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        weights = self.weights or (1.0,) * len(self.parents)
        if not self.parents or len(weights) != len(self.parents):
            raise SurgeryError(
                "adopt needs an adapter and one weight each",
                got=f"{len(self.parents)} adapters, {len(weights)} weights",
            )
        adapters = [_lora_alone(parent.source) for parent in self.parents]
        paths = dict.fromkeys(name.removesuffix(".weight") for item in adapters for name in item.factors)
        chosen = [path for path in paths if is_among(path, self.targets.paths)]
        if not chosen:
            raise SurgeryError(
                "the adapters have nothing for these modules",
                path=self.targets.select,
                got=min(paths, default=None),
            )
        for path in chosen:
            module = patient.module(path)
            if not free(patient, [path]):
                raise SurgeryError(
                    "carries an adapter already", path=path, hint="detach it, or fold it in, first"
                )
            refuse_unfit(patient, path)
            parts = [
                (weight, item.factors[f"{path}.weight"])
                for weight, item in zip(weights, adapters, strict=True)
                if f"{path}.weight" in item.factors
            ]
            yield from _attached(patient, path, module, parts)


def _attached(
    patient: Patient, path: str, module: nn.Module, parts: list[tuple[float, Factors]]
) -> Iterator[Edit]:
    inputs, outputs = widths(module)
    dtype = patient.tensor(f"{path}.weight").dtype
    for _, factors in parts:
        if (factors.up.shape[0], factors.down.shape[1]) != (outputs, inputs):
            raise SurgeryError(
                "does not fit the model",
                path=path,
                got=[factors.up.shape[0], factors.down.shape[1]],
                expected=[outputs, inputs],
            )
    rank = sum(factors.down.shape[0] for _, factors in parts)
    yield SetModule(path, lambda base: LoraLinear(base, rank, float(rank)))
    downs = [_cast(factors.down, dtype) for _, factors in parts]
    ups = [
        _cast(recipe("weighted_sum", factors.up, weights=(weight * factors.scale,)), dtype)
        for weight, factors in parts
    ]
    yield SetTensor(f"{path}.lora_A", recipe("concatenated", *downs, shape=(rank, inputs), dim=0))
    yield SetTensor(f"{path}.lora_B", recipe("concatenated", *ups, shape=(outputs, rank), dim=1))


def _cast(lazy: Lazy, dtype: torch.dtype) -> Lazy:
    if lazy.dtype == dtype:
        return lazy
    return recipe("cast", lazy, dtype=dtype, to=str(dtype).removeprefix("torch."))


def _lora_alone(source: str) -> Adapter:
    """The adapter in a folder; refused where it is more than factors on the model that it is put on."""
    found = parent_at(source)
    if not isinstance(found, Adapter) or found.base is not None:
        raise SurgeryError("is no adapter", path=source, expected="a folder with adapter_config.json")
    for name, factors in found.factors.items():
        if factors.magnitude is not None:
            raise SurgeryError(
                "is a DoRA adapter, whose magnitudes do not add up with another's",
                path=f"{source}: {name}",
                hint="`merge` or `task_arithmetic` with it as a parent, which makes it part of the weights",
            )
    for name in found.whole:
        raise SurgeryError("has a tensor beside LoRA's factors", path=source, got=name)
    return found
