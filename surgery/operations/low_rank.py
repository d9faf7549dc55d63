"""Replace linear layers by two thin ones each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any, Literal

import torch

from graph.nodes import ModuleGraph
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.factors.budgeting import least_distortion
from surgery.factors.distortion import distortions, tried_ranks
from surgery.factors.layers import Layer, layers
from surgery.factors.picture import LARGEST, LINES, kept_energy
from surgery.factors.spectra import energies_of
from surgery.factors.spreading import least, ranks_of_energy, ranks_of_size
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.modules.low_rank import of_low_rank
from surgery.operation import Operation, operation


@operation(
    title="Low rank",
    group="prune",
    source="Eckart and Young 1936; in networks Denton et al. 2014, arXiv:1404.0736",
)
class LowRank(Operation):
    """Each target is two thin linear layers, W ≈ B A: the nearest of their rank by the sum of squared errors.

    Fields: `targets`: linear modules (torch's Linear, GPT-2's Conv1D, 1 × 1 convolutions) of `outputs` ×
    `inputs`; and one of `rank`: one for all; `size` in (0, 1): the part of the targets' weights that is left,
    ranks spread over the layers; `energy` in (0, 1): the part of Σσ² that each keeps. A layer of which two
    thin ones would be no smaller stays whole. The bias stays. A weight tied among the targets gets tied
    factors.

    `spread` of a size: one threshold on what a direction is worth for each of its outputs + inputs weights,
    σ² / Σσ² of its layer (`relative`) or σ² (`absolute`, for which layers of small weights hardly count). Or
    `distortion`: each layer alone is tried at a few ranks on `samples` examples of the session's data, and
    those ranks are taken for which ‖f(x) − f′(x)‖² of the model's output is least in sum (Xu et al. 2023,
    arXiv:2308.10438). `measured` holds the ranks by path, which hang on values for `size` and `energy`.

    Refused: modules that are not linear or do more than that, weights tied to others, reused modules, modules
    under adapters, weights that torch's fast path reads without calling the module, several or none of rank,
    size and energy, no data for distortions, and what would leave every target whole.
    """

    one_of = ("size", "rank", "energy")

    targets: Targets = option(help="the linear modules that become two thin ones")
    rank: int | None = option(None, help="one rank for all", minimum=1, maximum=65536)
    size: float | None = option(None, help="part of their weights that is left", minimum=0.01, maximum=0.99)
    energy: float | None = option(None, help="part of Σσ² that each keeps", minimum=0.01, maximum=0.9999)
    spread: Literal["relative", "absolute", "distortion"] = option(
        "relative", help="what a size is spread by"
    )
    samples: int = option(8, help="examples of the data that distortions are measured on", minimum=1)
    measured: Measured | None = option(None, help="the ranks, once they were measured")

    @property
    def awaits_measure(self) -> bool:
        return self.rank is None and super().awaits_measure

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        self._refuse_unclear()
        found = layers(patient, self.targets)
        if self.spread == "distortion" and self.size is not None:
            ranks = self._measured_on(patient, found, data)
            return {layer.path: torch.tensor(rank) for layer, rank in zip(found, ranks, strict=True)}
        energies = [energies_of(layer.weight.parameter) for layer in found]
        for layer, energy in zip(found, energies, strict=True):
            if not torch.isfinite(energy).all():
                raise SurgeryError("has weights that are no numbers", path=layer.path)
        if self.energy is not None:
            ranks = ranks_of_energy(energies, self.energy)
        else:
            ranks = self._spread(found, energies)
        return {layer.path: torch.tensor(rank) for layer, rank in zip(found, ranks, strict=True)}

    def bounds(self, before: ModuleGraph | None) -> frozenset[str] | None:
        """Before it is measured the plan is the largest that it can come to; for a size, in parameters."""
        if not self.awaits_measure:
            return None
        if self.energy is not None:
            return frozenset(("parameters", "size_bytes", "macs"))
        if before is None:
            return frozenset(("parameters",))
        weights = [before[path].tensors[0] for path in self.targets.paths if path in before]
        alike = len({item.dtype for item in weights}) == 1 == len(_rates(before, self.targets.paths))
        return frozenset(("parameters", "size_bytes", "macs") if alike else ("parameters",))

    def plan(self, patient: Patient) -> Iterator[Edit]:
        self._refuse_unclear()
        found = layers(patient, self.targets)
        ranks = self._ranks(found)
        thin = [(layer, rank) for layer, rank in zip(found, ranks, strict=True) if rank <= layer.sides.most]
        if not thin and not self.awaits_measure:
            most = max(found, key=lambda layer: layer.sides.most)
            raise SurgeryError(
                "at this rank two thin ones are no smaller than the layer, in any of the targets",
                path=self.targets.select,
                got=f"rank {min(ranks)}",
                expected=f"at most {most.sides.most}, for {most.path}",
            )
        for layer, rank in thin:
            narrow = recipe(
                "narrow_factor",
                layer.weight,
                shape=_narrow_shape(layer, rank),
                rank=rank,
                transposed=layer.transposed,
            )
            tall = layer.sides.outputs > layer.sides.inputs
            shape = (*((layer.sides.outputs, rank) if tall else (rank, layer.sides.inputs)), *layer.ones)
            wide = recipe("wide_factor", layer.weight, narrow, shape=shape, transposed=layer.transposed)
            for path in layer.paths:
                trainable = patient.tensor(f"{path}.weight").parameter.requires_grad
                yield SetModule(path, lambda base, rank=rank: of_low_rank(base, rank))  # type: ignore[misc]
                yield SetTensor(f"{path}.{'down' if tall else 'up'}.weight", narrow, trainable)
                yield SetTensor(f"{path}.{'up' if tall else 'down'}.weight", wide, trainable)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much of Σσ² the first ranks of a few targets keep; a mark where one rank goes for all shown."""
        found = layers(patient, self.targets)
        shown = [item for item in found if min(item.sides.outputs, item.sides.inputs) <= LARGEST][:LINES]
        energies = {layer.path: energies_of(layer.weight.parameter) for layer in shown}
        if not shown or not all(torch.isfinite(energy).all() for energy in energies.values()):
            return None
        ranks = {self.rank}
        if self.measured is not None:
            ranks = (
                {int(self.measured.tensors[path]) for path in energies} if self.measured.tensors else {None}
            )
        elif self.energy is not None:
            ranks = set(ranks_of_energy(list(energies.values()), self.energy))
        elif self.size is not None and self.spread != "distortion" and len(shown) == len(found):
            ranks = set(self._spread(found, list(energies.values())))
        mark = ranks.pop() if len(ranks) == 1 else None
        most = max(len(energy) for energy in energies.values())
        return kept_energy(energies, len(found), mark if mark is None else float(min(mark, most)))

    def _spread(self, found: Sequence[Layer], energies: Sequence[torch.Tensor]) -> list[int]:
        """The ranks under the budget of the size."""
        if self.spread == "relative":
            energies = [
                energy / energy.sum().clamp(min=torch.finfo(energy.dtype).tiny) for energy in energies
            ]
        return ranks_of_size([layer.sides for layer in found], energies, self._budget(found))

    def _measured_on(self, patient: Patient, found: Sequence[Layer], data: Sequence[Any]) -> list[int]:
        """The ranks of least distortion in sum under the budget of the size, of those that are tried."""
        lost = distortions(patient, found, data, self.samples)
        choices = [[*tried_ranks(layer), layer.sides.most + 1] for layer in found]
        costs = [
            [layer.sides.parameters(rank) for rank in ranks]
            for layer, ranks in zip(found, choices, strict=True)
        ]
        chosen = least_distortion(costs, [[*row, 0.0] for row in lost], self._budget(found))
        if chosen is None:
            raise SurgeryError(
                "the ranks that are tried are all larger than that",
                path=self.targets.select,
                got=f"size {self.size:g}",
                hint='a larger one, or `spread="relative"`',
            )
        return [ranks[place] for ranks, place in zip(choices, chosen, strict=True)]

    def _refuse_unclear(self) -> None:
        given = [value for value in (self.rank, self.size, self.energy) if value is not None]
        if len(given) != 1:
            raise SurgeryError(
                "low_rank needs one of rank, size and energy", got=f"{len(given)} of them", hint="`size=0.5`"
            )
        if self.spread == "distortion" and self.size is None:
            raise SurgeryError("distortions are what a size is spread by", got="no size", hint="`size=0.5`")

    def _budget(self, found: Sequence[Layer]) -> int:
        """How many parameters may be left."""
        sides = [layer.sides for layer in found]
        whole = sum(item.whole for item in sides)
        budget = floor(Fraction(repr(self.size)) * whole)  # as it is written, not the binary number
        if budget < least(sides):
            raise SurgeryError(
                "the targets need more than that at rank 1 each",
                path=self.targets.select,
                got=f"size {self.size:g}",
                expected=f"at least {ceil(1000 * least(sides) / whole) / 1000:g}",
            )
        return budget

    def _ranks(self, found: Sequence[Layer]) -> list[int]:
        """The rank of each layer; before they are measured those that add up to no less."""
        if self.rank is not None:
            return [self.rank for _ in found]
        if self.measured is None and self.size is not None:
            self._budget(found)
            part = Fraction(repr(self.size))
            return [ceil(part * layer.sides.whole / layer.sides.per_rank) for layer in found]
        if self.measured is None:
            return [layer.sides.most + 1 for layer in found]
        ranks = self.measured.tensors or {}
        missing = [layer.path for layer in found if layer.path not in ranks]
        if missing or len(ranks) != len(found):
            raise SurgeryError(
                "the ranks were measured on other modules",
                path=missing[0] if missing else self.targets.select,
                hint="the same step made anew here",
            )
        return [int(ranks[layer.path]) for layer in found]


def _narrow_shape(layer: Layer, rank: int) -> tuple[int, ...]:
    sides = layer.sides
    matrix = (rank, sides.inputs) if sides.outputs > sides.inputs else (sides.outputs, rank)
    return (*matrix, *layer.ones)


def _rates(graph: ModuleGraph, paths: Sequence[str]) -> set[float]:
    """How often, over the example inputs, each weight is multiplied with; a tied one has several modules."""
    called: dict[str, int] = dict.fromkeys(paths, 0)
    for call in graph.calls:
        if call.module in called:
            called[call.module] += call.macs
    macs: dict[tuple[str, int], int] = {}
    for path in paths:
        if path in graph:
            weight = graph[path].tensors[0]
            known = (path if weight.tie is None else f"tie {weight.tie}", weight.count)
            macs[known] = macs.get(known, 0) + called[path]
    return {spent / count for (_, count), spent in macs.items()}
