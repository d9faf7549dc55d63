"""Which convolutions can be taken apart into three, and what they cost then."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.factors.fitting import refuse_adapted, refuse_entangled, refuse_tied_elsewhere
from surgery.factors.spectra import energies_of
from surgery.fields import Targets
from surgery.functions.tucker import unfolded
from surgery.lazy import Held
from surgery.model import Patient
from surgery.modules.tucker import TuckerConv2d


@dataclass(frozen=True, eq=False)
class Convolution:
    """A weight (outputs × inputs × height × width) and the convolutions that have it."""

    paths: tuple[str, ...]
    weight: Held

    @property
    def path(self) -> str:
        """The first of its modules, by which it is called."""
        return self.paths[0]

    @property
    def sides(self) -> tuple[int, int]:
        """Outputs and inputs."""
        return self.weight.shape[0], self.weight.shape[1]

    def within(self, ranks: tuple[int, int]) -> tuple[int, int]:
        """These ranks, each no larger than its side and than what the other lets through."""
        places = self.weight.shape[2] * self.weight.shape[3]
        outputs, inputs = (min(rank, side) for rank, side in zip(ranks, self.sides, strict=True))
        return min(outputs, inputs * places), min(inputs, outputs * places)

    def parameters(self, ranks: tuple[int, int]) -> int:
        """Weights of the three at these ranks."""
        (outputs, inputs), (many, few) = self.sides, ranks
        return outputs * many + many * few * self.weight.shape[2] * self.weight.shape[3] + few * inputs

    def shrinks(self, ranks: tuple[int, int]) -> bool:
        """Whether the three have fewer weights than the one."""
        return self.parameters(ranks) < self.weight.count

    def energies(self) -> tuple[torch.Tensor, torch.Tensor]:
        """σ² of the weight unfolded along outputs, and along inputs, largest first; see `energies_of`."""
        weight = self.weight.parameter.detach()
        return energies_of(unfolded(weight, 0)), energies_of(unfolded(weight, 1))


def convolutions(patient: Patient, targets: Targets) -> list[Convolution]:
    """The convolutions of the targets in their order; SurgeryError for one that cannot be taken apart."""
    found: dict[int, list[str]] = {}
    for path in targets.paths:
        _refuse_unfit(patient, path)
        found.setdefault(id(patient.tensor(f"{path}.weight").parameter), []).append(path)
    made = []
    for paths in found.values():
        refuse_tied_elsewhere(patient, paths)
        made.append(Convolution(tuple(paths), patient.tensor(f"{paths[0]}.weight")))
    return made


def _refuse_unfit(patient: Patient, path: str) -> None:
    module = patient.module(path)
    kind = type(module).__name__
    if isinstance(module, TuckerConv2d):
        raise SurgeryError("is three convolutions already", path=path, hint="`undo`")
    refuse_adapted(patient, path)
    if not isinstance(module, nn.Conv2d) or "weight" not in module._parameters:
        raise SurgeryError(
            "is no convolution of images",
            path=path or "(root)",
            got=kind,
            expected="Conv2d",
            hint="`**:Conv2d`",
        )
    if module.groups > 1:
        raise SurgeryError(
            "its channels are convolved in groups, which have no factors in common",
            path=path,
            got=f"{module.groups} groups",
            expected="1",
        )
    if module.kernel_size == (1, 1):
        raise SurgeryError(
            "is a matrix at every place, of which two factors are enough",
            path=path,
            got="kernel (1, 1)",
            hint=f'`low_rank("{path}", …)`',
        )
    refuse_entangled(patient, path, "tucker")
