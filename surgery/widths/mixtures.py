"""Mixtures whose experts can be merged: each expert as tensors of its own, with where its neurons lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graph.paths import is_among
from surgery.adapters.lora import LoraLinear
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.lazy import Lazy, recipe
from surgery.model import Patient, refuse_reused
from surgery.modules.mixture import Joined, Mixture
from surgery.widths.part import Cut, behind_one_another
from surgery.widths.registry import KINDS

STACKED = ("mixtral", "qwen2_moe", "qwen3_moe")
"""Families with experts as slices of two tensors, gates before the rest, whose router is known."""

_MATRIX = 2


@dataclass(frozen=True)
class Experts:
    """The mixture at `path`, its `gate` and how many experts this scores; `stacked` ones are slices."""

    patient: Patient
    path: str
    count: int
    stacked: bool

    @property
    def gate(self) -> str:
        """The path of the router."""
        return f"{self.path}.gate"

    def tensors(self, number: int) -> dict[str, Lazy]:
        """Those of one expert by name, a stacked one's as slices."""
        if not self.stacked:
            return dict(self.patient.tensors(f"{self.path}.experts.{number}"))
        found: dict[str, Lazy] = {}
        for name, lazy in self.patient.tensors(f"{self.path}.experts"):
            rows, columns = lazy.shape[1:]
            found[name] = recipe(
                "viewed",
                lazy,
                shape=(rows, columns),
                sides=(rows, columns),
                strides=(columns, 1),
                offset=number * rows * columns,
            )
        return found

    @cached_property
    def neurons(self) -> tuple[int, dict[str, Cut]] | None:
        """How many neurons an expert has, and where, by the names of `tensors`; None where nobody knows."""
        if self.stacked:
            count = int(self.patient.tensor(f"{self.path}.experts.down_proj").shape[2])
            into = Cut("gate_up_proj", 0, behind_one_another(count, (1, 1)))
            return count, {"gate_up_proj": into, "down_proj": Cut("down_proj", 1, ((0, 1),))}
        first = f"{self.path}.experts.0"
        part = next((item for item in KINDS["neurons"](self.patient) if item.path == first), None)
        if part is None or part.refused:
            return None
        return part.count, {cut.path.removeprefix(f"{first}."): cut for cut in part.cuts}


def mixtures(patient: Patient, targets: Targets) -> list[Experts]:
    """The mixtures at or under the targets; SurgeryError where there is none, or one cannot be merged."""
    found = [item for item in _all(patient) if is_among(item.path, targets.paths)]
    if not found:
        raise SurgeryError("has no mixture of experts that is known", path=targets.select, hint="`upcycle`")
    for item in found:
        _refuse(patient, item)
    return found


def _all(patient: Patient) -> Iterator[Experts]:
    for path, module in patient.walk():
        gate: Any = module._modules.get("gate")
        beside = module._modules.get("experts")
        weight = None if gate is None else gate._parameters.get("weight")
        if isinstance(module, Mixture):
            yield Experts(patient, path, len(module.experts), stacked=False)
        elif beside is not None and weight is not None and weight.dim() == _MATRIX:
            if isinstance(beside, Joined):
                raise SurgeryError("its experts were merged already", path=path, hint="undo, and one step")
            if patient.model_type not in STACKED:
                raise SurgeryError(
                    f"merge_experts is not proved on the experts of {type(module).__name__} yet",
                    path=path,
                    expected=f"a mixture that `upcycle` made, or one of {', '.join(STACKED)}",
                )
            yield Experts(patient, path, int(weight.shape[0]), stacked=True)


def _refuse(patient: Patient, item: Experts) -> None:
    refuse_reused(patient, item.path)
    for path, module in patient.walk():
        if isinstance(module, LoraLinear) and path.startswith(f"{item.path}.experts."):
            raise SurgeryError(
                "is under an adapter, and factors do not average",
                path=path,
                hint=f'`fold("{path}")` or `detach("{path}")` first',
            )
    sites = patient.sites()
    for name, lazy in patient.tensors(f"{item.path}.experts"):
        own = f"{item.path}.experts." + ("" if item.stacked else f"{name.partition('.')[0]}.")
        outside = [place for place in sites[id(lazy.parameter)] if not place.startswith(own)]
        if outside:
            raise SurgeryError(
                "is shared with another expert or module already",
                path=f"{item.path}.experts.{name}",
                got=outside[0],
                hint=f'`untie("{item.path}.experts")` first, or undo and one step with fewer experts',
            )
