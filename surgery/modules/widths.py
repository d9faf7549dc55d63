"""Which width a module put beside or around another has, and which dtype, as far as modules tell."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Literal

import torch
from torch import nn

from surgery.adapters.lora import LoraLinear, is_transposed
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.modules.register import Fresh
from surgery.places import place_of

Side = Literal["before", "after"]


def width_beside(patient: Patient, path: str, side: Side, given: int | None, fresh: Fresh) -> int | None:
    """The last dimension of what flows into (`before`) or out of (`after`) the module at `path`.

    `given` if that is said; for a transformers block, its attention or MLP the hidden size; else that of the
    first or the last module with parameters at or under `path`. None where `fresh` wants none. Refused where
    it is not known.
    """
    if not fresh.registered.needs_width:
        return None
    if given is not None:
        return given
    found = width_of(patient, path, side)
    if found is None:
        raise SurgeryError(
            f"the width of {fresh.registered.name} does not follow from what is here",
            path=path,
            got=type(patient.module(path)).__name__,
            hint="`width=`, the last dimension of what flows there",
        )
    return found


def width_of(patient: Patient, path: str, side: Side) -> int | None:
    """The last dimension of what flows into or out of the module at `path`; None where nothing tells it."""
    place = place_of(patient, path)
    if place is not None and place.role is not None and place.blocks.width:
        return int(reduce(getattr, place.blocks.width.split("."), patient.config))
    module = patient.module(path)
    inner = [item for item in module.modules() if any(True for _ in item.parameters(recurse=False))]
    return _width(inner if side == "before" else inner[::-1], side)


def _width(modules: Iterable[nn.Module], side: Side) -> int | None:
    for module in modules:
        if isinstance(module, LoraLinear):
            return module.in_features if side == "before" else module.out_features
        weight = module._parameters.get("weight")
        if isinstance(module, nn.Linear) or is_transposed(module):
            assert weight is not None
            outputs, inputs = reversed(weight.shape) if is_transposed(module) else weight.shape
            return int(inputs if side == "before" else outputs)
        if isinstance(module, nn.Embedding):
            return module.embedding_dim if side == "after" else None
        norm = isinstance(module, nn.LayerNorm | nn.RMSNorm) or type(module).__name__.endswith("RMSNorm")
        return int(weight.shape[-1]) if norm and weight is not None else None
    return None


def dtype_at(patient: Patient, path: str) -> torch.dtype:
    """The dtype of the first floating-point parameter at or under `path`, else of the model's first."""
    for module in (patient.module(path), patient.root):
        for parameter in module.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
    return torch.get_default_dtype()
