"""Multiply out: weights that are made at each call are plain ones again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from graph.paths import is_among
from surgery.adapters.stacks import slot_at
from surgery.charts import Bars, Chart
from surgery.charts.names import told_apart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Lazy
from surgery.model import Patient, refuse_reused
from surgery.modules.made import MadeLinear
from surgery.operation import Operation, operation


@operation(title="Multiply out", group="untie", source="original")
class MultiplyOut(Operation):
    """Linear modules whose weight is made of parameters that others share have a plain weight of their own.

    Fields: `targets`: modules that `multiplex`, `share_atoms` or `share_heads` made, or what contains them.
    Each is an ordinary linear module again, torch's or GPT-2's, with the weight it computed with (outputs,
    inputs) and the bias it had; the output agrees to rounding. What the others share stays theirs. Two whose
    parameters are the very same in all have one weight again. Refused: targets without such a module, and one
    that is used at several paths.
    """

    targets: Targets = option(
        "**", help="modules whose weights are made of shared ones, or what contains them"
    )

    def plan(self, patient: Patient) -> Iterator[Edit]:
        written: dict[tuple[int, ...], Lazy] = {}
        slots = set()
        for path, module in self._found(patient):
            if slot_at(patient, path) in slots:  # a module around it is used at several paths
                continue
            slots.add(slot_at(patient, path))
            own: dict[str, Lazy] = {name: patient.tensor(f"{path}.{name}") for name in _made_of(module)}
            key = tuple(id(module.get_parameter(name)) for name in own)
            weight = written.setdefault(key, module.multiplied_out(own))
            yield SetModule(path, _plain)
            yield SetTensor(f"{path}.weight", weight)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How many numbers each weight takes up then, beside those that are its own alone now."""
        sites = patient.sites()
        labels, values = [], []
        for path, module in self._found(patient)[:12]:
            alone = [
                item for name in _made_of(module) if len(sites[id(item := module.get_parameter(name))]) == 1
            ]
            labels.append(path)
            values.append(module.in_features * module.out_features - sum(item.numel() for item in alone))
        return Bars(
            title="Numbers stored more for each weight that is multiplied out",
            labels=tuple(told_apart(labels)),
            values=tuple(map(float, values)),
            unit="numbers",
        )

    def _found(self, patient: Patient) -> list[tuple[str, MadeLinear]]:
        found = [
            (path, module)
            for path, module in patient.walk()
            if isinstance(module, MadeLinear) and is_among(path, self.targets.paths)
        ]
        if not found:
            raise SurgeryError(
                "has no linear module whose weight is made of shared ones", path=self.targets.select
            )
        for path, module in found:
            if len({slot_at(patient, place) for place in patient.module_paths(module)}) > 1:
                refuse_reused(patient, path)
        return found


def _made_of(module: MadeLinear) -> list[str]:
    return [name for name in module._parameters if name != "bias"]


def _plain(module: nn.Module) -> nn.Module:
    assert isinstance(module, MadeLinear)
    return module.plain()
