"""Carry adapters that were trained elsewhere, several as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import torch
from torch import nn

from graph.paths import is_among
from surgery.adapters.fitting import free, refuse_unfit
from surgery.adapters.lora import LoraLinear, widths
from surgery.adapters.origins import MadeFor, places_of, read, refuse_moved
from surgery.adapters.peft.adopting import adopted, other_type, paths_in
from surgery.adapters.stacks import root_path
from surgery.checkpoint.adapter import Adapter, Factors, parent_at
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Found, Parent, Targets, option
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
    linear, that carry one of the name `called` already, or reused at several paths. A folder of another of
    PEFT's types is adopted by itself, as the kind `peft:` of that name. `made_for`: whether paths
    in the files are those of the model as it was `opened`, so that they follow blocks which were moved (what
    is cut out gets nothing), or those of `now`; where both differ it must be said. `moved`: what that found.
    """

    parents: tuple[Parent, ...] = option(help="folders of LoRA adapters in PEFT's format")
    targets: Targets = option(Targets(""), help="the modules where adapters may go; all if empty")
    weights: tuple[float, ...] = option((), help="one per parent; 1 each if empty")
    called: str = option("default", help="what the adapter is called, beside others", later=True)
    made_for: MadeFor = option("ask", help="whose paths the files have, where blocks were moved", later=True)
    moved: Found | None = option(None, help="where the modules are that the files name", later=True)

    def resolved(self, patient: Patient) -> Self:
        made = super().resolved(patient)
        if not patient.origins or self.made_for == "now":
            return made
        paths = [path for parent in self.parents for path in _paths(parent.source)]
        if self.made_for == "opened":
            return replace(made, **{"moved": Found(places_of(patient, dict.fromkeys(paths)))})
        if not self.targets.paths:  # one that was resolved before was asked then
            refuse_moved(patient, dict.fromkeys(paths), ", ".join(map(str, self.parents)))
        return made

    def plan(self, patient: Patient) -> Iterator[Edit]:
        if len(self.parents) == 1 and (other := other_type(self.parents[0].source)) is not None:
            if self.weights not in ((), (1.0,)):
                raise SurgeryError(
                    "is an adapter of a type that has no weight", path=other.source, got=list(self.weights)
                )
            chosen_paths = {
                theirs: [path for path in places if is_among(path, self.targets.paths)]
                for theirs, places in ((path, read(self.moved).get(path, [path])) for path in paths_in(other))
            }
            yield from adopted(patient, other, chosen_paths, self.called)
            return
        weights = self.weights or (1.0,) * len(self.parents)
        if not self.parents or len(weights) != len(self.parents):
            raise SurgeryError(
                "adopt needs an adapter and one weight each",
                got=f"{len(self.parents)} adapters, {len(weights)} weights",
            )
        adapters = [_lora_alone(parent.source) for parent in self.parents]
        paths = dict.fromkeys(name.removesuffix(".weight") for item in adapters for name in item.factors)
        moved = read(self.moved)
        chosen = [
            (theirs, path)
            for theirs in paths
            for path in moved.get(theirs, [theirs])
            if is_among(path, self.targets.paths)
        ]
        if not chosen:
            raise SurgeryError(
                "the adapters have nothing for these modules",
                path=self.targets.select,
                got=min(paths, default=None),
            )
        for theirs, path in chosen:
            if not free(patient, [path], self.called):
                raise SurgeryError(
                    "carries an adapter already",
                    path=path,
                    hint="detach it, or fold it in, first; or another `called`",
                )
            refuse_unfit(patient, path)
            parts = [
                (weight, item.factors[f"{theirs}.weight"])
                for weight, item in zip(weights, adapters, strict=True)
                if f"{theirs}.weight" in item.factors
            ]
            yield from _attached(patient, path, self.called, parts)


def _attached(patient: Patient, path: str, called: str, parts: list[tuple[float, Factors]]) -> Iterator[Edit]:
    root = root_path(patient, path)
    inputs, outputs = widths(patient.module(root))
    dtype = patient.tensor(f"{root}.weight").dtype
    for _, factors in parts:
        if (factors.up.shape[0], factors.down.shape[1]) != (outputs, inputs):
            raise SurgeryError(
                "does not fit the model",
                path=path,
                got=[factors.up.shape[0], factors.down.shape[1]],
                expected=[outputs, inputs],
            )
    rank = sum(factors.down.shape[0] for _, factors in parts)

    def build(base: nn.Module) -> nn.Module:
        made = LoraLinear(base, rank, float(rank))
        if called != "default":
            made.__dict__["name"] = called
        return made

    yield SetModule(path, build)
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


def _paths(source: str) -> list[str]:
    """The modules that an adapter's file is about."""
    if (other := other_type(source)) is not None:
        return paths_in(other)
    return [name.removesuffix(".weight") for name in _lora_alone(source).factors]


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
