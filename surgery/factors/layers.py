"""Which layers can be matrices of low rank: those that compute x Wᵀ + b and nothing else, each weight once.

A 1 × 1 convolution does so at every place of an image.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from surgery.adapters.lora import is_transposed
from surgery.errors import SurgeryError
from surgery.factors.fitting import refuse_adapted, refuse_entangled, refuse_tied_elsewhere
from surgery.factors.spreading import Sides
from surgery.fields import Targets
from surgery.lazy import Held
from surgery.model import Patient
from surgery.modules.low_rank import LowRankConv2d, LowRankLinear


@dataclass(frozen=True, eq=False)
class Layer:
    """A weight and the modules that have it: several where it is tied, all of one kind.

    `ones` are the sides of length 1 behind the two of the matrix: of a convolution two.
    """

    paths: tuple[str, ...]
    weight: Held
    transposed: bool
    sides: Sides

    @property
    def path(self) -> str:
        """The first of its modules, by which it is called."""
        return self.paths[0]

    @property
    def ones(self) -> tuple[int, ...]:
        return self.weight.shape[2:]


def layers(patient: Patient, targets: Targets) -> list[Layer]:
    """The layers of the targets in their order; SurgeryError for one that cannot be factorised."""
    found: dict[int, list[str]] = {}
    for path in targets.paths:
        _refuse_unfit(patient, path)
        found.setdefault(id(patient.tensor(f"{path}.weight").parameter), []).append(path)
    return [_layer(patient, paths) for paths in found.values()]


def _layer(patient: Patient, paths: list[str]) -> Layer:
    first = patient.module(paths[0])
    unlike = [path for path in paths if is_transposed(patient.module(path)) != is_transposed(first)]
    refuse_tied_elsewhere(patient, paths, unlike)
    weight = patient.tensor(f"{paths[0]}.weight")
    sides = Sides(weight.shape[0], weight.shape[1])
    if is_transposed(first):
        sides = Sides(sides.inputs, sides.outputs)
    return Layer(tuple(paths), weight, is_transposed(first), sides)


def _refuse_unfit(patient: Patient, path: str) -> None:
    module = patient.module(path)
    if isinstance(module, LowRankLinear | LowRankConv2d):
        raise SurgeryError("is of low rank already", path=path, got=f"rank {module.rank}", hint="`undo`")
    refuse_adapted(patient, path)
    kernel = getattr(module, "kernel_size", None)
    one_by_one = isinstance(module, nn.Conv2d) and kernel == (1, 1) and module.groups == 1
    known = isinstance(module, nn.Linear) or is_transposed(module) or one_by_one
    if not known or "weight" not in module._parameters:
        stacked = any(item is not None and item.dim() == 3 for item in module._parameters.values())
        grouped = isinstance(module, nn.Conv2d) and module.groups > 1
        raise SurgeryError(
            f"is no linear module{', and holds several matrices in one tensor' if stacked else ''}",
            path=path or "(root)",
            got=f"{type(module).__name__}{f' of kernel {kernel}' if kernel else ''}"
            + (f" in {module.groups} groups" if grouped else ""),
            expected="Linear, Conv1D, or a Conv2d of kernel (1, 1) in one group",
            hint="`tucker`" if isinstance(module, nn.Conv2d) and not grouped else "`**:Linear`",
        )
    refuse_entangled(patient, path, "low_rank")
