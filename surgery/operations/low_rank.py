"""Replace linear layers by two thin ones each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, Literal

import torch

from graph.nodes import ModuleGraph
from surgery.calibration.observing import Inputs
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.factors.choosing import budget_of, by_distortion, by_energy
from surgery.factors.distortion import distortions
from surgery.factors.layers import Layer, layers
from surgery.factors.picture import LARGEST, LINES, kept_energy
from surgery.factors.spreading import ranks_of_energy
from surgery.factors.whitening import energies_by, frozen, inputs_of, known_grams
from surgery.fields import Targets, option
from surgery.lazy import Lazy, Recipe, recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.modules.low_rank import of_low_rank
from surgery.operation import Operation, operation

TRIED, SEEN, GLANCE = 8, 128, 16
"""Examples that are run unless a step says how many: for distortions, for inputs, and at most for a chart."""
RANK = ".rank"
"""What a rank is called beside Grams: the path, and this."""


_ON_DATA = {"by": ("inputs",), "spread": ("distortion",)}


@operation(
    title="Low rank",
    group="prune",
    source="Eckart and Young 1936; in networks Denton et al. 2014, arXiv:1404.0736; by inputs SVD-LLM, "
    "Wang et al. 2024, arXiv:2403.07378",
)
class LowRank(Operation):
    """Each target is two thin linear layers, W ≈ B A: of their rank the nearest in weights, or in outputs.

    Fields: `targets`: linear modules (torch's Linear, GPT-2's Conv1D, 1 × 1 convolutions) of `outputs` ×
    `inputs`; and one of `rank`: one for all; `size` in (0, 1): the part of the targets' weights that is left,
    ranks spread over the layers; `energy` in (0, 1): the part of Σσ² that each keeps. A layer of which two
    thin ones would be no smaller stays whole. The bias stays. A weight tied among the targets gets tied
    factors.

    `by` weights: ‖W − B A‖ is least, and σ are the singular values of W. `by` inputs: Σ ‖(W − B A) x‖² is,
    over the inputs x of at most `samples` examples (128) of the session's data, padding left out, in the
    model as it is; σ are those of W S, where S Sᵀ = Σ x xᵀ + `ridge` times the mean of its diagonal: for the
    sake of directions that the data do not have.

    `spread` of a size: one threshold on what a direction is worth for each of its outputs + inputs weights,
    σ² / Σσ² of its layer (`relative`) or σ² (`absolute`, for which layers of small weights, or of small
    outputs, hardly count). Or `distortion`: each layer alone is tried at a few ranks on `samples` examples
    (8), and those ranks are taken for which ‖f(x) − f′(x)‖² of the model's output is least in sum (Xu et al.
    2023, arXiv:2308.10438). Batches come in an order drawn with `seed`. `measured` holds the ranks, which
    hang on values for `size` and `energy`, and, by inputs, the (inputs, inputs) Gram of each layer.

    Refused: modules that are not linear or do more than that, weights tied to others, reused modules, modules
    under adapters, weights that torch's fast path reads without calling the module, several or none of rank,
    size and energy, no data for distortions or inputs, data that do not reach a layer, without a ridge fewer
    tokens than inputs, and what would leave every target whole.
    """

    one_of = ("size", "rank", "energy")

    targets: Targets = option(help="the linear modules that become two thin ones")
    rank: int | None = option(None, help="one rank for all", minimum=1, maximum=65536)
    size: float | None = option(None, help="part of their weights that is left", minimum=0.01, maximum=0.99)
    energy: float | None = option(None, help="part of Σσ² that each keeps", minimum=0.01, maximum=0.9999)
    spread: Literal["relative", "absolute", "distortion"] = option(
        "relative", help="what a size is spread by"
    )
    by: Literal["weights", "inputs"] = option(
        "weights", help="what stays near: the weights, or what they give on the data's inputs"
    )
    samples: int | None = option(
        None,
        help="examples of the data to run; for inputs 128, for distortions 8 unless given",
        minimum=1,
        beside=_ON_DATA,
    )
    seed: int = option(0, help="which batches come first", minimum=0, beside=_ON_DATA)
    ridge: float = option(
        0.01,
        help="added to the inputs' Gram, as part of its mean diagonal",
        minimum=0.0,
        maximum=10.0,
        beside={"by": ("inputs",)},
    )
    measured: Measured | None = option(None, help="the ranks, and Grams of inputs, once they were measured")

    @property
    def awaits_measure(self) -> bool:
        return (self.rank is None or self.by == "inputs") and super().awaits_measure

    def structural(self) -> Operation:
        """By weights, of the same ranks: no Grams are at hand where a folder is loaded."""
        if self.by == "weights" or self.measured is None:
            return self
        ranks = {path: torch.tensor(rank) for path, rank in self._counts().items()}
        changes: dict[str, Any] = {"measured": Measured.of(ranks) if self.rank is None else None}
        return dataclasses.replace(self, **changes | {"by": "weights"})

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        self._refuse_unclear()
        found = layers(patient, self.targets)
        if self.by == "weights":
            ranks = self._chosen(patient, found, data, None)
            return {layer.path: torch.tensor(rank) for layer, rank in zip(found, ranks, strict=True)}
        if self.rank is not None:  # of layers that stay whole nobody has to know
            found = [layer for layer, _ in self._thin(found)]
        seen = self._seen(patient, found, data)
        ranks = [self.rank for _ in found] if self.rank else self._chosen(patient, found, data, seen)
        thin = [layer for layer, _ in self._thin(found, ranks)]
        kept = [its for layer, its in zip(found, seen, strict=True) if layer in thin]
        counts = {f"{layer.path}{RANK}": torch.tensor(rank) for layer, rank in zip(found, ranks, strict=True)}
        return (counts if self.rank is None else {}) | frozen(patient, thin, kept)

    def bounds(self, before: ModuleGraph | None) -> frozenset[str] | None:
        """Before it is measured the plan is the largest that it can come to; for a size, in parameters."""
        if not self.awaits_measure or self.rank is not None:
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
        thin = self._thin(layers(patient, self.targets))
        grams: Sequence[Lazy | None] = [None for _ in thin]
        if self.by == "inputs":
            grams = known_grams(patient, [layer for layer, _ in thin], self.measured)
        for (layer, rank), seen in zip(thin, grams, strict=True):
            written = self._factors(layer, rank, seen)
            for path in layer.paths:
                trainable = patient.tensor(f"{path}.weight").parameter.requires_grad
                yield SetModule(path, lambda base, rank=rank: of_low_rank(base, rank))  # type: ignore[misc]
                for name, factor in written.items():
                    yield SetTensor(f"{path}.{name}.weight", factor, trainable)

    def _factors(self, layer: Layer, rank: int, seen: Lazy | None) -> dict[str, Recipe]:
        """What `up` and `down` hold, the one that the other is made of first."""
        sides, turned = layer.sides, layer.transposed
        shapes = {"up": (sides.outputs, rank, *layer.ones), "down": (rank, sides.inputs, *layer.ones)}
        if seen is None:
            first, second = ("down", "up") if sides.outputs > sides.inputs else ("up", "down")
            one = recipe("narrow_factor", layer.weight, shape=shapes[first], rank=rank, transposed=turned)
            other = recipe("wide_factor", layer.weight, one, shape=shapes[second], transposed=turned)
            return {first: one, second: other}
        up = recipe(
            "outward_factor", layer.weight, seen,
            shape=shapes["up"], rank=rank, ridge=self.ridge, transposed=turned,
        )  # fmt: skip
        down = recipe("inward_factor", layer.weight, up, shape=shapes["down"], transposed=turned)
        return {"up": up, "down": down}

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much of Σσ² the first ranks of a few targets keep; a mark where one rank goes for all shown."""
        found = layers(patient, self.targets)
        shown = [item for item in found if min(item.sides.outputs, item.sides.inputs) <= LARGEST][:LINES]
        seen = None
        if self.by == "inputs":
            seen = self._seen(patient, shown, data, min(GLANCE, self.samples or GLANCE))
        found_energies = energies_by(shown, seen, self.ridge)
        energies = dict(zip((item.path for item in shown), found_energies, strict=True))
        if not shown or not all(torch.isfinite(energy).all() for energy in energies.values()):
            return None
        ranks: set[int | None] = {self.rank}
        if self.rank is None and self.measured is not None:
            counts = self._counts()
            ranks = {counts.get(path) for path in energies}
        elif self.energy is not None:
            ranks = set(ranks_of_energy(list(energies.values()), self.energy))
        elif self.size is not None and self.spread != "distortion" and len(shown) == len(found):
            ranks = set(self._spread(found, list(energies.values())))
        mark = ranks.pop() if len(ranks) == 1 else None
        most = max(len(energy) for energy in energies.values())
        mark = mark if mark is None else min(mark, most)
        return kept_energy(energies, len(found), mark, "Energy" if seen is None else "Output energy")

    def _seen(
        self, patient: Patient, found: Sequence[Layer], data: Sequence[Any], samples: int | None = None
    ) -> list[Inputs]:
        """What these layers are given."""
        samples = samples or self.samples or SEEN
        return inputs_of(patient, found, data, samples=samples, seed=self.seed, ridge=self.ridge)

    def _chosen(
        self, patient: Patient, found: Sequence[Layer], data: Sequence[Any], seen: Sequence[Inputs] | None
    ) -> list[int]:
        """The rank of each layer, by values."""
        if self.spread == "distortion" and self.size is not None:
            samples = self.samples or TRIED
            lost = distortions(
                patient, found, data, samples=samples, seed=self.seed, seen=seen, ridge=self.ridge
            )
            return by_distortion(found, lost, self._budget(found), self.size, self.targets.select)
        energies = energies_by(found, seen, self.ridge)
        for layer, energy in zip(found, energies, strict=True):
            if not torch.isfinite(energy).all():
                raise SurgeryError("has weights that are no numbers", path=layer.path)
        if self.energy is not None:
            return ranks_of_energy(energies, self.energy)
        return self._spread(found, energies)

    def _spread(self, found: Sequence[Layer], energies: Sequence[torch.Tensor]) -> list[int]:
        """The ranks under the budget of the size."""
        return by_energy(found, energies, self._budget(found), relative=self.spread == "relative")

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
        assert self.size is not None
        return budget_of(found, self.size, self.targets.select)

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
        ranks = self._counts()
        missing = [layer.path for layer in found if layer.path not in ranks]
        if missing or len(ranks) != len(found):
            raise SurgeryError(
                "the ranks were measured on other modules",
                path=missing[0] if missing else self.targets.select,
                hint="the same step made anew here",
            )
        return [ranks[layer.path] for layer in found]

    def _counts(self) -> dict[str, int]:
        """The ranks that were measured, by path."""
        held = {} if self.measured is None else self.measured.tensors or {}
        if self.by == "weights":
            return {path: int(rank) for path, rank in held.items()}
        names = (name for name in held if name.endswith(RANK))
        return {name.removesuffix(RANK): int(held[name]) for name in names}

    def _thin(self, found: Sequence[Layer], ranks: Sequence[int] | None = None) -> list[tuple[Layer, int]]:
        """Those that become two thin ones, and their ranks; SurgeryError where there are none."""
        awaited = ranks is None and self.awaits_measure and self.rank is None
        ranks = self._ranks(found) if ranks is None else ranks
        thin = [(layer, rank) for layer, rank in zip(found, ranks, strict=True) if rank <= layer.sides.most]
        if not thin and not awaited:
            most = max(found, key=lambda layer: layer.sides.most)
            raise SurgeryError(
                "at this rank two thin ones are no smaller than the layer, in any of the targets",
                path=self.targets.select,
                got=f"rank {min(ranks)}",
                expected=f"at most {most.sides.most}, for {most.path}",
            )
        return thin


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
