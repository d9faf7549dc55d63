"""Cast parameters to another dtype."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import nn

from graph.paths import is_among
from surgery.edits import Edit, SetBuffer, SetConfig, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Held, Recipe, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Cast", group="adjust", source="original")
class Cast(Operation):
    """The floating-point parameters of the targets have another dtype; shapes and ties stay.

    Fields: `targets`: modules, of which every floating-point parameter is taken, a tied one at all its
    paths; `dtype`; `buffers`: floating-point buffers too, which `from_pretrained` leaves alone (rotary
    frequencies lose digits in 16 bits). Values are rounded to nearest. Parameters that transformers keeps
    in float32 for the model's class stay. Where all floating-point parameters of a transformers model have
    the dtype then, its config says so. Refused: targets where nothing changes, and what does not run any
    more: torch multiplies tensors of one dtype only, so a part of a model can be cast only where its forward
    converts, and a model that is given images or other floating-point tensors has to be opened with those in
    the dtype it is cast to.
    """

    targets: Targets = option(help="the modules whose parameters are cast")
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = option("bfloat16", help="their dtype then")
    buffers: bool = option(False, help="their floating-point buffers too")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        dtype: torch.dtype = getattr(torch, self.dtype)
        casts = self._casts(patient, dtype)
        buffers = self._buffers(patient, dtype) if self.buffers else []
        if not casts and not buffers:
            raise SurgeryError(
                "cast would change nothing",
                path=self.targets.select,
                got=f"no floating-point parameter that is not {self.dtype}",
                hint="another dtype, or other targets",
            )
        for places, tensor in casts:
            for place in places:
                yield SetTensor(place, tensor)
        for places, tensor in buffers:
            for place in places:
                yield SetBuffer(place, tensor)
        cast = {place for places, _ in casts for place in places}
        if patient.model_type and all(
            parameter.dtype == dtype or path in cast
            for path, parameter in patient.root.named_parameters(remove_duplicate=False)
            if parameter.is_floating_point()
        ):
            yield SetConfig("dtype", dtype)

    def _casts(self, patient: Patient, dtype: torch.dtype) -> list[tuple[list[str], Recipe]]:
        sites, found = patient.sites(), {}
        for path in self.targets.paths:
            for _, lazy in patient.tensors(path):
                places = sites[id(lazy.parameter)]
                kept = any(stays_wide(patient.root, place, dtype) for place in places)
                if lazy.dtype.is_floating_point and lazy.dtype != dtype and not kept:
                    found[id(lazy.parameter)] = (places, recipe("cast", lazy, dtype=dtype, to=self.dtype))
        return list(found.values())

    def _buffers(self, patient: Patient, dtype: torch.dtype) -> list[tuple[list[str], Recipe]]:
        sites, found = patient.buffer_sites(), {}
        for path, buffer in patient.root.named_buffers(remove_duplicate=False):
            under = is_among(path, self.targets.paths)
            if under and buffer.is_floating_point() and buffer.dtype != dtype:
                cast = recipe("cast", Held.of(buffer), dtype=dtype, to=self.dtype)
                found[id(buffer)] = (sites[id(buffer)], cast)
        return list(found.values())


def stays_wide(model: nn.Module, path: str, dtype: torch.dtype) -> bool:
    """Whether transformers loads this parameter in float32 though the rest has `dtype`; a name is enough."""
    names: Any = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16:
        names |= set(getattr(model, "_keep_in_fp32_modules", None) or ())
    narrow = dtype in (torch.float16, torch.bfloat16)
    return narrow and any(part in names for part in path.split("."))
