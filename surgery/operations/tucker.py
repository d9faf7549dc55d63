"""Take convolutions apart into three."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from graph.nodes import ModuleGraph
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.factors.convolutions import Convolution, convolutions
from surgery.factors.picture import LARGEST, LINES, kept_energy
from surgery.factors.spreading import ranks_of_energy
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.modules.tucker import TuckerConv2d
from surgery.operation import Operation, operation


@operation(
    title="Tucker",
    group="prune",
    source="Kim et al. 2015, arXiv:1511.06530; De Lathauwer et al. 2000, doi:10.1137/S0895479898346995",
)
class Tucker(Operation):
    """Each target convolution is three: 1 × 1 into s channels, k × k from s to r, 1 × 1 out of r.

    Fields: `targets`: 2-d convolutions of one group, their weights outputs × inputs × height × width; and one
    of `ranks`: r and s for all, each at most its number of channels; `energy` in (0, 1): the part of Σσ² that
    r and s keep of the weight unfolded along outputs and along inputs. `rounds` of higher-order orthogonal
    iteration after the first factors; with none it is the sequentially truncated decomposition. A convolution
    of which three would be no smaller stays as it is. `measured` holds r and s by path, which hang on values
    for an `energy`. Stride, padding, dilation and bias stay. A weight tied among the targets gets tied
    factors.

    Refused: what is no Conv2d, groups, 1 × 1 kernels (`low_rank`), weights tied to others, reused modules,
    modules under adapters or with hooks, both or none of ranks and energy, and what would leave every target
    as it is.
    """

    one_of = ("energy", "ranks")

    targets: Targets = option(help="the convolutions that become three")
    ranks: tuple[int, ...] = option((), help="of outputs, of inputs", minimum=1, maximum=65536)
    energy: float | None = option(None, help="part of Σσ² that both keep", minimum=0.01, maximum=0.9999)
    rounds: int = option(3, help="rounds of orthogonal iteration", minimum=0, maximum=100)
    measured: Measured | None = option(None, help="the ranks, once they were measured")

    @property
    def awaits_measure(self) -> bool:
        return not self.ranks and super().awaits_measure

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        self._refuse_unclear()
        found: dict[str, torch.Tensor] = {}
        for item in convolutions(patient, self.targets):
            energies = item.energies()
            if not all(torch.isfinite(energy).all() for energy in energies):
                raise SurgeryError("has weights that are no numbers", path=item.path)
            assert self.energy is not None
            found[item.path] = torch.tensor(ranks_of_energy(energies, self.energy))
        return found

    def bounds(self, before: ModuleGraph | None) -> frozenset[str] | None:
        """Before it is measured the plan leaves all as it is, which nothing is larger than but MACs."""
        return frozenset(("parameters", "size_bytes")) if self.awaits_measure else None

    def plan(self, patient: Patient) -> Iterator[Edit]:
        self._refuse_unclear()
        found = convolutions(patient, self.targets)
        if self.awaits_measure:
            return
        chosen = [(item, self._ranks(item)) for item in found]
        smaller = [(item, ranks) for item, ranks in chosen if item.shrinks(ranks)]
        if not smaller:
            item, ranks = chosen[0]
            raise SurgeryError(
                "at these ranks three convolutions are no smaller than the one, in any of the targets",
                path=self.targets.select,
                got=f"{item.parameters(ranks):,} weights at ranks {ranks[0]} and {ranks[1]}",
                expected=f"less than {item.weight.count:,}, for {item.path}",
            )
        for item, (many, few) in smaller:
            (outputs, inputs), kernel = item.sides, item.weight.shape[2:]
            last = recipe(
                "tucker_outputs",
                item.weight,
                shape=(outputs, many, 1, 1),
                ranks=(many, few),
                rounds=self.rounds,
            )
            first = recipe("tucker_inputs", item.weight, last, shape=(few, inputs, 1, 1), rank=few)
            core = recipe("tucker_core", item.weight, last, first, shape=(many, few, *kernel))
            for path in item.paths:
                trainable = patient.tensor(f"{path}.weight").parameter.requires_grad
                yield SetModule(path, lambda base, many=many, few=few: TuckerConv2d(base, many, few))  # type: ignore[misc]
                for name, tensor in (("last", last), ("first", first), ("core", core)):
                    yield SetTensor(f"{path}.{name}.weight", tensor, trainable)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much of Σσ² the first ranks of a few targets keep, along outputs and along inputs."""
        found = convolutions(patient, self.targets)
        shown = [item for item in found if max(item.sides) <= LARGEST][: LINES // 2]
        energies: dict[str, torch.Tensor] = {}
        for item in shown:
            along = item.energies()
            energies |= {f"{item.path} outputs": along[0], f"{item.path} inputs": along[1]}
        if not shown or not all(torch.isfinite(energy).all() for energy in energies.values()):
            return None
        return kept_energy(energies, 2 * len(found), None)

    def _refuse_unclear(self) -> None:
        if bool(self.ranks) == (self.energy is not None) or len(self.ranks) not in (0, 2):
            raise SurgeryError(
                "tucker needs either two ranks, of outputs and of inputs, or an energy",
                got=f"ranks {list(self.ranks)}, energy {self.energy}",
                hint="`ranks=(16, 16)`",
            )

    def _ranks(self, item: Convolution) -> tuple[int, int]:
        if self.ranks:
            return item.within((self.ranks[0], self.ranks[1]))
        known = (self.measured.tensors if self.measured else None) or {}
        if item.path not in known:
            raise SurgeryError(
                "the ranks were measured on other modules",
                path=item.path,
                hint="the same step made anew here",
            )
        return item.within((int(known[item.path][0]), int(known[item.path][1])))
